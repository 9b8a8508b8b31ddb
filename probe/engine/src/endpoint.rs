//! What is known of one operation: its node-independent key and its mergeable statistics.

use crate::distinct::Distinct;
use crate::fingerprint;
use crate::load::Load;
use crate::looks::Looks;
use crate::name_set::NameSet;
use apisec_proto::call::{AuthScheme, Call, Messages, Notes, Protocol, Vantage};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// A workload id, shared.
pub type Id = Arc<str>;

/// Names an operation without any history, so that every node gives it the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointKey {
    /// Callee workload id.
    pub service: Id,
    /// Path with its segments typed, such as `/users/{id:int}`.
    pub path: Arc<str>,
    /// Method or operation kind.
    pub method: CompactString,
    /// Operation below method and path, empty when these say it all.
    pub operation: CompactString,
    /// What was spoken.
    pub protocol: Protocol,
    /// Where it was observed.
    pub vantage: Vantage,
}

impl EndpointKey {
    /// Its service as a whole.
    #[must_use]
    pub fn anywhere(&self) -> Self {
        let nothing = CompactString::default;
        let (path, method, operation) = (Arc::default(), nothing(), nothing());
        Self { path, method, operation, protocol: Protocol::Opaque, ..self.clone() }
    }
}

/// Hosts, and media types of each direction, kept per endpoint.
pub const HOSTS: usize = 8;
/// Query parameter names kept per endpoint.
pub const QUERY_NAMES: usize = 32;
/// Callers that are counted by name per endpoint; twice what is shown, so that the order of those shown is good.
pub const CALLERS: usize = 64;
/// Path parameters per endpoint whose distinct values are counted.
pub const PARAMETERS: usize = 6;

/// Mergeable statistics of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Counts, bytes, latency.
    pub load: Load,
    /// Calls per status, ascending; unanswered calls are in `load`.
    pub statuses: Tally<u16>,
    /// Calls per note, by bit of [`Notes`].
    pub notes: Tally<u8>,
    /// Messages of the requester and of the responder.
    pub messages: [Messages; 2],
    /// Authentication schemes seen.
    pub auth: AuthSet,
    /// Hosts asked for.
    pub hosts: NameSet<HOSTS>,
    /// Fields, cookies and parameters that credentials stood in.
    pub credentials: NameSet<HOSTS>,
    /// Claims of tokens that may say whose they are.
    pub claims: NameSet<HOSTS>,
    /// Query parameter names.
    pub query: NameSet<QUERY_NAMES>,
    /// Request media types.
    pub request_types: NameSet<HOSTS>,
    /// Response media types.
    pub response_types: NameSet<HOSTS>,
    /// What the bodies looked like, those that were read.
    #[serde(default)]
    pub looks: Option<Arc<Looks>>,
    /// Calls per caller.
    pub callers: Callers,
    /// Distinct values per path parameter, in order.
    pub values: Vec<Distinct>,
}

impl EndpointStats {
    /// Notes everything about one call but its load and its caller, which are counted together elsewhere.
    /// `values` are the fingerprints of its path parameters.
    pub fn add(&mut self, call: &Call, values: &[u64]) {
        if let Some(status) = call.status {
            self.statuses.add(status, 1);
        }
        self.add_notes(call.notes);
        self.messages.iter_mut().zip(call.messages).for_each(|(sum, messages)| sum.merge(messages));
        self.auth.insert(call.auth);
        self.hosts.insert(&call.host);
        if let Some(credential) = call.credential.as_deref() {
            self.credentials.insert(&credential.source);
            credential.claims.iter().for_each(|(name, _)| self.claims.insert(name));
        }
        call.query.iter().for_each(|name| self.query.insert(name));
        self.request_types.insert(&call.request_type);
        self.response_types.insert(&call.response_type);
        if let Some(bodies) = &call.bodies {
            Arc::make_mut(self.looks.get_or_insert_default()).add(call.status, bodies);
        }
        self.values.resize_with(self.values.len().max(values.len()), Distinct::default);
        self.values.iter_mut().zip(values).for_each(|(distinct, value)| distinct.insert(*value));
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.load.merge(&other.load);
        self.statuses.merge(&other.statuses);
        self.notes.merge(&other.notes);
        self.messages.iter_mut().zip(other.messages).for_each(|(sum, messages)| sum.merge(messages));
        self.auth.merge(other.auth);
        self.hosts.merge(&other.hosts);
        self.credentials.merge(&other.credentials);
        self.claims.merge(&other.claims);
        self.query.merge(&other.query);
        self.request_types.merge(&other.request_types);
        self.response_types.merge(&other.response_types);
        match (&mut self.looks, &other.looks) {
            (Some(ours), Some(theirs)) => Arc::make_mut(ours).merge(theirs),
            (ours @ None, theirs) => ours.clone_from(theirs),
            (Some(_), None) => {}
        }
        self.callers.merge(&other.callers);
        let parameters = self.values.len().max(other.values.len()).min(PARAMETERS);
        self.values.resize_with(parameters, Distinct::default);
        self.values.iter_mut().zip(&other.values).for_each(|(ours, theirs)| ours.merge(theirs));
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.load.clear();
        self.statuses.clear();
        self.notes.clear();
        self.messages = Default::default();
        self.auth = AuthSet::default();
        self.hosts.clear();
        self.credentials.clear();
        self.claims.clear();
        self.query.clear();
        self.request_types.clear();
        self.response_types.clear();
        self.looks = None;
        self.callers = Callers::default();
        self.values.iter_mut().for_each(Distinct::clear);
    }

