//! What a policy would do, before it does it: replayed against the log of calls and the inventory.

use super::aim::{Aim, selectors};
use super::guard::{Refusal, Ward, refusals};
use super::measure::{Measure, measures};
use super::pattern::Verdict;
use super::replay::Replay;
use super::{Policy, Scope};
use crate::call_log::{CallChunk, CallRow};
use crate::load::SECOND;
use crate::snapshot::{EndpointView, Snapshot};
use caller::Tally;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod caller;

/// Callers, identities and endpoints that a preview names; the counts cover all of them.
const NAMED: usize = 50;
/// Callers that are told apart while it is made.
const MAX_CALLERS: usize = 8_192;

/// What a policy would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Seconds of the log that it was replayed against.
    pub window_s: u64,
    /// Calls of the log.
    pub replayed: u64,
    /// Calls that would have been cut.
    pub cut: u64,
    /// Calls that could not have been decided.
    pub undecided: u64,
    /// Who would have been cut, most calls first.
    pub callers: Vec<CallerCut>,
    /// How many they are.
    pub caller_count: u64,
    /// Whose credentials would have been cut, most calls first.
    pub identities: Vec<IdentityCut>,
    /// How many they are.
    pub identity_count: u64,
    /// Which operations would have been cut, most calls first.
    pub endpoints: Vec<EndpointCut>,
    /// Operations of the inventory that the policy covers, called lately or not.
    pub covered: Vec<String>,
    /// What will be done, exactly.
    pub measures: Vec<Measure>,
    /// What cannot be enforced, or only after the fact, and why.
    pub limits: Vec<String>,
    /// What it would cut that must not be.
    pub refusals: Vec<Refusal>,
    /// Names in it that stand for nobody who was seen.
    pub unknown: Vec<String>,
}

/// A caller that would have been cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallerCut {
    /// Workload id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its calls that would have been cut.
    pub calls: u64,
    /// All its calls in the log.
    pub of: u64,
    /// It looks like somebody who should be served.
    pub legitimate: bool,
    /// Why it looks so, or not.
    pub why: Vec<String>,
}

/// A credential that would have been cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityCut {
    /// Its keyed hash.
    pub hash: String,
    /// Its calls that would have been cut.
    pub calls: u64,
}

/// An operation that would have been cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointCut {
    /// Callee's workload id.
    pub service: String,
    /// Method or kind of operation.
    pub method: String,
    /// Path as the node typed it.
    pub path: String,
    /// Its calls that would have been cut.
    pub calls: u64,
}

impl Preview {
    /// Makes it.
    #[must_use]
    pub fn of(policy: &Policy, snapshot: &Snapshot, wards: &[Ward]) -> Self {
        let mut preview = Self::replay(policy, snapshot);
        let known = |(field, selector): (&str, &super::Selector)| {
            let nobody = Aim::of(selector, snapshot).is_empty()
                && selector.socket().is_none()
                && selector.address().is_none();
            nobody.then(|| format!("{field} {selector}"))
        };
        preview.unknown = selectors(&policy.spec.scope).into_iter().filter_map(known).collect();
        preview.covered = covered(policy, snapshot);
        (preview.measures, preview.limits) = measures(policy, snapshot);
        preview.refusals = refusals(policy, snapshot, wards);
        preview
    }

    fn replay(policy: &Policy, snapshot: &Snapshot) -> Self {
        let mut replay = Replay::new(policy, snapshot);
        let mut sums = Sums::default();
        for chunk in &snapshot.log.chunks {
            for row in &chunk.rows {
                let verdict = replay.judge(chunk, row);
                sums.add(chunk, row, verdict);
            }
        }
        sums.preview(snapshot)
    }

    /// In one line: `would have cut 132 calls from 3 callers, 2 of which look legitimate`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let plural = |n: u64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        if self.cut == 0 {
            let of = plural(self.replayed, "call");
            return format!("would have cut none of {of} in {} s", self.window_s);
        }
        let legitimate = self.callers.iter().filter(|caller| caller.legitimate).count();
        let look = match (legitimate, self.caller_count) {
            (0, 1) => "which does not look legitimate".to_owned(),
            (1, 1) => "which looks legitimate".to_owned(),
            (0, _) => "none of which looks legitimate".to_owned(),
            (1, _) => "1 of which looks legitimate".to_owned(),
            (some, _) => format!("{some} of which look legitimate"),
        };
        format!(
            "would have cut {} of {} in {} s from {}, {look}",
            plural(self.cut, "call"),
            self.replayed,
            self.window_s,
            plural(self.caller_count, "caller"),
        )
    }
}

