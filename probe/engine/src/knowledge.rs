//! Deltas to snapshots: everything that is known, of all nodes, within hard bounds.
//!
//! Merging deltas is associative and commutative below the bounds. What reaches a bound goes into an
//! `{overflow}` row, so that totals stay exact, and a [`Degradation`] says so.

use crate::command::{Command, TemplateRule};
use crate::degradation::Degradation;
use crate::delta::{Delta, Described};
use crate::endpoint::{EndpointKey, EndpointStats, Id, is_external};
use crate::finding::{Finding, State};
use crate::graph::follow::Follower;
use crate::graph::hop::{Leg, Legs};
use crate::graph::{BothEnds, EdgeKey};
use crate::inventory::rules::Rules;
use crate::limits::{Limits, OVERFLOW};
use crate::load::{Load, SECOND};
use crate::observe::overflow_workload;
use crate::policy::standing::Standings;
use crate::rename::Renames;
use crate::snapshot::{Capture, Snapshot};
use crate::suppression::Suppression;
use crate::tick::Ticks;
use apisec_proto::call::{Protocol, Vantage};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

mod caps;
mod dossiers;
mod drifting;
mod grouping;
mod history;
mod learning;
mod ledger;
mod library;
mod origins;
mod passed_on;
mod peers;
mod present;
mod recent;
mod renaming;
mod repaint;
mod service;
mod values;

use caps::Caps;
use dossiers::Dossiers;
pub use history::{Past, Remembered};
use learning::Learning;
use ledger::Ledger;
use library::Library;
use present::refresh_services;
use recent::Recent;
use repaint::Canvases;
use service::{Policy, Service};
pub use values::Mismatch;
use values::Values;

/// Numbers that we gave out ourselves: no attacker picks them.
type Numbers = foldhash::fast::RandomState;

/// Index of a workload in the knowledge's table.
type Node = u32;
/// The workload that stands for all that do not fit.
const OVERFLOW_NODE: Node = 0;

/// All that is known.
pub struct Knowledge {
    limits: Limits,
    rules: Vec<TemplateRule>,
    /// Start of the first delta and end of the last.
    window: Option<(u64, u64)>,
    workloads: IndexMap<Id, Workload>,
    externals: usize,
    edges: HashMap<(Node, Node, Protocol), Edge, Numbers>,
    /// Keys of `edges` by caller, callee and protocol; of another length when it must be made again.
    edge_order: Vec<(Node, Node, Protocol)>,
    /// Workloads by id, likewise.
    workload_order: Vec<Node>,
    endpoints: usize,
    follower: Follower,
    renames: Renames,
    ticks: Ticks,
    recent: Recent,
    capture: Capture,
    caps: Caps,
    library: Library,
    /// First call of the stored history, Unix nanoseconds; 0 without one.
    since: u64,
    /// Nanoseconds after which an idle operation is no longer in use.
    zombie_after: u64,
    revision: u64,
    canvases: Canvases,
    dossiers: Dossiers,
    ledger: Ledger,
    learning: Learning,
    standings: Arc<Standings>,
    values: Values,
}

/// How long an operation may be idle before it counts as a zombie when nobody said: monthly jobs are still in use.
pub const ZOMBIE_AFTER: u64 = 31 * 24 * 3_600 * SECOND;

#[derive(Default)]
struct Workload {
    described: Option<Described>,
    /// A probe sees the calls to it at its own side.
    covered: bool,
    service: Option<Box<Service>>,
    /// Revision with which the description changed last.
    changed: u64,
}

#[derive(Default)]
struct Edge {
    ends: BothEnds,
    /// Revision with which it changed last.
    changed: u64,
}

impl Knowledge {
    /// Knows nothing but the operator's rules, oldest first.
    #[must_use]
    pub fn new(limits: Limits, rules: Vec<TemplateRule>) -> Self {
        let mut workloads = IndexMap::new();
        workloads.insert(Id::from(OVERFLOW), Workload::default());
        Self {
            limits,
            rules,
            window: None,
            workloads,
            externals: 0,
            edges: HashMap::default(),
            edge_order: Vec::new(),
            workload_order: Vec::new(),
            canvases: Canvases::default(),
            endpoints: 0,
            follower: Follower::default(),
            renames: Renames::default(),
            ticks: Ticks::default(),
            recent: Recent::new(limits),
            capture: Capture::default(),
            caps: Caps::default(),
            library: Library::default(),
            since: 0,
            zombie_after: ZOMBIE_AFTER,
            revision: 0,
            dossiers: Dossiers::default(),
            ledger: Ledger::default(),
            learning: Learning::default(),
            standings: Arc::default(),
            values: Values::default(),
        }
    }

    /// Takes what somebody who compared values with their documents reports.
    pub fn differ(&mut self, mismatch: Mismatch) {
        let id = self.renames.resolve(&Id::from(mismatch.service.as_str())).clone();
        if !self.values.add(&id, mismatch) {
            return;
        }
        self.revision += 1;
        let known = self.workloads.get_mut(&id).and_then(|known| known.service.as_mut());
        known.into_iter().for_each(|service| service.repaint(self.revision));
    }

