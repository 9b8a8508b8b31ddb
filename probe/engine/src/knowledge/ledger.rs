//! The findings: each once, brought up to date, with what the operator made of it, now, in an earlier run, or in the list of
//! suppressions.

use crate::endpoint::{EndpointKey, Id};
use crate::finding::{Event, Finding, Severity, State};
use crate::suppression::Suppression;
use indexmap::IndexMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Entries of a timeline: the first few tell how it began, the last how it goes on.
const EVENTS: usize = 32;

/// What the operator said of findings that is remembered: as much as somebody says in years.
const SAID: usize = 4_096;

/// See the module.
#[derive(Default)]
pub(super) struct Ledger {
    findings: IndexMap<String, Finding>,
    /// The endpoints that they are about, by id: what they are shown as may change.
    places: HashMap<String, EndpointKey>,
    /// What the operator said of them, by id, also of those that were not found again in this run.
    said: BTreeMap<String, State>,
    pub(super) suppressions: Vec<Suppression>,
    /// Findings that made room for others.
    pub(super) dropped: u64,
}

impl Ledger {
    /// Adds a finding, or brings the one that it is up to date.
    pub(super) fn raise(&mut self, new: Finding, place: Option<EndpointKey>, now: u64, limit: usize) {
        if let Some(known) = self.findings.get_mut(&new.id) {
            place.into_iter().for_each(|place| drop(self.places.insert(new.id.clone(), place)));
            update(known, new, now);
            return suppress(&self.suppressions, known, now);
        }
        if self.findings.len() >= limit {
            self.make_room(&new);
        }
        if self.findings.len() < limit {
            let mut new = new;
            let what = format!("found, {} with {} confidence", new.severity.word(), new.confidence.word());
            new.timeline.push(Event { at: new.last_seen.min(now), what });
            place.into_iter().for_each(|place| drop(self.places.insert(new.id.clone(), place)));
            self.said.get(&new.id).into_iter().for_each(|state| recall(&mut new, state, now));
            suppress(&self.suppressions, &mut new, now);
            self.findings.insert(new.id.clone(), new);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Takes a finding of an earlier run, as it was.
    pub(super) fn recall(&mut self, finding: Finding) {
        self.findings.insert(finding.id.clone(), finding);
    }

    /// Of whom something at least this bad was found that nobody has muted or resolved: service, caller and hash of the identity.
    pub(super) fn accused(&self, least: Severity) -> HashSet<(String, String, String)> {
        let open =
            self.findings.values().filter(|finding| finding.state.is_open() && finding.severity >= least);
        open.filter(|finding| !finding.actor.is_empty())
            .map(|finding| (finding.service.clone(), finding.actor.clone(), finding.identity_hash.clone()))
            .collect()
    }

    /// Takes in what the operator made of a finding.
    pub(super) fn handle(&mut self, id: &str, state: State, now: u64) {
        if let Some(finding) = self.findings.get_mut(id) {
            let what = match &state {
                State::Muted { reason, .. } => format!("muted: {reason}"),
                state => state.word().to_owned(),
            };
            finding.state = state.clone();
            note(finding, now, what);
        }
        match state {
            State::New => drop(self.said.remove(id)),
            state => self.remember(id.to_owned(), state),
        }
    }

    /// What the operator said so far, by the ids of findings.
    pub(super) const fn said(&self) -> &BTreeMap<String, State> {
        &self.said
    }

    /// What the operator said in an earlier run holds; without room for it what was resolved longest ago is forgotten first.
    pub(super) fn remember(&mut self, id: String, state: State) {
        let is_over = |state: &State| match state {
            State::Resolved { at } => *at,
            _ => u64::MAX,
        };
        if self.said.len() >= SAID
            && let Some(oldest) =
                self.said.iter().min_by_key(|(_, state)| is_over(state)).map(|(id, _)| id.clone())
        {
            self.said.remove(&oldest);
        }
        self.said.insert(id, state);
    }

    /// Findings that were muted until now are new again.
    pub(super) fn expire(&mut self, now: u64) {
        let over = |finding: &&mut Finding| matches!(finding.state, State::Muted { until, .. } if until > 0 && until <= now);
        for finding in self.findings.values_mut().filter(over) {
            finding.state = State::New;
            self.said.remove(&finding.id);
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
        self.places
            .values_mut()
            .filter(|place| place.service == *from)
            .for_each(|place| place.service = to.clone());
        let named = |finding: &&Finding| finding.service == **from || finding.actor == **from;
        let ids: Vec<String> =
            self.findings.values().filter(named).map(|finding| finding.id.clone()).collect();
        for id in ids {
            self.change(&id, |finding| {
                let Finding { service, actor, suggestion, .. } = finding;
                for id in [service, actor, &mut suggestion.service, &mut suggestion.caller] {
                    if *id == **from {
                        *id = to.to_string();
                    }
                }
            });
        }
    }

    /// Endpoints may be shown under another path by now; what was found there is told of that one.
    pub(super) fn follow(&mut self, shown: &dyn Fn(&EndpointKey) -> Option<Arc<str>>) {
        let moved = |(id, place): (&String, &EndpointKey)| {
            let path = shown(place)?;
            self.findings.get(id).filter(|finding| *finding.path != *path).map(|_| (id.clone(), path))
        };
        let moved: Vec<(String, Arc<str>)> = self.places.iter().filter_map(moved).collect();
        for (id, path) in moved {
            self.change(&id, |finding| {
                let called = |path: &str| format!("{} {path}", finding.method);
                let (old, new) = (called(&finding.path), called(&path));
                let Finding { title, suggestion, .. } = finding;
                for text in [title, &mut suggestion.what] {
                    *text = text.replace(&old, &new);
                }
                if finding.suggestion.path == finding.path {
                    finding.suggestion.path = path.to_string();
                }
                finding.path = path.to_string();
            });
        }
    }

    /// Changes what a finding is about. If that is known already, the two are one.
    fn change(&mut self, id: &str, change: impl FnOnce(&mut Finding)) {
        let Some(mut finding) = self.findings.swap_remove(id) else { return };
        let place = self.places.remove(id);
        change(&mut finding);
        finding.id = finding.name();
        if let Some(state) = self.said.remove(id) {
            self.remember(finding.id.clone(), state);
        }
        place.into_iter().for_each(|place| drop(self.places.insert(finding.id.clone(), place)));
        match self.findings.entry(finding.id.clone()) {
            indexmap::map::Entry::Vacant(free) => drop(free.insert(finding)),
            indexmap::map::Entry::Occupied(mut known) => join(known.get_mut(), finding),
        }
    }

    /// Lets the least urgent finding go, if it is less urgent than `new`.
    fn make_room(&mut self, new: &Finding) {
        let least = self.findings.values().min_by_key(|finding| finding.urgency());
        if let Some(least) = least.filter(|least| least.urgency() < new.urgency()) {
            let id = least.id.clone();
            self.findings.swap_remove(&id);
            self.places.remove(&id);
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

/// What was said of a finding in an earlier run holds for it, unless it is over.
fn recall(finding: &mut Finding, state: &State, now: u64) {
    match state {
        State::Muted { until, .. } if *until > 0 && *until <= now => {}
        State::Resolved { at } if finding.last_seen > *at => {
            note(finding, now, "again, although it was resolved".to_owned());
        }
        state => {
            finding.state = state.clone();
            note(finding, now, format!("{} in an earlier run", state.word()));
        }
    }
}

/// Mutes a finding that the list of suppressions covers.
fn suppress(suppressions: &[Suppression], finding: &mut Finding, now: u64) {
    if !finding.state.is_open() {
        return;
    }
    let covering = suppressions.iter().find(|suppression| suppression.covers(finding, now));
    if let Some(Suppression { reason, until, .. }) = covering {
        finding.state = State::Muted { reason: reason.clone(), until: *until };
        note(finding, now, format!("suppressed by the list: {reason}"));
    }
}

/// Adds what is known of the same thing under another name: what the operator said of either holds.
fn join(known: &mut Finding, other: Finding) {
    known.severity = known.severity.max(other.severity);
    known.confidence = known.confidence.max(other.confidence);
    known.count = known.count.saturating_add(other.count);
    known.first_seen = known.first_seen.min(other.first_seen);
    known.last_seen = known.last_seen.max(other.last_seen);
    if known.state == State::New {
        known.state = other.state;
    }
    other.timeline.into_iter().for_each(|event| note(known, event.at, event.what));
    known.timeline.sort_by_key(|event| event.at);
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

    fn finding(id: &str, severity: Severity, last_seen: u64) -> Finding {
        Finding { id: id.into(), severity, first_seen: last_seen, last_seen, ..Finding::default() }
    }

    #[test]
    fn what_the_operator_says_holds_until_it_ends() {
        let mut ledger = Ledger::default();
        ledger.raise(finding("a", Severity::Low, 10), None, 10, 9);
        ledger.handle("a", State::Muted { reason: "test".into(), until: 20 }, 11);
        ledger.raise(finding("a", Severity::High, 15), None, 15, 9);
        ledger.expire(19);
        assert!(!ledger.view()[0].state.is_open());
        ledger.expire(20);
        assert_eq!(ledger.view()[0].state, State::New);
        ledger.handle("a", State::Resolved { at: 21 }, 21);
        ledger.raise(finding("a", Severity::Low, 21), None, 22, 9);
        assert_eq!(ledger.view()[0].state.word(), "resolved");
        ledger.raise(finding("a", Severity::Low, 30), None, 30, 9);
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
        (0..3).for_each(|n| ledger.raise(finding(&n.to_string(), Severity::Low, n), None, n, 3));
        ledger.raise(finding("high", Severity::High, 1), None, 1, 3);
        ledger.raise(finding("info", Severity::Info, 9), None, 9, 3);
        let ids: Vec<String> = ledger.view().into_iter().map(|finding| finding.id).collect();
        assert_eq!((ids, ledger.dropped), (vec!["high".into(), "2".into(), "1".into()], 2));
    }

    #[test]
    fn one_endpoint_has_one_name() {
        let mut ledger = Ledger::default();
        let place = crate::fixture::delta().endpoints[0].0.clone();
        let named = |path: &str| {
            let mut finding = Finding {
                method: "GET".into(),
                path: path.into(),
                title: format!("objects of GET {path}"),
                ..finding("", Severity::Low, 10)
            };
            finding.id = finding.name();
            finding
        };
        ledger.raise(named("/users/{id:int}"), Some(place.clone()), 10, 9);
        ledger.handle(&named("/users/{id:int}").id, State::Acknowledged, 11);
        ledger.raise(named("/users/{user}"), Some(place), 12, 9);
        ledger.follow(&|_| Some("/users/{user}".into()));
        let [one] = &ledger.view()[..] else { panic!("{:#?}", ledger.view()) };
        assert_eq!((one.title.as_str(), one.state.word()), ("objects of GET /users/{user}", "acknowledged"));
        assert_eq!(one.id, named("/users/{user}").id);
    }

    #[test]
    fn what_was_said_in_an_earlier_run_holds() {
        let mut before = Ledger::default();
        before.handle("a", State::Acknowledged, 1);
        before.handle("b", State::Resolved { at: 9 }, 9);
        before.handle("c", State::Muted { reason: "test".into(), until: 15 }, 9);
        before.handle("d", State::Muted { reason: "test".into(), until: 9 }, 9);
        before.handle("e", State::Acknowledged, 1);
        before.handle("e", State::New, 2);
        let mut ledger = Ledger::default();
        before.said().iter().for_each(|(id, state)| ledger.remember(id.clone(), state.clone()));
        ["a", "b", "c", "d", "e"]
            .iter()
            .for_each(|id| ledger.raise(finding(id, Severity::Low, 10), None, 10, 9));
        let state = |id: &str| ledger.findings[id].state.word();
        assert_eq!(["a", "b", "c", "d", "e"].map(state), ["acknowledged", "new", "muted", "new", "new"]);
    }

    #[test]
    fn the_list_mutes_until_it_ends() {
        let entry = Suppression { reason: "known".into(), until: 20, ..Suppression::default() };
        let mut ledger = Ledger { suppressions: vec![entry], ..Ledger::default() };
        ledger.raise(finding("a", Severity::Low, 10), None, 10, 9);
        assert_eq!(ledger.view()[0].state, State::Muted { reason: "known".into(), until: 20 });
        ledger.expire(20);
        ledger.raise(finding("a", Severity::Low, 21), None, 21, 9);
        assert_eq!(ledger.view()[0].state, State::New);
    }

    #[test]
    fn what_is_said_is_remembered_within_bounds() {
        let mut ledger = Ledger::default();
        ledger.handle("kept", State::Acknowledged, 1);
        for n in 0..2 * SAID as u64 {
            ledger.handle(&format!("{n:08}"), State::Resolved { at: n }, n);
        }
        assert_eq!(ledger.said().len(), SAID);
        assert!(ledger.said().contains_key("kept") && ledger.said().contains_key("00008191"));
    }
}