/// What the replay adds up.
#[derive(Default)]
struct Sums<'c> {
    first: Option<u64>,
    last: u64,
    replayed: u64,
    undecided: u64,
    callers: BTreeMap<&'c str, Tally>,
    identities: BTreeMap<u64, u64>,
    endpoints: BTreeMap<(&'c str, &'c str, &'c str), u64>,
    cut: u64,
}

impl<'c> Sums<'c> {
    fn add(&mut self, chunk: &'c CallChunk, row: &CallRow, verdict: Verdict) {
        self.replayed += 1;
        self.first = Some(self.first.map_or(row.at, |first| first.min(row.at)));
        self.last = self.last.max(row.at);
        self.undecided += u64::from(verdict == Verdict::Undecided);
        let cut = verdict == Verdict::Match;
        self.cut += u64::from(cut);
        let caller = chunk.workloads.get(row.src as usize).map_or("", |id| id.as_str());
        if self.callers.len() < MAX_CALLERS || self.callers.contains_key(caller) {
            self.callers.entry(caller).or_default().add(row, chunk.path(row), cut);
        }
        if !cut {
            return;
        }
        if let Some(hash) = row.identity {
            *self.identities.entry(hash.0).or_default() += 1;
        }
        if let Some(endpoint) = chunk.endpoints.get(row.endpoint as usize) {
            let key = (endpoint.service.as_str(), endpoint.method.as_str(), endpoint.path.as_str());
            *self.endpoints.entry(key).or_default() += 1;
        }
    }

    fn preview(self, snapshot: &Snapshot) -> Preview {
        let first = self.first.unwrap_or_default();
        let named: BTreeMap<&str, &str> =
            snapshot.workloads.iter().map(|one| (one.id.as_str(), one.name.as_str())).collect();
        let caller = |(id, tally): (&str, Tally)| {
            let (legitimate, why) = tally.judge(first, self.last);
            let name = named.get(id).unwrap_or(&id);
            CallerCut {
                id: id.to_owned(),
                name: (*name).to_owned(),
                calls: tally.cut,
                of: tally.calls,
                legitimate,
                why,
            }
        };
        let mut callers: Vec<_> =
            self.callers.into_iter().filter(|(_, tally)| tally.cut > 0).map(caller).collect();
        callers.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.id.cmp(&b.id)));
        let mut identities: Vec<_> = self.identities.into_iter().collect();
        identities.sort_by_key(|one| std::cmp::Reverse(one.1));
        let mut endpoints: Vec<_> = self.endpoints.into_iter().collect();
        endpoints.sort_by_key(|one| std::cmp::Reverse(one.1));
        let (caller_count, identity_count) = (callers.len() as u64, identities.len() as u64);
        callers.truncate(NAMED);
        Preview {
            window_s: self.last.saturating_sub(first).div_ceil(SECOND),
            replayed: self.replayed,
            cut: self.cut,
            undecided: self.undecided,
            callers,
            caller_count,
            identities: identities
                .into_iter()
                .take(NAMED)
                .map(|(hash, calls)| IdentityCut { hash: format!("{hash:016x}"), calls })
                .collect(),
            identity_count,
            endpoints: endpoints
                .into_iter()
                .take(NAMED)
                .map(|((service, method, path), calls)| EndpointCut {
                    service: service.to_owned(),
                    method: method.to_owned(),
                    path: path.to_owned(),
                    calls,
                })
                .collect(),
            ..Preview::default()
        }
    }
}

/// The operations of the inventory that a policy covers.
fn covered(policy: &Policy, snapshot: &Snapshot) -> Vec<String> {
    let (service, method, pattern) = match &policy.spec.scope {
        Scope::Endpoint(one) => (&one.service, &one.method, &one.path),
        Scope::Rate(rate) => (&rate.service, &rate.method, &rate.path),
        _ => return Vec::new(),
    };
    let aim = Aim::of(service, snapshot);
    let http = |endpoint: &EndpointView| matches!(endpoint.protocol.as_str(), "http1" | "http2");
    let meant = |endpoint: &&EndpointView| {
        aim.has(&endpoint.service)
            && (!http(endpoint) || method.covers(endpoint.method.as_bytes()))
            && pattern.judge(endpoint.path.as_bytes(), policy.spec.case_sensitive) == Verdict::Match
    };
    let all = snapshot.endpoints.iter().filter(meant).take(NAMED);
    all.map(|endpoint| format!("{} {}", endpoint.method, endpoint.path)).collect()
}

#[cfg(test)]
mod tests;
