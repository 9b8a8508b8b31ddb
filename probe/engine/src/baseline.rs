//! What is usual: per operation and per edge, learnt from minutes in which nothing was found, kept with the inventory.
//!
//! A minute of one actor is one sample, so that somebody who calls much counts no more than somebody who calls little. Samples
//! wait some minutes before they are believed (`knowledge/learning.rs`), and a level that is known takes nothing far above it:
//! an attack that goes on while we learn must not become the norm. Everything is halved now and then, so that what is no longer
//! usual is forgotten. Names, counts and levels only: no value of the wire is here.

mod document;
mod levels;

pub use document::{Document, DocumentError, FORMAT};
pub use levels::Levels;

use crate::endpoint::{EndpointKey, Id};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Operations and edges of which something is learnt: a quarter of the operations that are known, and these are the most used.
pub const NORMS: usize = 4_096;
/// Kinds of callers, properties of answers and earlier operations that are kept of one operation.
const NAMES: usize = 128;
/// Minutes after which a norm is worth something.
const RIPE_MINUTES: u32 = 30;
/// Samples likewise: below, a high quantile is the largest one.
const RIPE_SAMPLES: u64 = 60;
/// Clients that reached an operation before its usual way there is known.
const RIPE_CLIENTS: u32 = 50;
/// Nanoseconds after which everything counts half.
pub const HALF_LIFE: u64 = 7 * 86_400 * 1_000_000_000;
/// Nanoseconds after which what did not happen again is forgotten.
const FORGET_AFTER: u64 = 30 * 86_400 * 1_000_000_000;
/// Who calls from outside is one kind of caller: addresses come and go.
pub const OUTSIDE: &str = "outside";

/// Whose norm it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NormKey {
    /// Called workload.
    pub service: Id,
    /// Calling workload, without what tells replicas apart; empty for an operation as a whole.
    #[serde(default)]
    pub caller: Id,
    /// Method, empty for an edge.
    #[serde(default)]
    pub method: CompactString,
    /// Path template, as it is shown; likewise.
    #[serde(default)]
    pub path: Arc<str>,
    /// Operation below both.
    #[serde(default)]
    pub operation: CompactString,
}

impl NormKey {
    /// Of an endpoint that is shown under this path.
    #[must_use]
    pub fn of(endpoint: &EndpointKey, path: &Arc<str>) -> Self {
        Self {
            service: endpoint.service.clone(),
            caller: Id::default(),
            method: endpoint.method.clone(),
            path: path.clone(),
            operation: endpoint.operation.clone(),
        }
    }

    /// Of what one kind of caller does at a service.
    #[must_use]
    pub fn edge(service: &Id, caller: &str) -> Self {
        Self { service: service.clone(), caller: caller.into(), ..Self::default() }
    }

    /// Method, path and operation in one text, as sequences name it.
    #[must_use]
    pub fn step(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.operation).trim_end().to_owned()
    }
}

/// What one actor did in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Calls.
    pub calls: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Distinct objects that it was given.
    pub objects: u64,
    /// Microseconds of one call, on average.
    pub latency: u64,
}

/// What is usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Norm {
    /// Minutes from which it was learnt.
    pub minutes: u32,
    /// The last of them, Unix nanoseconds.
    pub last: u64,
    /// When it was halved last, Unix nanoseconds.
    #[serde(default)]
    pub halved: u64,
    /// Calls of an actor in a minute.
    pub calls: Levels,
    /// Bytes of answers to an actor in a minute.
    pub bytes: Levels,
    /// Distinct objects that an actor was given in a minute.
    pub objects: Levels,
    /// Microseconds of a call.
    pub latency: Levels,
    /// Kinds of callers.
    #[serde(default)]
    pub callers: BTreeSet<String>,
    /// Properties of answers.
    #[serde(default)]
    pub properties: BTreeSet<String>,
    /// Clients that reached it.
    #[serde(default)]
    pub clients: u32,
    /// How many of them had been at these operations of the service before.
    #[serde(default)]
    pub before: BTreeMap<String, u32>,
}

