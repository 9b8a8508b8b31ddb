//! What everybody left behind, of all nodes, within bounds; and the judging of it.

use super::{Knowledge, refresh_services};
use crate::case::{Bench, Case, Cases, Dossier, Settings};
use crate::detect::DETECTORS;
use crate::endpoint::{EndpointKey, Id};
use crate::limits::{Limits, OVERFLOW};
use crate::load::SECOND;
use crate::trail::{CROWD, NOBODY, Scope, Trail, TrailKey, epoch_of};
use apisec_proto::call::Vantage;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Nanoseconds after which an actor that does nothing is forgotten; endpoints and edges are not.
const FORGET_AFTER: u64 = 3_600 * SECOND;

/// See the module.
#[derive(Default)]
pub(super) struct Dossiers {
    known: IndexMap<TrailKey, Dossier>,
    /// Trails of actors by endpoint, of edges by service.
    places: HashMap<EndpointKey, Vec<u32>>,
    /// Trails under the name of each caller.
    held: HashMap<Id, usize>,
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
    fn add(&mut self, key: TrailKey, epoch: u32, trail: &Trail, limits: &Limits) {
        if key.scope == Scope::Actor {
            let endpoint = key.endpoint.clone();
            let anywhere = endpoint.anywhere();
            let (nowhere, nobody) = (Id::default(), NOBODY);
            let everybody = TrailKey { scope: Scope::Endpoint, endpoint, caller: nowhere, actor: nobody };
            let client = TrailKey { scope: Scope::Client, endpoint: anywhere.clone(), ..key.clone() };
            let edge = TrailKey { scope: Scope::Edge, endpoint: anywhere, actor: nobody, ..key.clone() };
            [everybody, client, edge].into_iter().for_each(|key| self.put(key, epoch, trail, limits));
        }
        self.put(key, epoch, trail, limits);
    }

    fn put(&mut self, mut key: TrailKey, epoch: u32, trail: &Trail, limits: &Limits) {
        if !self.known.contains_key(&key) {
            if !self.fits(&key, limits) {
                self.crowded = self.crowded.saturating_add(trail.calls);
                key.actor = CROWD;
                if !self.known.contains_key(&key) && self.known.len() >= 2 * limits.trails {
                    key.caller = Id::from(OVERFLOW);
                }
            }
            if !self.known.contains_key(&key) {
                *self.held.entry(key.caller.clone()).or_default() += 1;
            }
        }
        let found = self.known.entry(key);
        let number = found.index() as u32;
        let is_new = matches!(found, indexmap::map::Entry::Vacant(_));
        let has_place = matches!(found.key().scope, Scope::Actor | Scope::Edge);
        let place = (is_new && has_place).then(|| found.key().endpoint.clone());
        found.or_default().add(epoch, trail);
        if let Some(endpoint) = place {
            self.places.entry(endpoint).or_default().push(number);
        }
        self.fresh.insert(number);
    }

    fn fits(&self, key: &TrailKey, limits: &Limits) -> bool {
        if matches!(key.scope, Scope::Endpoint | Scope::Edge | Scope::Workload) {
            // As many as there are endpoints and edges, which have bounds of their own.
            return self.known.len() < 4 * limits.trails;
        }
        let by_caller = self.held.get(&key.caller).copied().unwrap_or(0);
        let crowded = !key.caller.is_empty() && by_caller >= limits.trails_per_caller;
        self.known.len() < limits.trails && !crowded
    }

    /// Forgets actors that have done nothing for long, and what only clients saw of `covered` services.
    fn retain(&mut self, kept: impl Fn(&TrailKey, &Dossier) -> bool) {
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
        self.held.clear();
        self.fresh.clear();
        for (number, key) in (0..).zip(self.known.keys()) {
            *self.held.entry(key.caller.clone()).or_default() += 1;
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
            self.dossiers.add(key, epoch, &trail, &self.limits);
        }
    }

    /// The workload with one id is the one with another.
    pub(super) fn rename_trails(&mut self, from: &Id, to: &Id) {
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
        let workloads = &self.workloads;
        let shown = |key: &EndpointKey| -> Option<Arc<str>> {
            workloads.get(&key.service)?.service.as_ref()?.shown(key).cloned()
        };
        let Dossiers { known: dossiers, places, settings, .. } = &self.dossiers;
        let folded: Vec<Case<'_>> = Vec::new();
        let mut cases = Cases { now, dossiers, fresh: &fresh, places, shown: &shown, settings, folded };
        cases.fold();
        let ledger = &mut self.ledger;
        ledger.follow(&shown);
        let mut raise = |finding, endpoint| ledger.raise(finding, endpoint, now, self.limits.findings);
        for detector in DETECTORS.iter().filter(|detector| !settings.silences(detector.about())) {
            detector.judge(&cases, &mut Bench { about: detector.about(), raise: &mut raise });
        }
    }

    /// What the operator set of the detectors.
    pub fn set_detectors(&mut self, settings: Settings) {
        self.dossiers.settings = settings;
    }
}
