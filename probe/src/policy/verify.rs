//! Whether policies work: what the kernel refused and what sentries saw, together, and what is wrong with that, in words.

use super::ledger::Ledger;
use super::sentry::Order;
use super::tally::{Gathered, Key, Tally, ago};
use crate::journal::Disk;
use apisec_engine::policy::Scope;
use apisec_engine::policy::measure::When;
use apisec_engine::policy::standing::{EffectView, PolicyView, State};

/// A policy that nothing has met for so many seconds is said to have no effect.
const QUIET: u64 = 60;

/// What goes on with one policy that the operator must know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its number.
    pub id: u32,
    /// It does not do what it says; otherwise it may only be idle.
    pub fails: bool,
    /// What, in words.
    pub what: String,
}

/// The policies in force, as a sentry takes them.
#[must_use]
pub fn orders(views: &[PolicyView]) -> Vec<Order<'_>> {
    let active = views.iter().filter(|view| view.state == State::Active);
    active
        .filter_map(|view| {
            let since = view.applied_ns.saturating_add(view.took_us.saturating_mul(1_000));
            Some(Order { key: key(view), policy: view.policy.as_ref()?, since })
        })
        .collect()
}

/// How policies stand, with what was seen of the calls that they are about.
pub fn views<D: Disk>(ledger: &Ledger<D>, seen: &Gathered) -> (Vec<PolicyView>, Vec<Alarm>) {
    let mut views = ledger.views();
    let mut alarms = Vec::new();
    for view in views.iter_mut().filter(|view| view.state == State::Active) {
        view.watched = seen.watched;
        if let Some(tally) = seen.tallies.get(&key(view)) {
            add(view, tally);
        }
        let none = Tally::default();
        let found = alarm(view, seen.tallies.get(&key(view)).unwrap_or(&none));
        view.trouble.extend(found.iter().map(|alarm| alarm.what.clone()));
        alarms.extend(found);
    }
    (views, alarms)
}

const fn key(view: &PolicyView) -> Key {
    (view.id, view.applied_ns)
}

fn add(view: &mut PolicyView, tally: &Tally) {
    view.passed = tally.passed;
    view.closed = tally.closed;
    view.undecided = view.undecided.saturating_add(tally.undecided);
    view.blocked = view.blocked.saturating_add(tally.closed);
    view.last_ns = view.last_ns.max(tally.last_closed);
    view.delay_us = tally.delay / 1_000;
    if tally.closed > 0 && !view.when.contains(&When::Reactive) {
        view.when.push(When::Reactive);
    }
    for (name, seen) in &tally.callers {
        match view.callers.iter_mut().find(|one| one.caller == *name) {
            Some(one) => {
                one.passed = seen.passed;
                one.blocked = one.blocked.saturating_add(seen.closed);
                one.last_ns = one.last_ns.max(seen.last);
            }
            None => view.callers.push(EffectView {
                caller: name.clone(),
                pid: 0,
                blocked: seen.closed,
                passed: seen.passed,
                last_ns: seen.last,
            }),
        }
    }
    view.callers.sort_by_key(|one| std::cmp::Reverse((one.blocked, one.passed)));
}

/// What is wrong with a policy that is in force.
fn alarm(view: &PolicyView, tally: &Tally) -> Vec<Alarm> {
    let mut found = Vec::new();
    let mut say = |fails: bool, what: String| found.push(Alarm { id: view.id, fails, what });
    let reactive = view.when.contains(&When::Reactive);
    let rate = view.policy.as_ref().is_some_and(|policy| matches!(policy.spec.scope, Scope::Rate(_)));
    if reactive && !view.watched {
        let rest = if view.when.contains(&When::Inline) { "; what is inline is stopped" } else { "" };
        say(true, format!("nobody looks at traffic, so no connection is closed: start apisec-top{rest}"));
    }
    if tally.failed > 0 {
        say(true, format!("{} connections could not be closed", tally.failed));
    }
    if tally.passed > 0 && !reactive {
        let last = ago(tally.last_passed);
        say(
            true,
            format!("{} calls got through that it should have refused, the last {last} s ago", tally.passed),
        );
    }
    if reactive && tally.passed > 0 && tally.closed == 0 && view.blocked == 0 {
        say(true, format!("{} calls got through and no connection was closed", tally.passed));
    }
    if tally.undecided > 0 {
        let what = "calls on connections that began before us could not be read, and went on";
        let rest = "close such connections in the Coverage view, or apply it with failClosed";
        say(false, format!("{} {what}: {rest}", tally.undecided));
    }
    if tally.missed > 0 {
        say(false, format!("there was no time to look at {} calls: some may have passed", tally.missed));
    }
    let age = ago(view.applied_ns);
    let met = view.blocked > 0 || view.passed > 0 || view.within_rate > 0 || view.undecided > 0;
    if !met && age >= QUIET {
        let seen = if view.watched && !rate {
            "nothing that it is about was seen"
        } else {
            "it has refused nothing"
        };
        say(false, format!("NO EFFECT: {seen} in {age} s"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::policy::draft;

    fn view(when: Vec<When>) -> PolicyView {
        let policy = draft::edge("cart", "orders").unwrap();
        let mut view = PolicyView::of(3, State::Active);
        (view.applied_ns, view.when, view.policy) = (crate::clock::now(), when, Some(policy));
        view
    }

    fn said(view: &mut PolicyView, tally: &Tally) -> String {
        add(view, tally);
        alarm(view, tally).into_iter().map(|alarm| alarm.what).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_does_not_work_is_said() {
        let watched = |when| PolicyView { watched: true, ..view(when) };
        let passed = Tally { passed: 2, ..Tally::default() };
        assert_eq!(said(&mut watched(vec![When::Inline]), &Tally::default()), "");
        assert!(said(&mut watched(vec![When::Inline]), &passed).starts_with("2 calls got through that"));
        assert!(said(&mut watched(vec![When::Reactive]), &passed).contains("no connection was closed"));
        let closed = Tally { closed: 2, delay: 3_000_000, ..passed };
        let mut good = watched(vec![When::Reactive]);
        assert_eq!(said(&mut good, &closed), "");
        assert_eq!((good.blocked, good.passed, good.delay_us), (2, 2, 3_000));
        assert!(said(&mut view(vec![When::Reactive]), &Tally::default()).starts_with("nobody looks"));
        let old = |watched| PolicyView { applied_ns: 0, watched, ..view(vec![When::Inline]) };
        assert!(said(&mut old(true), &Tally::default()).starts_with("NO EFFECT: nothing that it is about"));
        assert!(said(&mut old(false), &Tally::default()).starts_with("NO EFFECT: it has refused nothing"));
    }

    #[test]
    fn callers_of_both_are_one_row() {
        let mut view = view(vec![When::Inline]);
        view.callers.push(EffectView { caller: "curl".into(), pid: 7, blocked: 4, passed: 0, last_ns: 1 });
        let mut tally = Tally { passed: 1, ..Tally::default() };
        tally.caller("curl").unwrap().passed = 1;
        tally.caller("wget").unwrap().closed = 9;
        add(&mut view, &tally);
        let rows: Vec<_> =
            view.callers.iter().map(|one| (one.caller.as_str(), one.blocked, one.passed)).collect();
        assert_eq!(rows, [("wget", 9, 0), ("curl", 4, 1)]);
    }
}
