//! How policies stand, for views and reports.

use super::Ledger;
use super::fold::{Stage, Standing};
use crate::clock;
use crate::enforce::{Effect, HeldPolicy};
use crate::journal::{Disk, Ending, Entry, Event};
use apisec_engine::policy::measure::When;
use apisec_engine::policy::standing::{EffectView, HistoryView, PolicyView, State};
use std::collections::BTreeMap;

/// Policies that are over and still listed.
const ENDED: usize = 50;
/// Entries of the journal that a view shows.
const HISTORY: usize = 500;
/// Callers that are named.
const CALLERS: usize = 32;

impl<D: Disk> Ledger<D> {
    /// The policies that are in force and those that ended lately, newest first.
    #[must_use]
    pub fn views(&self) -> Vec<PolicyView> {
        let effects = self.backend.effects().unwrap_or_default();
        let held = self.backend.inspect().map(|held| held.policies).unwrap_or_default();
        let held: BTreeMap<u32, HeldPolicy> = held.into_iter().map(|one| (one.policy, one)).collect();
        let mut ended = 0;
        let mut views: Vec<PolicyView> = Vec::new();
        for (id, known) in self.standing.iter().rev() {
            ended += usize::from(!known.stage.is_open());
            if known.stage.is_open() || ended <= ENDED {
                views.push(self.view(*id, known, held.contains_key(id), &effects));
            }
        }
        let unknown = held.values().filter(|one| !self.standing.contains_key(&one.policy));
        let mut all: Vec<PolicyView> = unknown.map(|one| foreign(one, &effects)).collect();
        all.extend(views);
        all
    }

    fn view(&self, id: u32, known: &Standing, held: bool, effects: &[Effect]) -> PolicyView {
        let spec = known.policy.as_ref().map(|policy| &policy.spec);
        let state = match known.stage {
            Stage::Active | Stage::Preparing if known.rules > 0 && !held && !known.tied => State::Missing,
            Stage::Preparing | Stage::Active => State::Active,
            Stage::Missing => State::Missing,
            Stage::Undoing(_) | Stage::Stuck => State::Failed,
            Stage::Ended(Ending::Expired) => State::Expired,
            Stage::Ended(_) => State::Undone,
        };
        let mut trouble = known.trouble.clone();
        if state == State::Missing {
            trouble.push("it is not in force: the kernel has nothing of it".to_owned());
        }
        let mut when = Vec::new();
        when.extend((known.rules > 0).then_some(When::Inline));
        when.extend((known.reactive || known.rules == 0).then_some(When::Reactive));
        let mut view = PolicyView {
            name: known.name().to_owned(),
            scope: spec.map_or("", |spec| spec.scope.word()).to_owned(),
            what: known.policy.as_ref().map(apisec_engine::policy::Policy::describe).unwrap_or_default(),
            backend: spec.map_or("", |spec| spec.backend.word()).to_owned(),
            when,
            applied_ns: known.applied,
            deadline_ns: if known.stage.is_open() { known.deadline.unwrap_or_default() } else { known.ended },
            reason: spec.map(|spec| spec.reason.to_string()).unwrap_or_default(),
            finding: spec.and_then(|spec| spec.finding.as_ref()).map(ToString::to_string).unwrap_or_default(),
            by: known.by.to_string(),
            blocked: known.effect.0,
            undecided: known.effect.2,
            within_rate: known.effect.1,
            took_us: known.took_us,
            trouble,
            policy: known.policy.clone(),
            ..PolicyView::of(id, state)
        };
        add_effects(&mut view, effects);
        view
    }

    /// The newest entries of the journal, newest first.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryView> {
        history_of(self.journal.entries())
    }
}