    /// Every answer was the router's refusal: not found, method not allowed, not implemented.
    #[must_use]
    pub fn is_unrouted(&self) -> bool {
        let answered = !self.statuses.0.is_empty();
        let refused = || self.statuses.0.iter().all(|(status, _)| is_refusal(*status));
        answered && self.load.unanswered == 0 && (refused() || self.is_always(Notes::UNIMPLEMENTED))
    }

    /// Every call has one of these notes, of which a call has one at most.
    #[must_use]
    pub fn is_always(&self, notes: Notes) -> bool {
        let noted = self.notes.iter().filter(|(bit, _)| notes.any(Notes(1 << bit)));
        self.load.calls > 0 && noted.map(|(_, calls)| calls).sum::<u64>() >= self.load.calls
    }

    /// There were more hosts, query names or media types than are kept.
    #[must_use]
    pub const fn has_more_names(&self) -> bool {
        self.hosts.more() || self.query.more() || self.request_types.more() || self.response_types.more()
    }

    fn add_notes(&mut self, notes: Notes) {
        let mut rest = notes.0;
        while rest != 0 {
            self.notes.add(rest.trailing_zeros() as u8, 1);
            rest &= rest - 1;
        }
    }
}

/// A status by which a router says that there is no such operation.
#[must_use]
pub const fn is_refusal(status: u16) -> bool {
    matches!(status, 404 | 405 | 501)
}

/// Calls per key, ascending by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(K, u64)>", bound(deserialize = "K: Deserialize<'de> + Ord + Copy"))]
pub struct Tally<K>(Vec<(K, u64)>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy> From<Vec<(K, u64)>> for Tally<K> {
    /// Accepts anything: keys in any order, repeated ones are added.
    fn from(pairs: Vec<(K, u64)>) -> Self {
        let mut tally = Self(Vec::with_capacity(pairs.len()));
        pairs.into_iter().for_each(|(key, calls)| tally.add(key, calls));
        tally
    }
}

impl<K: Ord + Copy> Tally<K> {
    /// Adds calls to `key`.
    pub fn add(&mut self, key: K, calls: u64) {
        match self.0.binary_search_by_key(&key, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count = count.saturating_add(calls);
                }
            }
            Err(at) => self.0.insert(at, (key, calls)),
        }
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(key, calls)| self.add(*key, *calls));
    }

    /// Calls of `key`.
    #[must_use]
    pub fn get(&self, key: K) -> u64 {
        let found = self.0.binary_search_by_key(&key, |(known, _)| *known).ok();
        found.and_then(|at| self.0.get(at)).map_or(0, |(_, calls)| *calls)
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Key and calls, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + Clone + '_ {
        self.0.iter().copied()
    }
}

/// A set of authentication schemes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthSet(u8);

impl AuthSet {
    /// Adds a scheme.
    pub const fn insert(&mut self, scheme: AuthScheme) {
        self.0 |= 1 << scheme as u8;
    }

    /// Adds the schemes of `other`.
    pub const fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a scheme was seen.
    #[must_use]
    pub const fn contains(self, scheme: AuthScheme) -> bool {
        self.0 & (1 << scheme as u8) != 0
    }
}

/// Calls per calling workload: [`CALLERS`] of them by name, the rest as a sum.
///
/// The smallest ids are kept (external peers last), not the first to come, so that merging is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CallersWire")]
pub struct Callers {
    kept: Vec<(Id, u64)>,
    others: u64,
    distinct: Distinct,
}

