//! The endpoints of one service: as observed, and grouped under templates as they are shown.

use super::grouping::{self, GroupName, Together};
use super::history::{Past, Pasts};
use crate::drift::binding::protobuf_service;
use crate::drift::state::Evidence;
use crate::drift::{Contract, Documented};
use crate::endpoint::{EndpointKey, EndpointStats, HOSTS, Id};
use crate::inventory::rules::Rules;
use crate::limits::{ANY_METHOD, Limits, OVERFLOW};
use crate::name_set::NameSet;
use apisec_proto::call::{Protocol, Vantage};
use indexmap::IndexMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Observed endpoints that a group keeps apart, so that a split can often tell them apart again.
const KEPT: usize = 64;

/// Endpoints of one callee.
pub(super) struct Service {
    id: Id,
    observed: Endpoints,
    groups: Vec<Group>,
    /// What is documented of it.
    contract: Option<Arc<Contract>>,
    /// Hosts that it was asked for, whatever the endpoint.
    hosts: NameSet<HOSTS>,
    /// Protobuf services that it answered for.
    answers: NameSet<HOSTS>,
    /// What was known when its specifications were chosen: hosts, answers, description, library.
    chosen: Option<[u64; 4]>,
    /// Its endpoints in earlier runs.
    pasts: Pasts,
    /// Groups must be made again.
    stale: bool,
    /// Room was made since the last snapshot; trying again would be in vain.
    packed: bool,
}

/// Endpoints as observed; a number is a place in this order.
pub(super) type Endpoints = IndexMap<EndpointKey, Observed>;

#[derive(Default)]
pub(super) struct Observed {
    pub(super) stats: EndpointStats,
    group: Option<u32>,
}

/// Endpoints that are shown as one.
pub(super) struct Group {
    pub(super) name: GroupName,
    pub(super) members: Vec<u32>,
    /// Where it is documented.
    pub(super) documented: Option<Documented>,
    /// Its calls in earlier runs.
    pub(super) past: Past,
    /// What its answers prove.
    pub(super) evidence: Evidence,
    /// Revision of the knowledge with which it changed last.
    pub(super) changed: u64,
    /// More callers, and more hosts or other names, than are kept.
    pub(super) capped: (bool, bool),
}

/// What decides how endpoints are grouped, and how many fit.
pub(super) struct Policy<'a> {
    pub(super) limits: &'a Limits,
    pub(super) rules: &'a Rules,
    /// A probe sees this service's side.
    pub(super) covered: bool,
}

impl Group {
    /// What the members add up to.
    pub(super) fn sum<'a>(&self, observed: &'a Endpoints) -> Cow<'a, EndpointStats> {
        let members = self.members.iter().filter_map(|at| observed.get_index(*at as usize));
        grouping::sum(&self.name.path, members.map(|(key, known)| (key, &known.stats)))
    }

    /// Calls in one of the newest seconds.
    pub(super) fn calls_in(&self, observed: &Endpoints, second: u32) -> u64 {
        let members = self.members.iter().filter_map(|at| observed.get_index(*at as usize));
        members.map(|(_, known)| known.stats.load.seconds.at(second)).sum()
    }
}

impl Service {
    pub(super) fn new(id: Id) -> Self {
        Self {
            id,
            observed: IndexMap::new(),
            groups: Vec::new(),
            contract: None,
            hosts: NameSet::default(),
            answers: NameSet::default(),
            chosen: None,
            pasts: Pasts::default(),
            stale: true,
            packed: false,
        }
    }

    /// Endpoints as observed.
    pub(super) fn len(&self) -> usize {
        self.observed.len()
    }

    /// The endpoints as observed, to be merged into another service.
    pub(super) fn into_observed(self) -> impl Iterator<Item = (EndpointKey, EndpointStats)> {
        self.observed.into_iter().map(|(key, known)| (key, known.stats))
    }

    /// The caller `from` is the caller `to`.
    pub(super) fn rename_caller(&mut self, from: &Id, to: &Id, revision: u64) {
        for known in self.observed.values_mut() {
            let renamed = known.stats.callers.rename(from, to);
            let group = known.group.filter(|_| renamed).and_then(|group| self.groups.get_mut(group as usize));
            group.into_iter().for_each(|group| group.changed = revision);
        }
    }