    /// Adds what a node observed.
    pub fn merge(&mut self, delta: Delta) {
        self.revision += 1;
        let (from, to) = self.window.unwrap_or((delta.from, delta.to));
        self.window = Some((from.min(delta.from), to.max(delta.to)));
        self.caps.calls_overflowed = self.caps.calls_overflowed.saturating_add(delta.overflowed);
        self.caps.unfollowed = self.caps.unfollowed.saturating_add(delta.unfollowed);
        delta.renames.iter().for_each(|rename| self.rename(rename));
        delta.workloads.iter().for_each(|described| self.describe(described));
        delta.edges.iter().for_each(|(key, load)| self.merge_edge(key, load));
        delta.endpoints.into_iter().for_each(|(key, stats)| self.merge_endpoint(key, &stats));
        delta.legs.iter().for_each(|legs| self.merge_legs(legs));
        self.ticks.merge(&delta.ticks);
        for chunk in delta.log {
            self.recent.push(self.renames.in_chunk(chunk));
        }
        self.dossiers.crowded = self.dossiers.crowded.saturating_add(delta.crowded);
        self.merge_trails(delta.trails);
        self.judge_if_due(delta.to);
        self.learn_if_due(delta.to);
    }

    /// Does what the operator asks.
    pub fn apply(&mut self, command: Command) {
        match command {
            Command::Add(rule) => self.rules.push(rule),
            Command::UndoRule => {
                self.rules.pop();
            }
            Command::Specify(given) => self.library.stock(given),
            // Nothing is known otherwise by it.
            Command::Resync(_) => return,
            Command::Standings(standings) => {
                self.standings = standings;
                self.revision += 1;
                return;
            }
            Command::Order(_) | Command::Tail(_) | Command::Reveal(_) => return,
            Command::Handle { finding, state } => {
                self.ledger.handle(&finding, state, self.window.map_or(0, |window| window.1));
                self.revision += 1;
                return;
            }
        }
        self.revision += 1;
        self.workloads
            .values_mut()
            .filter_map(|known| known.service.as_mut())
            .for_each(|service| service.regroup());
    }

    /// What the operator said of findings in earlier runs, and what is not to be told of at all.
    pub fn review(&mut self, said: BTreeMap<String, State>, suppressions: Vec<Suppression>) {
        said.into_iter().for_each(|(id, state)| self.ledger.remember(id, state));
        self.ledger.suppressions = suppressions;
    }

    /// What the operator said of findings so far, by their ids, for the caller to remember.
    #[must_use]
    pub const fn reviewed(&self) -> &BTreeMap<String, State> {
        self.ledger.said()
    }

    /// The findings of earlier runs: those that go on are brought up to date.
    pub fn recall(&mut self, findings: Vec<Finding>) {
        findings.into_iter().take(self.limits.findings).for_each(|finding| self.ledger.recall(finding));
    }