/// As it travels: in whatever order, and however many, a stranger sends it.
#[derive(Deserialize)]
struct CallersWire {
    kept: Vec<(Id, u64)>,
    others: u64,
    distinct: Distinct,
}

impl From<CallersWire> for Callers {
    fn from(CallersWire { kept, others, distinct }: CallersWire) -> Self {
        let mut callers = Self { kept: Vec::with_capacity(kept.len().min(CALLERS)), others, distinct };
        kept.iter().for_each(|(caller, calls)| callers.count(caller, *calls));
        callers
    }
}

impl Callers {
    /// Adds calls of `caller`.
    pub fn add(&mut self, caller: &Id, calls: u64) {
        self.distinct.insert(fingerprint::of(caller.as_bytes()));
        self.count(caller, calls);
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.distinct.merge(&other.distinct);
        other.kept.iter().for_each(|(caller, calls)| self.count(caller, *calls));
        self.others = self.others.saturating_add(other.others);
    }

    /// The caller `from` is the caller `to`; whether it was known.
    pub fn rename(&mut self, from: &Id, to: &Id) -> bool {
        let Ok(at) = self.kept.binary_search_by(|(known, _)| by_nearness(known, from)) else { return false };
        let (_, calls) = self.kept.remove(at);
        self.distinct.replace(fingerprint::of(from.as_bytes()), fingerprint::of(to.as_bytes()));
        self.count(to, calls);
        true
    }

    /// Gives every caller that is kept by name the id that `name` says.
    pub fn translate(&mut self, mut name: impl FnMut(&Id) -> Id) {
        for (caller, calls) in std::mem::take(&mut self.kept) {
            let to = name(&caller);
            if to != caller {
                self.distinct.replace(fingerprint::of(caller.as_bytes()), fingerprint::of(to.as_bytes()));
            }
            self.count(&to, calls);
        }
    }

    /// The callers that are kept by name.
    pub fn kept(&self) -> impl Iterator<Item = &Id> {
        self.kept.iter().map(|(caller, _)| caller)
    }

    /// Callers with their calls, most calls first; the sum of those not kept is [`Callers::others`].
    #[must_use]
    pub fn by_calls(&self) -> Vec<&(Id, u64)> {
        let mut callers: Vec<&(Id, u64)> = self.kept.iter().collect();
        callers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        callers
    }

    /// Calls by callers that are not kept by name.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.others
    }

    /// Distinct callers: exact up to [`crate::distinct::EXACT`], then an estimate.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.distinct.count()
    }

    fn count(&mut self, caller: &Id, calls: u64) {
        match self.kept.binary_search_by(|(known, _)| by_nearness(known, caller)) {
            Ok(at) => {
                if let Some((_, count)) = self.kept.get_mut(at) {
                    *count = count.saturating_add(calls);
                }
            }
            Err(at) => self.kept.insert(at, (caller.clone(), calls)),
        }
        if self.kept.len() > CALLERS
            && let Some((_, cut)) = self.kept.pop()
        {
            self.others = self.others.saturating_add(cut);
        }
    }
}

/// External peers come after our own workloads.
fn by_nearness(a: &Id, b: &Id) -> Ordering {
    is_external(a).cmp(&is_external(b)).then_with(|| a.cmp(b))
}

/// Whether a workload id names a peer that is not on a probed node.
#[must_use]
pub fn is_external(id: &str) -> bool {
    id.starts_with("external:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(callers: &[u16]) -> Callers {
        let mut counted = Callers::default();
        for caller in callers {
            let kind = if caller % 2 == 0 { "external" } else { "process" };
            counted.add(&Id::from(format!("{kind}:{caller}")), 1);
        }
        counted
    }

    #[test]
    fn all_nine_unrouted_answers_count_as_unrouted() {
        let mut stats = EndpointStats::default();
        stats.statuses.add(404, 3);
        assert!(stats.is_unrouted());
        stats.statuses.add(200, 1);
        assert!(!stats.is_unrouted());
    }

    proptest! {
        #[test]
        fn callers_merge_exactly_beyond_the_cap(
            a in proptest::collection::vec(0_u16..200, 0..150), b in proptest::collection::vec(0_u16..200, 0..150)
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            let calls: u64 = whole.kept.iter().map(|(_, calls)| calls).sum();
            prop_assert_eq!(calls + whole.others, (a.len() + b.len()) as u64);
        }
    }
}
