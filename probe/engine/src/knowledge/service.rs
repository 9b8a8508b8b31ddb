//! The endpoints of one service: as observed, and grouped under templates as they are shown.

use super::present;
use crate::endpoint::{EndpointKey, EndpointStats, Id};
use crate::limits::{ANY_METHOD, Limits, OVERFLOW};
use crate::snapshot::EndpointView;
use apisec_proto::call::{Protocol, Vantage};
use compact_str::CompactString;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Endpoints of one callee.
pub(super) struct Service {
    id: Id,
    observed: IndexMap<EndpointKey, Observed>,
    groups: Vec<Group>,
    /// Groups must be made again.
    stale: bool,
}

struct Observed {
    stats: EndpointStats,
    group: Option<u32>,
}

/// Endpoints that are shown as one.
pub(super) struct Group {
    pub(super) name: GroupName,
    pub(super) members: Vec<u32>,
    /// As it was shown last; `None` when it has changed since.
    pub(super) view: Option<EndpointView>,
}

/// What a group is shown as; also its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupName {
    pub(super) path: Arc<str>,
    pub(super) method: CompactString,
    pub(super) protocol: Protocol,
}

/// How much more fits, and how to make room.
pub(super) struct Room<'a> {
    pub(super) total: usize,
    pub(super) limits: &'a Limits,
}

impl Service {
    pub(super) fn new(id: Id) -> Self {
        Self { id, observed: IndexMap::new(), groups: Vec::new(), stale: true }
    }

    /// Endpoints as observed.
    pub(super) fn len(&self) -> usize {
        self.observed.len()
    }

    /// Forces new groups before the next snapshot.
    pub(super) fn regroup(&mut self) {
        self.stale = true;
    }

    /// Adds calls; true when they had to go into the overflow row.
    pub(super) fn merge(&mut self, key: EndpointKey, stats: &EndpointStats, room: &Room<'_>) -> bool {
        if let Some(known) = self.observed.get_mut(&key) {
            known.stats.merge(stats);
            if let Some(group) = known.group.and_then(|group| self.groups.get_mut(group as usize)) {
                group.view = None;
            }
            return false;
        }
        self.stale = true;
        let fits = room.total > 0 && self.observed.len() < room.limits.endpoints_per_service;
        let key = EndpointKey { service: self.id.clone(), ..key };
        let key = if fits { key } else { overflow(key) };
        let known = self
            .observed
            .entry(key)
            .or_insert_with(|| Observed { stats: EndpointStats::default(), group: None });
        known.stats.merge(stats);
        !fits
    }

    /// Brings the views up to date; `second` is the one that rates are of.
    pub(super) fn refresh(&mut self, covered: bool, second: u32) {
        if std::mem::take(&mut self.stale) {
            self.make_groups(covered);
        }
        let Self { id, observed, groups, .. } = self;
        for group in groups {
            let members = || group.members.iter().filter_map(|at| observed.get_index(*at as usize));
            let rate = members().map(|(_, known)| known.stats.load.seconds.at(second)).sum::<u64>() as f64;
            match &mut group.view {
                Some(view) => view.rate = rate,
                none => {
                    let stats = present::sum(members().map(|(_, known)| &known.stats));
                    *none = Some(EndpointView { rate, ..present::endpoint(id, &group.name, &stats) });
                }
            }
        }
    }

    /// The groups, in order.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Forgets the old groups and puts every endpoint that counts into its new one.
    fn make_groups(&mut self, covered: bool) {
        let counts = if covered { Vantage::Server } else { Vantage::Client };
        let mut groups: BTreeMap<GroupName, Vec<u32>> = BTreeMap::new();
        for (at, (key, _)) in self.observed.iter().enumerate().filter(|(_, (key, _))| key.vantage == counts) {
            let name =
                GroupName { path: key.path.clone(), method: key.method.clone(), protocol: key.protocol };
            groups.entry(name).or_default().push(at as u32);
        }
        self.groups = groups.into_iter().map(|(name, members)| Group { name, members, view: None }).collect();
        for (number, group) in self.groups.iter().enumerate() {
            for at in &group.members {
                if let Some((_, known)) = self.observed.get_index_mut(*at as usize) {
                    known.group = Some(number as u32);
                }
            }
        }
    }
}

fn overflow(key: EndpointKey) -> EndpointKey {
    EndpointKey { path: Arc::from(OVERFLOW), method: ANY_METHOD.into(), ..key }
}