/// The newest entries of a journal, newest first, each with the name of its policy.
#[must_use]
pub fn history_of(entries: &[Entry]) -> Vec<HistoryView> {
    let name = |entry: &Entry| match &entry.event {
        Event::Prepared { id, policy, .. } => Some((*id, policy.metadata.name.to_string())),
        _ => None,
    };
    let names: BTreeMap<u32, String> = entries.iter().filter_map(name).collect();
    let view = |entry: &Entry| {
        let id = entry.event.id();
        HistoryView {
            seq: entry.seq,
            at: entry.at,
            id,
            name: names.get(&id).cloned().unwrap_or_default(),
            event: entry.event.word().to_owned(),
            what: words(&entry.event),
            by: entry.by.to_string(),
        }
    };
    entries.iter().rev().take(HISTORY).map(view).collect()
}

/// A policy that only the kernel knows.
fn foreign(held: &HeldPolicy, effects: &[Effect]) -> PolicyView {
    let mut view = PolicyView {
        what: format!("{} rules that this journal does not know", held.rules),
        backend: "ebpf".to_owned(),
        when: vec![When::Inline],
        deadline_ns: held.deadline.unix_nanos().unwrap_or_default(),
        trouble: vec!["in force, and not in this journal: another state folder, or a lost one".to_owned()],
        ..PolicyView::of(held.policy, State::Unknown)
    };
    add_effects(&mut view, effects);
    view
}

fn add_effects(view: &mut PolicyView, effects: &[Effect]) {
    let boot = clock::boottime();
    let now = clock::now();
    let wall = |last: u64| if last == 0 { 0 } else { now.saturating_sub(boot.saturating_sub(last)) };
    let mine = effects.iter().filter(|effect| effect.policy == view.id);
    for effect in mine {
        view.blocked = view.blocked.saturating_add(effect.blocked);
        view.within_rate = view.within_rate.saturating_add(effect.passed);
        view.undecided = view.undecided.saturating_add(effect.undecided);
        view.last_ns = view.last_ns.max(wall(effect.last));
        let address = effect.caller.addr.map(|addr| addr.to_string());
        view.callers.push(EffectView {
            caller: address.unwrap_or_else(|| effect.caller.comm.clone()),
            pid: effect.caller.pid,
            blocked: effect.blocked,
            passed: 0,
            last_ns: wall(effect.last),
        });
    }
    view.callers.sort_by_key(|one| std::cmp::Reverse(one.blocked));
    view.callers.truncate(CALLERS);
}

/// What an event says, in words.
#[must_use]
pub fn words(event: &Event) -> String {
    match event {
        Event::Prepared { policy, plan, forced, .. } => {
            let mut text = format!("{} for {}", policy.describe(), policy.spec.ttl);
            if !policy.spec.reason.is_empty() {
                text.push_str(&format!(", because of {}", policy.spec.reason));
            }
            for step in plan {
                text.push_str(&format!("; {step}"));
            }
            for refusal in forced {
                text.push_str(&format!("; forced although it cuts {}", refusal.what));
            }
            text
        }
        Event::Applied { entries, took_us, warnings, .. } => {
            let warned = warnings.iter().map(|warning| format!("; {warning}")).collect::<String>();
            format!("{entries} kernel entries after {took_us} µs{warned}")
        }
        Event::Failed { doing, why, .. } => format!("{doing}: {why}"),
        Event::Undoing { ending, .. } => format!("{ending:?}").to_lowercase(),
        Event::Undone { ending, blocked, undecided, .. } => {
            format!("{}: blocked {blocked}, undecided {undecided}", format!("{ending:?}").to_lowercase())
        }
        Event::Renewing { deadline, .. } | Event::Renewed { deadline, .. } => match deadline {
            Some(at) => format!("until {}", apisec_engine::moment::rfc3339(*at)),
            None => "until it is taken back".to_owned(),
        },
        Event::Followed { plan, .. } => format!("who is meant has changed: {}", plan.join("; ")),
        Event::Cleared { policies, pins, left } if left.is_empty() => {
            format!("{policies} policies and {pins} pins removed")
        }
        Event::Cleared { policies, pins, left } => {
            format!("{policies} policies and {pins} pins removed; still there: {left}")
        }
        Event::Differed { what, .. } => what.clone(),
    }
}