impl Norm {
    /// Learns a minute of an actor.
    pub fn learn(&mut self, at: u64, minute: Minute) {
        if at / MINUTE != self.last / MINUTE || self.minutes == 0 {
            self.minutes = self.minutes.saturating_add(1);
        }
        self.halved = if self.halved == 0 { at } else { self.halved };
        self.last = self.last.max(at);
        let Minute { calls, bytes, objects, latency } = minute;
        let parts = [(&mut self.calls, calls), (&mut self.bytes, bytes), (&mut self.objects, objects)];
        parts
            .into_iter()
            .chain([(&mut self.latency, latency)])
            .for_each(|(levels, value)| levels.learn(value));
    }

    /// Learns that a client came here after having been there.
    pub fn learn_way<'a>(&mut self, before: impl Iterator<Item = &'a str>) {
        self.clients = self.clients.saturating_add(1);
        for step in before {
            if let Some(count) = self.before.get_mut(step) {
                *count = count.saturating_add(1);
            } else if self.before.len() < NAMES {
                self.before.insert(step.to_owned(), 1);
            }
        }
    }

    /// Adds a name to a set, while there is room.
    pub fn name(set: &mut BTreeSet<String>, name: &str) {
        if set.len() < NAMES && !set.contains(name) {
            set.insert(name.to_owned());
        }
    }

    /// Whether it is worth something.
    #[must_use]
    pub fn is_ripe(&self) -> bool {
        self.minutes >= RIPE_MINUTES && self.calls.len() >= RIPE_SAMPLES
    }

    /// The operations that nearly everybody had been at before, with their share.
    pub fn way(&self) -> impl Iterator<Item = (&str, f64)> {
        let clients = f64::from(self.clients.max(1));
        let ripe = self.clients >= RIPE_CLIENTS;
        let all = self.before.iter().map(move |(step, count)| (step.as_str(), f64::from(*count) / clients));
        all.filter(move |(_, share)| ripe && *share >= 0.95)
    }

    /// Adds what was learnt elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.minutes = self.minutes.saturating_add(other.minutes);
        self.last = self.last.max(other.last);
        self.halved = self.halved.max(other.halved);
        self.calls.merge(&other.calls);
        self.bytes.merge(&other.bytes);
        self.objects.merge(&other.objects);
        self.latency.merge(&other.latency);
        other.callers.iter().for_each(|name| Self::name(&mut self.callers, name));
        other.properties.iter().for_each(|name| Self::name(&mut self.properties, name));
        self.clients = self.clients.saturating_add(other.clients);
        for (step, count) in &other.before {
            if self.before.len() < NAMES || self.before.contains_key(step) {
                let sum = self.before.entry(step.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }

    /// Halves it as often as its half-life has passed.
    fn age(&mut self, now: u64) {
        while now.saturating_sub(self.halved) >= HALF_LIFE {
            self.halved = self.halved.saturating_add(HALF_LIFE);
            self.minutes /= 2;
            self.clients /= 2;
            self.before.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
            [&mut self.calls, &mut self.bytes, &mut self.objects, &mut self.latency]
                .into_iter()
                .for_each(Levels::halve);
            if self.minutes == 0 {
                self.halved = now;
            }
        }
    }
}

/// Nanoseconds of a minute.
pub const MINUTE: u64 = 60 * 1_000_000_000;

/// All norms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    norms: BTreeMap<NormKey, Norm>,
    /// Goes up with every change.
    pub revision: u64,
    /// Samples that found no room.
    pub dropped: u64,
}

impl Baseline {
    /// The norm of somebody, whatever it is worth.
    #[must_use]
    pub fn get(&self, key: &NormKey) -> Option<&Norm> {
        self.norms.get(key)
    }

    /// The norm of somebody, if it is worth something.
    #[must_use]
    pub fn ripe(&self, key: &NormKey) -> Option<&Norm> {
        self.norms.get(key).filter(|norm| norm.is_ripe())
    }

    /// The norm of somebody, to learn.
    pub fn learning(&mut self, key: &NormKey) -> Option<&mut Norm> {
        self.revision += 1;
        if !self.norms.contains_key(key) {
            if self.norms.len() >= NORMS {
                self.dropped = self.dropped.saturating_add(1);
                return None;
            }
            self.norms.insert(key.clone(), Norm::default());
        }
        self.norms.get_mut(key)
    }

