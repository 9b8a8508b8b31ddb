//! The findings: each once, brought up to date, with what the operator made of it.

use crate::endpoint::Id;
use crate::finding::{Event, Finding, State};
use indexmap::IndexMap;
use std::cmp::Reverse;

/// Entries of a timeline: the first few tell how it began, the last how it goes on.
const EVENTS: usize = 32;

/// See the module.
#[derive(Default)]
pub(super) struct Ledger {
    findings: IndexMap<String, Finding>,
    /// Findings that made room for others.
    pub(super) dropped: u64,
}

impl Ledger {
    /// Adds a finding, or brings the one that it is up to date.
    pub(super) fn raise(&mut self, new: Finding, now: u64, limit: usize) {
        if let Some(known) = self.findings.get_mut(&new.id) {
            return update(known, new, now);
        }
        if self.findings.len() >= limit {
            self.make_room(&new);
        }
        if self.findings.len() < limit {
            let mut new = new;
            let what = format!("found, {} with {} confidence", new.severity.word(), new.confidence.word());
            new.timeline.push(Event { at: new.last_seen.min(now), what });
            self.findings.insert(new.id.clone(), new);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Takes in what the operator made of a finding.
    pub(super) fn handle(&mut self, id: &str, state: State, now: u64) {
        if let Some(finding) = self.findings.get_mut(id) {
            let what = match &state {
                State::Muted { reason, .. } => format!("muted: {reason}"),
                state => state.word().to_owned(),
            };
            finding.state = state;
            note(finding, now, what);
        }
    }

    /// Findings that were muted until now are new again.
    pub(super) fn expire(&mut self, now: u64) {
        let over = |finding: &&mut Finding| matches!(finding.state, State::Muted { until, .. } if until > 0 && until <= now);
        for finding in self.findings.values_mut().filter(over) {
            finding.state = State::New;
            note(finding, now, "no longer muted".to_owned());
        }
    }

    /// The findings, those first that matter most.
    pub(super) fn view(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.findings.values().cloned().collect();
        findings
            .sort_by(|a, b| Reverse(a.urgency()).cmp(&Reverse(b.urgency())).then_with(|| a.id.cmp(&b.id)));
        findings
    }

    /// The workload with one id is the one with another.
    pub(super) fn rename(&mut self, from: &Id, to: &Id) {
        let named = |finding: &Finding| finding.service == **from || finding.actor == **from;
        if !self.findings.values().any(named) {
            return;
        }
        for (_, mut finding) in std::mem::take(&mut self.findings) {
            let Finding { service, actor, suggestion, .. } = &mut finding;
            for id in [service, actor, &mut suggestion.service, &mut suggestion.caller] {
                if *id == **from {
                    *id = to.to_string();
                }
            }
            let Finding { detector, service, method, path, actor, identity_hash, .. } = &finding;
            let id = Finding::name([detector, service, method, path, actor, identity_hash]);
            finding.id.clone_from(&id);
            self.findings.entry(id).or_insert(finding);
        }
    }

    /// Lets the least urgent finding go, if it is less urgent than `new`.
    fn make_room(&mut self, new: &Finding) {
        let least = self.findings.values().min_by_key(|finding| finding.urgency());
        if let Some(least) = least.filter(|least| least.urgency() < new.urgency()) {
            let id = least.id.clone();
            self.findings.swap_remove(&id);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// Brings a finding up to date: its numbers are the newest, its severity the worst so far.
fn update(known: &mut Finding, new: Finding, now: u64) {
    if new.severity > known.severity {
        note(known, new.last_seen.min(now), format!("now {}", new.severity.word()));
    }
    if let State::Resolved { at } = known.state
        && new.last_seen > at
    {
        known.state = State::New;
        note(known, new.last_seen.min(now), "again, although it was resolved".to_owned());
    }
    let Finding { timeline, state, severity, first_seen, last_seen, count, .. } = known;
    *known = Finding {
        severity: new.severity.max(*severity),
        first_seen: new.first_seen.min(*first_seen),
        last_seen: new.last_seen.max(*last_seen),
        count: new.count.max(*count),
        timeline: std::mem::take(timeline),
        state: std::mem::take(state),
        ..new
    };
}

fn note(finding: &mut Finding, at: u64, what: String) {
    if finding.timeline.len() >= EVENTS {
        finding.timeline.remove(EVENTS / 2);
    }
    finding.timeline.push(Event { at, what });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn finding(id: &str, severity: Severity, last_seen: u64) -> Finding {
        Finding { id: id.into(), severity, first_seen: last_seen, last_seen, ..Finding::default() }
    }

    #[test]
    fn what_the_operator_says_holds_until_it_ends() {
        let mut ledger = Ledger::default();
        ledger.raise(finding("a", Severity::Low, 10), 10, 9);
        ledger.handle("a", State::Muted { reason: "test".into(), until: 20 }, 11);
        ledger.raise(finding("a", Severity::High, 15), 15, 9);
        ledger.expire(19);
        assert!(!ledger.view()[0].state.is_open());
        ledger.expire(20);
        assert_eq!(ledger.view()[0].state, State::New);
        ledger.handle("a", State::Resolved { at: 21 }, 21);
        ledger.raise(finding("a", Severity::Low, 21), 22, 9);
        assert_eq!(ledger.view()[0].state.word(), "resolved");
        ledger.raise(finding("a", Severity::Low, 30), 30, 9);
        let known = &ledger.view()[0];
        assert_eq!((known.state.word(), known.severity), ("new", Severity::High));
        let events: Vec<&str> = known.timeline.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(
            events[1..],
            ["muted: test", "now high", "no longer muted", "resolved", "again, although it was resolved"]
        );
    }

    #[test]
    fn what_is_less_urgent_makes_room() {
        let mut ledger = Ledger::default();
        (0..3).for_each(|n| ledger.raise(finding(&n.to_string(), Severity::Low, n), n, 3));
        ledger.raise(finding("high", Severity::High, 1), 1, 3);
        ledger.raise(finding("info", Severity::Info, 9), 9, 3);
        let ids: Vec<String> = ledger.view().into_iter().map(|finding| finding.id).collect();
        assert_eq!((ids, ledger.dropped), (vec!["high".into(), "2".into(), "1".into()], 2));
    }
}