    /// Has all its groups shown anew.
    pub(super) fn repaint(&mut self, revision: u64) {
        self.groups.iter_mut().for_each(|group| group.changed = revision);
    }

    /// Forces new groups before the next snapshot.
    pub(super) fn regroup(&mut self) {
        self.stale = true;
    }

    /// Adds calls to an endpoint that is known; false when it is not.
    pub(super) fn merge_known(&mut self, key: &EndpointKey, stats: &EndpointStats, revision: u64) -> bool {
        let Some(known) = self.observed.get_mut(key) else { return false };
        let before = standing(&known.stats);
        known.stats.merge(stats);
        if before != standing(&known.stats) {
            self.stale = true;
            note_answer(key, &known.stats, &mut self.answers);
        }
        self.hosts.merge(&stats.hosts);
        if let Some(group) = known.group.and_then(|group| self.groups.get_mut(group as usize)) {
            group.changed = revision;
        }
        true
    }

    /// Adds calls to a new endpoint, or to the overflow row when it does not `fit`.
    pub(super) fn merge_new(&mut self, key: EndpointKey, stats: &EndpointStats, fits: bool) {
        self.stale = true;
        self.hosts.merge(&stats.hosts);
        note_answer(&key, stats, &mut self.answers);
        let service = self.id.clone();
        let key = if fits {
            EndpointKey { service, ..key }
        } else {
            let (path, method) = (Arc::from(OVERFLOW), ANY_METHOD.into());
            EndpointKey { service, path, method, operation: Default::default(), ..key }
        };
        self.observed.entry(key).or_default().stats.merge(stats);
    }

    /// Adds up what is shown as one anyway, to make room, unless that was tried since the last snapshot.
    pub(super) fn make_room(&mut self, policy: &Policy<'_>, revision: u64) {
        if !std::mem::replace(&mut self.packed, true) {
            self.make_groups(policy, revision);
        }
    }

    /// Brings the groups up to date.
    pub(super) fn refresh(&mut self, policy: &Policy<'_>, revision: u64) {
        self.packed = false;
        if self.stale {
            self.make_groups(policy, revision);
        }
    }

    /// The groups, in order, with the endpoints that their members number, and what is documented of them.
    pub(super) fn groups(&mut self) -> impl Iterator<Item = (&mut Group, &Endpoints, Option<&Contract>)> {
        let Self { observed, groups, contract, .. } = self;
        groups.iter_mut().map(|group| (group, &*observed, contract.as_deref()))
    }

    /// The path under which an endpoint is shown.
    pub(super) fn shown(&self, key: &EndpointKey) -> Option<&Arc<str>> {
        let group = self.observed.get(key)?.group?;
        self.groups.get(group as usize).map(|group| &group.name.path)
    }

    /// Hosts that it was asked for.
    pub(super) const fn hosts(&self) -> &NameSet<HOSTS> {
        &self.hosts
    }

    /// Protobuf services that it answered for.
    pub(super) const fn answers(&self) -> &NameSet<HOSTS> {
        &self.answers
    }

    /// Whether its specifications must be chosen anew: it has more hosts or answers for more, its description changed with that
    /// revision, or the library has another `state`.
    pub(super) fn must_choose(&mut self, described: u64, state: u64) -> bool {
        let now =
            Some([self.hosts.names().len() as u64, self.answers.names().len() as u64, described, state]);
        std::mem::replace(&mut self.chosen, now) != now
    }

    /// Takes what is documented of it.
    pub(super) fn document(&mut self, contract: Option<Arc<Contract>>) {
        let same = match (&self.contract, &contract) {
            (None, None) => true,
            (Some(ours), Some(new)) => Arc::ptr_eq(ours, new),
            _ => false,
        };
        if !same {
            self.contract = contract;
            self.groups.clear();
            self.stale = true;
        }
    }

    /// Takes what an endpoint was in earlier runs.
    pub(super) fn remember(&mut self, key: EndpointKey, past: Past) {
        self.pasts.add(key, past);
        self.groups.clear();
        self.stale = true;
    }