    /// Adds what was learnt in an earlier run or elsewhere, up to the bounds.
    pub fn add(&mut self, key: &NormKey, norm: &Norm) {
        if let Some(known) = self.learning(key) {
            known.merge(norm);
        }
    }

    /// The kinds of callers of a service of which enough is known.
    pub fn callers_of<'a>(&'a self, service: &'a Id) -> impl Iterator<Item = (&'a str, &'a Norm)> {
        let from = NormKey { service: service.clone(), ..NormKey::default() };
        let own = self.norms.range(from..).take_while(move |(key, _)| key.service == *service);
        own.filter(|(key, norm)| !key.caller.is_empty() && norm.is_ripe())
            .map(|(key, norm)| (&*key.caller, norm))
    }

    /// Forgets what is old.
    pub fn age(&mut self, now: u64) {
        let before = self.norms.len();
        self.norms.values_mut().for_each(|norm| norm.age(now));
        self.norms.retain(|_, norm| norm.minutes > 0 && now.saturating_sub(norm.last) < FORGET_AFTER);
        self.revision += u64::from(self.norms.len() != before);
    }

    /// All norms, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&NormKey, &Norm)> {
        self.norms.iter()
    }

    /// The workload with one id is the one with another.
    pub fn rename(&mut self, from: &Id, to: &Id) {
        let named: Vec<NormKey> = self.norms.keys().filter(|key| key.service == *from).cloned().collect();
        for key in named {
            if let Some(norm) = self.norms.remove(&key) {
                self.add(&NormKey { service: to.clone(), ..key }, &norm);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(calls: u64) -> Minute {
        Minute { calls, bytes: calls * 1_000, objects: calls / 2, latency: 2_000 }
    }

    fn key() -> NormKey {
        NormKey {
            service: "process:shop".into(),
            method: "GET".into(),
            path: "/a".into(),
            ..NormKey::default()
        }
    }

    #[test]
    fn a_norm_is_ripe_after_half_an_hour_of_samples() {
        let mut norm = Norm::default();
        (0..29).for_each(|n| (0..5).for_each(|_| norm.learn(n * MINUTE + 1, minute(10))));
        assert!(!norm.is_ripe());
        norm.learn(40 * MINUTE, minute(10));
        assert!(norm.is_ripe());
        assert!((10..=14).contains(&norm.calls.usual_most()), "{}", norm.calls.usual_most());
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut baseline = Baseline::default();
        let norm = baseline.learning(&key()).unwrap();
        (0..100).for_each(|n| norm.learn(n * MINUTE + 1, minute(10)));
        baseline.age(HALF_LIFE + MINUTE);
        assert_eq!(baseline.get(&key()).unwrap().minutes, 50);
        baseline.age(5 * HALF_LIFE);
        assert!(baseline.get(&key()).is_none());
    }

    #[test]
    fn strangers_find_no_room_without_end() {
        let mut baseline = Baseline::default();
        for n in 0..NORMS + 10 {
            let path = format!("/{n}").as_str().into();
            baseline.learning(&NormKey { path, ..key() });
        }
        assert_eq!((baseline.iter().len(), baseline.dropped), (NORMS, 10));
        let mut norm = Norm::default();
        (0..1_000).for_each(|n| Norm::name(&mut norm.callers, &n.to_string()));
        norm.learn_way(["a"; 3].into_iter().chain(["b"]));
        assert_eq!((norm.callers.len(), norm.before["a"]), (NAMES, 3));
    }

    #[test]
    fn a_way_is_known_from_many_clients() {
        let mut norm = Norm::default();
        (0..49).for_each(|_| norm.learn_way(["GET /cart"].into_iter()));
        assert_eq!(norm.way().count(), 0);
        (0..3).for_each(|_| norm.learn_way(["GET /cart", "GET /help"].into_iter()));
        assert_eq!(norm.way().collect::<Vec<_>>(), [("GET /cart", 1.0)]);
    }
}
