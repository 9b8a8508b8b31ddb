//! Learning what is usual, a minute at a time. A minute is believed after [`DELAY`], and only of actors of whom nothing was
//! found in between: who enumerates, floods or probes teaches nothing.

use super::Knowledge;
use super::dossiers::Dossiers;
use crate::baseline::{Baseline, MINUTE, Minute, Norm, NormKey};
use crate::endpoint::{EndpointKey, Id};
use crate::family::Kinds;
use crate::finding::Severity;
use crate::load::SECOND;
use crate::trail::{CROWD, NOBODY, Outcome, Scope, TrailKey};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Nanoseconds that a minute waits: what an attack is found by comes within some of them.
const DELAY: u64 = 5 * MINUTE;
/// Nanoseconds that reports of a minute may be late.
const LATE: u64 = 10 * SECOND;
/// Samples that wait; those beyond teach nothing.
const WAITING: usize = 32_768;

/// See the module.
#[derive(Default)]
pub(super) struct Learning {
    pub(super) baseline: Baseline,
    /// The minute that was looked at last.
    done: u64,
    waiting: VecDeque<Sample>,
}

/// What an actor did at an operation in a minute.
struct Sample {
    at: u64,
    key: NormKey,
    caller: Id,
    actor: u64,
    minute: Minute,
    /// Some of it was accepted.
    accepted: bool,
    /// Where it had been before, when it came there for the first time.
    way: Option<Vec<String>>,
}

impl Learning {
    /// Takes what is old enough, without what those did of whom something was found. `accused` says who.
    fn believe(
        &mut self,
        now: u64,
        accused: &HashSet<(String, String, String)>,
        kinds: Kinds,
    ) -> BTreeSet<NormKey> {
        let mut learnt = BTreeSet::new();
        while let Some(sample) = self.waiting.pop_front_if(|sample| sample.at + DELAY <= now) {
            let Sample { at, key, caller, actor, minute, accepted, way } = sample;
            let name = |identity: String| (key.service.to_string(), caller.to_string(), identity);
            if accused.contains(&name(String::new())) || accused.contains(&name(format!("{actor:016x}"))) {
                continue;
            }
            let kind = kinds.of(&caller);
            if let Some(norm) = self.baseline.learning(&NormKey::edge(&key.service, kind)) {
                norm.learn(at, minute);
            }
            let Some(norm) = self.baseline.learning(&key) else { continue };
            norm.learn(at, minute);
            if accepted {
                Norm::name(&mut norm.callers, kind);
                learnt.insert(key);
            }
            way.into_iter().for_each(|way| norm.learn_way(way.iter().map(String::as_str)));
        }
        self.baseline.age(now);
        learnt
    }
}

impl Knowledge {
    /// What was learnt in earlier runs or elsewhere.
    pub fn teach(&mut self, norms: impl IntoIterator<Item = (NormKey, Norm)>) {
        norms.into_iter().for_each(|(key, norm)| self.learning.baseline.add(&key, &norm));
    }

    /// What is usual so far, for the caller to keep.
    #[must_use]
    pub const fn baseline(&self) -> &Baseline {
        &self.learning.baseline
    }

    /// Looks at the last whole minute, once.
    pub(super) fn learn_if_due(&mut self, now: u64) {
        let Some(minute) = (now.saturating_sub(LATE) / MINUTE).checked_sub(1) else { return };
        if minute <= self.learning.done {
            return;
        }
        self.learning.done = minute;
        let (accused, kinds) = (self.ledger.accused(Severity::Medium), self.kinds());
        let learnt = self.learning.believe(now, &accused, kinds);
        self.learn_properties(&learnt);
        let workloads = &self.workloads;
        let shown = |key: &EndpointKey| -> Arc<str> {
            let service = workloads.get(&key.service).and_then(|known| known.service.as_ref());
            service.and_then(|service| service.shown(key)).unwrap_or(&key.path).clone()
        };
        let samples = samples(&self.dossiers, minute * MINUTE, &shown);
        let room = WAITING.saturating_sub(self.learning.waiting.len());
        self.learning.waiting.extend(samples.into_iter().take(room));
    }

    /// The properties that answers of these operations have had.
    fn learn_properties(&mut self, learnt: &BTreeSet<NormKey>) {
        let mut found: Vec<(NormKey, Vec<String>)> = Vec::new();
        for (key, stats) in self.observed() {
            let Some(looks) = stats.looks.as_deref() else { continue };
            let service = self.workloads.get(&key.service).and_then(|known| known.service.as_ref());
            let path = service.and_then(|service| service.shown(key)).unwrap_or(&key.path);
            let name = NormKey::of(key, path);
            if learnt.contains(&name) {
                let answers = looks.kept().iter().filter(|look| (200..300).contains(&look.status));
                let places = answers.flat_map(|look| look.whole.places());
                found.push((name, places.map(|place| place.path.to_string()).collect()));
            }
        }
        for (key, places) in found {
            if let Some(norm) = self.learning.baseline.learning(&key) {
                places.iter().for_each(|place| Norm::name(&mut norm.properties, place));
            }
        }
    }
}

/// What every actor did in the minute that begins at `from` (Unix nanoseconds).
fn samples(dossiers: &Dossiers, from: u64, shown: &dyn Fn(&EndpointKey) -> Arc<str>) -> Vec<Sample> {
    let mut samples = Vec::new();
    // Clients that came somewhere for the first time, with the place of that sample.
    let mut arrived: HashMap<(&Id, &Id, u64), Vec<usize>> = HashMap::new();
    let actors = |key: &TrailKey| key.scope == Scope::Actor && key.actor != CROWD;
    for (key, dossier) in dossiers.known.iter().filter(|(key, _)| actors(key)) {
        let Some(minute) = dossier.minute(from) else { continue };
        let trail = &dossier.total;
        let accepted = trail.with(Outcome::Accepted) > 0;
        let writes = matches!(key.endpoint.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
        if writes && accepted && key.actor != NOBODY && trail.first >= from {
            let client = (&key.endpoint.service, &key.caller, key.actor);
            arrived.entry(client).or_default().push(samples.len());
        }
        samples.push(Sample {
            at: from,
            key: NormKey::of(&key.endpoint, &shown(&key.endpoint)),
            caller: key.caller.clone(),
            actor: key.actor,
            minute,
            accepted,
            way: None,
        });
    }
    if arrived.is_empty() {
        return samples;
    }
    let mut been: HashMap<usize, (u64, Vec<(u64, String)>)> = HashMap::new();
    for (key, dossier) in dossiers.known.iter().filter(|(key, _)| actors(key)) {
        let client = (&key.endpoint.service, &key.caller, key.actor);
        let Some(places) = arrived.get(&client) else { continue };
        let name = NormKey::of(&key.endpoint, &shown(&key.endpoint));
        for at in places {
            let Some(sample) = samples.get(*at) else { continue };
            let (first, steps) = been.entry(*at).or_insert((u64::MAX, Vec::new()));
            if sample.key == name {
                *first = dossier.total.first;
            } else if dossier.total.with(Outcome::Accepted) > 0 {
                steps.push((dossier.total.first, name.step()));
            }
        }
    }
    for (at, (first, steps)) in been {
        if let Some(sample) = samples.get_mut(at) {
            let before = steps.into_iter().filter(|(when, _)| *when < first).map(|(_, step)| step);
            sample.way = Some(before.collect::<BTreeSet<_>>().into_iter().collect());
        }
    }
    samples
}

#[cfg(test)]
mod tests;
