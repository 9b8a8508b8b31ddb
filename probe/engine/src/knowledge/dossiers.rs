//! What everybody left behind, of all nodes, within bounds; and the judging of it.

use super::{Knowledge, refresh_services};
use crate::case::{Bench, Case, Cases, Dossier, Settings};
use crate::detect::DETECTORS;
use crate::endpoint::{EndpointKey, Id, is_external};
use crate::family::Kinds;
use crate::limits::{Limits, OVERFLOW};
use crate::load::SECOND;
use crate::trail::{NOBODY, Scope, Trail, TrailKey, epoch_of};
use apisec_proto::call::Vantage;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Nanoseconds after which an actor that does nothing is forgotten; endpoints and edges are not.
const FORGET_AFTER: u64 = 3_600 * SECOND;

/// Whether it adds up what others did: sums have room of their own, so that neither takes that of the other.
const fn is_sum(key: &TrailKey) -> bool {
    matches!(key.scope, Scope::Endpoint | Scope::Edge | Scope::Workload)
}

/// Whose room it takes.
const fn holder(key: &TrailKey) -> &Id {
    match key.scope {
        Scope::Actor | Scope::Client | Scope::Own => &key.caller,
        Scope::Endpoint | Scope::Edge | Scope::Apart | Scope::Workload => &key.endpoint.service,
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Dossiers {
    pub(super) known: IndexMap<TrailKey, Dossier>,
    /// Trails of actors by endpoint, of edges by service.
    places: HashMap<EndpointKey, Vec<u32>>,
    /// How many of the known are sums.
    sums: usize,
    /// Trails with calls since the last judgement.
    fresh: BTreeSet<u32>,
    /// Epoch of the last judgement.
    judged: u32,
    /// Calls whose trail was added to others'.
    pub(super) crowded: u64,
    pub(super) settings: Settings,
}

impl Dossiers {
    /// Adds what somebody did in an epoch, and what follows from it for those that are sums.
    fn add(&mut self, key: TrailKey, epoch: u32, trail: &Trail) {
        if key.scope == Scope::Actor {
            let endpoint = key.endpoint.clone();
            let anywhere = endpoint.anywhere();
            let (nowhere, nobody) = (Id::default(), NOBODY);
            let everybody = TrailKey { scope: Scope::Endpoint, endpoint, caller: nowhere, actor: nobody };
            let client = TrailKey { scope: Scope::Client, endpoint: anywhere.clone(), ..key.clone() };
            let edge = TrailKey { scope: Scope::Edge, endpoint: anywhere, actor: nobody, ..key.clone() };
            [everybody, client, edge].into_iter().for_each(|key| self.put(key, epoch, trail));
        }
        self.put(key, epoch, trail);
    }

    fn put(&mut self, key: TrailKey, epoch: u32, trail: &Trail) {
        let found = self.known.entry(key);
        let number = found.index() as u32;
        let is_new = matches!(found, indexmap::map::Entry::Vacant(_));
        let has_place = matches!(found.key().scope, Scope::Actor | Scope::Edge);
        let place = (is_new && has_place).then(|| found.key().endpoint.clone());
        self.sums += usize::from(is_new && is_sum(found.key()));
        found.or_default().add(epoch, trail);
        if let Some(endpoint) = place {
            self.places.entry(endpoint).or_default().push(number);
        }
        self.fresh.insert(number);
    }

    /// Takes from those who hold most, down to three quarters of what there is room for, so that neither identities nor paths that
    /// somebody makes up take the place of others'. What is repeated stays.
    fn make_room(&mut self, limits: &Limits) {
        for (sums, limit) in [(false, limits.trails), (true, limits.sums)] {
            let count = if sums { self.sums } else { self.known.len() - self.sums };
            if count > limit {
                let doomed = self.least(sums, limit - limit / 4);
                let calls = doomed
                    .iter()
                    .filter_map(|at| self.known.get_index(*at))
                    .filter(|(key, _)| matches!(key.scope, Scope::Actor | Scope::Endpoint));
                let calls = calls.fold(0_u64, |sum, (_, dossier)| sum.saturating_add(dossier.total.calls));
                self.crowded = self.crowded.saturating_add(calls);
                let mut at = 0..;
                self.retain(|_, _| at.next().is_some_and(|at| !doomed.contains(&at)));
            }
        }
    }

    /// The trails that go, by number, so that so many remain: the second of one holder counts half, the third a third.
    fn least(&self, sums: bool, remain: usize) -> HashSet<usize> {
        let mut held: HashMap<&Id, Vec<(u64, u64, usize)>> = HashMap::new();
        for (at, (key, dossier)) in self.known.iter().enumerate().filter(|(_, (key, _))| is_sum(key) == sums)
        {
            let counted: u64 = dossier.total.counts.iter().map(|(_, count)| count).sum();
            let weight = dossier.total.calls.saturating_add(counted);
            held.entry(holder(key)).or_default().push((weight, dossier.total.last, at));
        }
        let mut ranked: Vec<(u64, u64, usize)> = Vec::new();
        for mut trails in held.into_values() {
            trails.sort_unstable_by(|a, b| b.cmp(a));
            let shares = (1..).zip(trails).map(|(rank, (weight, last, at)): (u64, _)| {
                (weight.saturating_mul(1 << 20) / rank, last, at)
            });
            ranked.extend(shares);
        }
        ranked.sort_unstable();
        let surplus = ranked.len().saturating_sub(remain);
        ranked.into_iter().take(surplus).map(|(_, _, at)| at).collect()
    }

    /// Forgets actors that have done nothing for long, and what only clients saw of `covered` services.
    fn retain(&mut self, mut kept: impl FnMut(&TrailKey, &Dossier) -> bool) {
        let before = self.known.len();
        let fresh: BTreeSet<TrailKey> =
            self.fresh.iter().filter_map(|at| Some(self.known.get_index(*at as usize)?.0.clone())).collect();
        self.known.retain(|key, dossier| kept(key, dossier));
        if self.known.len() < before {
            self.number(&fresh);
        }
    }

    /// Makes everything that goes by numbers anew.
    fn number(&mut self, fresh: &BTreeSet<TrailKey>) {
        self.places.clear();
        self.sums = self.known.keys().filter(|key| is_sum(key)).count();
        self.fresh.clear();
        for (number, key) in (0..).zip(self.known.keys()) {
            if matches!(key.scope, Scope::Actor | Scope::Edge) {
                self.places.entry(key.endpoint.clone()).or_default().push(number);
            }
            if fresh.contains(key) {
                self.fresh.insert(number);
            }
        }
    }
}

impl Knowledge {
    /// Adds the trails of a delta.
    pub(super) fn merge_trails(&mut self, trails: Vec<(TrailKey, u32, Trail)>) {
        for (mut key, epoch, trail) in trails {
            let service = self.renames.resolve(&key.endpoint.service).clone();
            if key.endpoint.vantage == Vantage::Client && self.is_covered(&service) {
                continue;
            }
            key.endpoint.service = service;
            key.caller = self.renames.resolve(&key.caller).clone();
            self.dossiers.add(key, epoch, &trail);
        }
        self.dossiers.make_room(&self.limits);
    }

    /// The workload with one id is the one with another.
    pub(super) fn rename_trails(&mut self, from: &Id, to: &Id) {
        self.learning.baseline.rename(from, to);
        let named = |key: &TrailKey| key.endpoint.service == *from || key.caller == *from;
        if !self.dossiers.known.keys().any(named) {
            return;
        }
        let moved = |id: &mut Id| {
            if id == from {
                id.clone_from(to);
            }
        };
        let mut fresh = BTreeSet::new();
        let mut known: IndexMap<TrailKey, Dossier> = IndexMap::new();
        for (number, (mut key, dossier)) in (0..).zip(std::mem::take(&mut self.dossiers.known)) {
            moved(&mut key.endpoint.service);
            moved(&mut key.caller);
            if self.dossiers.fresh.contains(&number) {
                fresh.insert(key.clone());
            }
            known.entry(key).or_default().merge(&dossier);
        }
        self.dossiers.known = known;
        self.dossiers.number(&fresh);
        self.ledger.rename(from, to);
    }

    /// Forgets what only clients saw of a service.
    pub(super) fn forget_client_trails(&mut self, service: &Id) {
        self.dossiers.retain(|key, _| {
            key.endpoint.service != *service
                || key.endpoint.vantage == Vantage::Server
                || key.scope == Scope::Workload
        });
    }

    /// Judges when an epoch has ended since the last time: what leaves the window must have been seen in it.
    pub(super) fn judge_if_due(&mut self, to: u64) {
        if epoch_of(to) > self.dossiers.judged {
            self.judge(to);
        }
    }

    /// Asks every detector about what happened since the last time.
    pub(super) fn judge(&mut self, now: u64) {
        let epoch = self.dossiers.judged;
        self.ledger.expire(now);
        if self.dossiers.fresh.is_empty() {
            return;
        }
        if epoch_of(now) > epoch {
            let idle = |dossier: &Dossier| now.saturating_sub(dossier.total.last) > FORGET_AFTER;
            self.dossiers.retain(|key, dossier| {
                !(idle(dossier)
                    && matches!(key.scope, Scope::Actor | Scope::Client | Scope::Own | Scope::Apart))
            });
        }
        self.dossiers.judged = epoch_of(now).max(epoch);
        refresh_services(self);
        let fresh: Vec<u32> = std::mem::take(&mut self.dossiers.fresh).into_iter().collect();
        let kinds = self.kinds();
        let workloads = &self.workloads;
        let shown = |key: &EndpointKey| -> Option<Arc<str>> {
            workloads.get(&key.service)?.service.as_ref()?.shown(key).cloned()
        };
        let Dossiers { known: dossiers, places, settings, .. } = &self.dossiers;
        let folded: Vec<Case<'_>> = Vec::new();
        let baseline = &self.learning.baseline;
        let mut cases =
            Cases { now, dossiers, fresh: &fresh, places, shown: &shown, settings, baseline, kinds, folded };
        cases.fold();
        let ledger = &mut self.ledger;
        ledger.follow(&shown);
        let mut raise = |finding, endpoint| ledger.raise(finding, endpoint, now, self.limits.findings);
        for detector in DETECTORS.iter().filter(|detector| !settings.silences(detector.about())) {
            detector.judge(&cases, &mut Bench { about: detector.about(), raise: &mut raise });
        }
    }

    /// Who is inside, by what is known of everybody.
    pub(super) fn kinds(&self) -> Kinds {
        Kinds { of_addresses: self.workloads.keys().all(|id| is_external(id) || **id == *OVERFLOW) }
    }

    /// What the operator set of the detectors.
    pub fn set_detectors(&mut self, settings: Settings) {
        self.dossiers.settings = settings;
    }
}
