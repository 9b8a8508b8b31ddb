//! What a policy would have cut of the calls that are in the log.
//!
//! The log holds redacted, normalised paths, so a replay sees what the kernel would see but for a segment that
//! was replaced by its class. The method of a call that a dialect names (`QUERY`, `SEND`) is not that of its
//! request; such a call counts as one that the policy's method covers.

use super::aim::Aim;
use super::pattern::Verdict;
use super::rate::Bucket;
use super::{MethodRule, PathPattern, Per, Policy, Rate, Scope};
use crate::call_log::{CallChunk, CallRow, LoggedEndpoint, Protocol};
use crate::snapshot::Snapshot;
use std::collections::HashMap;

/// Callers of a rate that are told apart in a replay.
const MAX_BUCKETS: usize = 4_096;

/// A policy, ready to judge the calls of a snapshot's log.
pub struct Replay<'p, 's> {
    policy: &'p Policy,
    /// Who must call; `None` for everybody.
    from: Option<Aim<'s>>,
    /// Who must be called; `None` for everybody.
    to: Option<Aim<'s>>,
    /// Of a quarantine: with whom it may talk.
    allowed: Aim<'s>,
    buckets: HashMap<(String, u64), Bucket>,
}

impl<'p, 's> Replay<'p, 's> {
    /// Prepares it.
    #[must_use]
    pub fn new(policy: &'p Policy, snapshot: &'s Snapshot) -> Self {
        let aim = |selector: &_| Some(Aim::of(selector, snapshot));
        let (from, to) = match &policy.spec.scope {
            Scope::Edge(edge) => (aim(&edge.from), aim(&edge.to)),
            Scope::Endpoint(endpoint) => (endpoint.from.as_ref().and_then(aim), aim(&endpoint.service)),
            Scope::Identity(identity) => (None, identity.service.as_ref().and_then(aim)),
            Scope::Rate(rate) => (rate.from.as_ref().and_then(aim), aim(&rate.service)),
            Scope::Quarantine(quarantine) => (None, aim(&quarantine.workload)),
        };
        let allowed = match &policy.spec.scope {
            Scope::Quarantine(quarantine) => Aim::any_of(&quarantine.allow, snapshot),
            _ => Aim::default(),
        };
        Self { policy, from, to, allowed, buckets: HashMap::new() }
    }

    /// Whether the policy is about calls from `src` to `dst` at all.
    #[must_use]
    pub fn concerns(&self, src: &str, dst: &str) -> bool {
        let meant = |aim: &Option<Aim<'_>>, id: &str| aim.as_ref().is_none_or(|aim| aim.has(id));
        if let Scope::Quarantine(_) = self.policy.spec.scope {
            let inside = |id: &str| self.to.as_ref().is_some_and(|aim| aim.has(id));
            let (other, concerned) = if inside(dst) { (src, true) } else { (dst, inside(src)) };
            return concerned && !self.allowed.has(other) && !(inside(src) && inside(dst));
        }
        meant(&self.from, src) && meant(&self.to, dst)
    }

    /// Whether the policy would have cut a call; calls come in the order of time.
    pub fn judge(&mut self, chunk: &CallChunk, row: &CallRow) -> Verdict {
        let id = |index: u32| chunk.workloads.get(index as usize).map_or("", |id| id.as_str());
        let (src, dst) = (id(row.src), id(row.dst));
        if !self.concerns(src, dst) {
            return Verdict::Pass;
        }
        let Some(endpoint) = chunk.endpoints.get(row.endpoint as usize) else { return Verdict::Pass };
        let path = chunk.path(row);
        let case = self.policy.spec.case_sensitive;
        match &self.policy.spec.scope {
            Scope::Edge(_) | Scope::Quarantine(_) => Verdict::Match,
            Scope::Endpoint(one) => request(&one.method, &one.path, endpoint, path, case),
            Scope::Identity(identity) => {
                let same = row.identity.is_some_and(|hash| hash.0 == identity.hash.0);
                if same { Verdict::Match } else { Verdict::Pass }
            }
            Scope::Rate(rate) => match request(&rate.method, &rate.path, endpoint, path, case) {
                Verdict::Match => self.take(rate, src, row),
                verdict => verdict,
            },
        }
    }

    /// Takes a token of whose calls are counted together.
    fn take(&mut self, rate: &Rate, src: &str, row: &CallRow) -> Verdict {
        let key = match rate.per {
            Per::Caller => (src.to_owned(), 0),
            Per::Identity => (String::new(), row.identity.map_or(0, |hash| hash.0)),
        };
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&key) {
            return Verdict::Undecided;
        }
        let burst = rate.burst.map_or_else(|| rate.limit.burst(), u32::from);
        let bucket = self.buckets.entry(key).or_insert_with(|| Bucket::full(burst, row.at));
        if bucket.take(rate.limit.interval(), burst, row.at) { Verdict::Pass } else { Verdict::Match }
    }
}

/// Whether a request is one of these.
fn request(
    method: &MethodRule,
    pattern: &PathPattern,
    endpoint: &LoggedEndpoint,
    path: &str,
    case_sensitive: bool,
) -> Verdict {
    let own = matches!(endpoint.protocol, Protocol::Http1 | Protocol::Http2);
    if own && !method.covers(endpoint.method.as_bytes()) {
        return Verdict::Pass;
    }
    pattern.judge(path.as_bytes(), case_sensitive)
}