    /// Endpoints as observed, with the calls of this run.
    pub(super) fn observed(&self) -> impl Iterator<Item = (&EndpointKey, &EndpointStats)> {
        self.observed.iter().map(|(key, known)| (key, &known.stats))
    }

    fn make_groups(&mut self, policy: &Policy<'_>, revision: u64) {
        self.stale = false;
        if policy.covered {
            // What only clients saw is never shown again.
            let before = self.observed.len();
            self.observed.retain(|key, _| key.vantage == Vantage::Server);
            if self.observed.len() < before {
                self.groups.clear();
            }
        }
        let group = |service: &Self| {
            grouping::group(
                &service.observed,
                policy.rules,
                policy.limits.siblings,
                service.contract.as_deref(),
            )
        };
        let mut groups = group(self);
        if groups.iter().any(|group| group.members.len() > 2 * KEPT) {
            self.pack(&groups);
            groups = group(self);
        }
        self.adopt(groups, revision);
    }

    /// Adds up the members of crowded groups beyond the first [`KEPT`] under the group's own name.
    fn pack(&mut self, groups: &[Together]) {
        let mut packed: BTreeMap<EndpointKey, EndpointStats> = BTreeMap::new();
        let mut gone = vec![false; self.observed.len()];
        for Together { name, members, .. } in groups.iter().filter(|group| group.members.len() > 2 * KEPT) {
            let surplus = || members.iter().skip(KEPT).filter_map(|at| self.observed.get_index(*at as usize));
            let Some((first, _)) = surplus().next() else { continue };
            let (path, method, operation) = (name.path.clone(), name.method.clone(), name.operation.clone());
            let key = EndpointKey { path, method, operation, ..first.clone() };
            let stats = grouping::sum(&name.path, surplus().map(|(key, known)| (key, &known.stats)));
            packed.insert(key, stats.into_owned());
            for at in members.iter().skip(KEPT) {
                gone.get_mut(*at as usize).into_iter().for_each(|gone| *gone = true);
            }
        }
        // Members are numbers, and these change now: no group is what it was.
        self.groups.clear();
        let mut gone = gone.into_iter();
        self.observed.retain(|_, _| !gone.next().unwrap_or(false));
        for (key, stats) in packed {
            self.observed.entry(key).or_default().stats.merge(&stats);
        }
    }

    /// Takes over new groups; one with the same members has not changed by that.
    fn adopt(&mut self, groups: Vec<Together>, revision: u64) {
        let documented_past = self.pasts.documented(self.contract.as_deref());
        let mut old = std::mem::take(&mut self.groups).into_iter().peekable();
        for Together { name, members, documented } in groups {
            while old.next_if(|group| group.name < name).is_some() {}
            let kept = old.next_if(|group| {
                group.name == name && group.members == members && group.documented == documented
            });
            let past = match documented.as_ref().and_then(|documented| documented.operation) {
                Some(number) => documented_past.get(&number).copied().unwrap_or_default(),
                None => self.pasts.of(members
                    .iter()
                    .filter_map(|at| self.observed.get_index(*at as usize).map(|(key, _)| key))),
            };
            let none = || Group {
                name,
                members,
                documented,
                past,
                evidence: Evidence::default(),
                changed: revision,
                capped: (false, false),
            };
            self.groups.push(kept.unwrap_or_else(none));
        }
        for (number, group) in self.groups.iter().enumerate() {
            for at in &group.members {
                if let Some((_, known)) = self.observed.get_index_mut(*at as usize) {
                    known.group = Some(number as u32);
                }
            }
        }
    }
}

/// Adds the Protobuf service of an endpoint that is there.
fn note_answer(key: &EndpointKey, stats: &EndpointStats, answers: &mut NameSet<HOSTS>) {
    if key.protocol == Protocol::Grpc && !stats.is_unrouted() {
        protobuf_service(&key.path).into_iter().for_each(|service| answers.insert(service));
    }
}

/// What of its answers decides under which name an endpoint goes.
fn standing(stats: &EndpointStats) -> (bool, bool) {
    (stats.is_unrouted(), Evidence::of(stats).accepted)
}