    /// All that was found so far, for the caller to keep.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.view()
    }

    /// Says after how many nanoseconds an idle operation is no longer in use.
    pub const fn zombie_after(&mut self, idle: u64) {
        self.zombie_after = idle;
    }

    /// Takes what was observed in earlier runs, up to the bounds.
    pub fn remember(&mut self, history: Vec<Remembered>) {
        self.revision += 1;
        let room = self.limits.endpoints;
        for Remembered { key, past } in history.into_iter().take(room) {
            if past.first > 0 {
                self.since = if self.since == 0 { past.first } else { self.since.min(past.first) };
            }
            let node = self.node(&key.service);
            if node == OVERFLOW_NODE {
                continue;
            }
            if let Some((id, known)) = self.workloads.get_index_mut(node as usize) {
                let service = known.service.get_or_insert_with(|| Box::new(Service::new(id.clone())));
                service.remember(EndpointKey { service: id.clone(), ..key }, past);
            }
        }
    }

    /// Every endpoint as observed in this run, for whoever keeps them.
    pub fn observed(&self) -> impl Iterator<Item = (&EndpointKey, &EndpointStats)> {
        self.workloads.values().filter_map(|known| known.service.as_deref()).flat_map(Service::observed)
    }

    /// Every edge as observed in this run at either end, for whoever keeps them.
    pub fn observed_edges(&self) -> impl Iterator<Item = (EdgeKey, &Load)> {
        let id = |node: Node| self.workloads.get_index(node as usize).map(|(id, _)| id.clone());
        self.edges.iter().flat_map(move |((src, dst, protocol), edge)| {
            let ends = edge.ends.both().into_iter().filter(|(_, load)| load.calls > 0);
            ends.filter_map(move |(vantage, load)| {
                let (src, dst) = (id(*src)?, id(*dst)?);
                Some((EdgeKey { src, dst, protocol: *protocol, vantage }, load))
            })
        })
    }

    /// The operator's rules, oldest first, for the caller to remember.
    #[must_use]
    pub fn rules(&self) -> &[TemplateRule] {
        &self.rules
    }

    /// Says what the source captured and lost; shown in the next snapshot, with the engine's own degradations.
    pub fn set_capture(&mut self, capture: Capture) {
        if self.capture != capture {
            self.capture = capture;
            self.revision += 1;
        }
    }

    /// Everything at the moment `now` (Unix nanoseconds).
    pub fn snapshot(&mut self, now: u64) -> Arc<Snapshot> {
        self.recent.forget_before(now.saturating_sub(self.limits.log_age));
        let snapshot = Arc::new(present::snapshot(self, now));
        self.canvases.keep(&snapshot);
        snapshot
    }

    fn describe(&mut self, described: &Described) {
        if self.renames.renamed(&described.id).is_some() {
            return;
        }
        let node = self.node(&described.id);
        let Some((id, known)) = self.workloads.get_index_mut(node as usize) else { return };
        match &mut known.described {
            Some(ours) if *id == described.id => {
                if !ours.merge(described) {
                    return;
                }
            }
            Some(_) => return,
            none if *id == described.id => *none = Some(described.clone()),
            none => {
                let workload = Arc::new(overflow_workload());
                *none = Some(Described { id: id.clone(), at: described.at, workload });
            }
        }
        known.changed = self.revision;
    }

    /// The index of a workload, of the overflow row when there is no room for it.
    fn node(&mut self, id: &Id) -> Node {
        let id = self.renames.resolve(id);
        if let Some(node) = self.workloads.get_index_of(id) {
            return node as Node;
        }
        let external = is_external(id);
        let full = self.workloads.len() > self.limits.workloads
            || (external && self.externals >= self.limits.externals);
        if full {
            self.caps.workloads = true;
            return OVERFLOW_NODE;
        }
        self.externals += usize::from(external);
        self.workloads.insert_full(id.clone(), Workload::default()).0 as Node
    }

    fn merge_edge(&mut self, key: &EdgeKey, load: &Load) {
        let (src, dst) = (self.node(&key.src), self.node(&key.dst));
        if key.vantage == Vantage::Server {
            self.cover(dst);
        }
        let mut ends = (src, dst, key.protocol);
        if self.edges.len() >= self.limits.edges && !self.edges.contains_key(&ends) {
            self.caps.edges = true;
            ends = (OVERFLOW_NODE, OVERFLOW_NODE, key.protocol);
        }
        let edge = self.edges.entry(ends).or_default();
        edge.changed = self.revision;
        edge.ends.at(key.vantage).merge(load);
    }

    /// From now on the server's side counts for calls to this workload.
    fn cover(&mut self, node: Node) {
        let Some((_, known)) = self.workloads.get_index_mut(node as usize) else { return };
        if std::mem::replace(&mut known.covered, true) {
            return;
        }
        if let Some(service) = &mut known.service {
            service.regroup();
        }
        if let Some((id, _)) = self.workloads.get_index(node as usize) {
            let id = id.clone();
            self.forget_client_trails(&id);
        }
        self.edges
            .iter_mut()
            .filter(|((_, dst, _), _)| *dst == node)
            .for_each(|(_, edge)| edge.changed = self.revision);
    }

    fn merge_endpoint(&mut self, key: EndpointKey, stats: &EndpointStats) {
        let node = self.node(&key.service);
        let Some((id, known)) = self.workloads.get_index_mut(node as usize) else { return };
        if known.covered && key.vantage == Vantage::Client {
            return;
        }
        let service = known.service.get_or_insert_with(|| Box::new(Service::new(id.clone())));
        let stats = &*self.renames.in_callers(stats);
        if service.merge_known(&key, stats, self.revision) {
            return;
        }
        let before = service.len();
        let others = self.endpoints.saturating_sub(before);
        let limits = &self.limits;
        let fits = |len: usize| len < limits.endpoints_per_service && others + len < limits.endpoints;
        let rules = Rules::of(&self.rules, id);
        let policy = Policy { limits, rules: &rules, covered: known.covered };
        if !fits(before) {
            service.make_room(&policy, self.revision);
        }
        let room = fits(service.len());
        self.caps.endpoints |= !room;
        service.merge_new(key, stats, room);
        self.endpoints = others + service.len();
    }

    fn merge_legs(&mut self, legs: &Legs) {
        let nodes: Vec<Node> = legs.names.iter().map(|name| self.node(name)).collect();
        for leg in &legs.legs {
            let ends = (nodes.get(leg.src as usize), nodes.get(leg.dst as usize));
            if let (Some(src), Some(dst)) = ends {
                self.follower.add(Leg { src: *src, dst: *dst, ..*leg }, &self.limits);
            }
        }
    }

    fn is_covered(&self, id: &str) -> bool {
        self.workloads.get(id).is_some_and(|known| known.covered)
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = self.caps.degradations(&self.limits, &self.recent, &self.follower);
        all.extend(caps::of_findings(self.dossiers.crowded, self.ledger.dropped));
        all.extend(self.standings.trouble.iter().cloned());
        all.extend(self.values.degradation());
        all.extend(self.library.degradations(self.window.is_some() && self.endpoints > 0));
        all
    }
}

#[cfg(test)]
mod tests;
