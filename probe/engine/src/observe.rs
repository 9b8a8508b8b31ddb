//! One node's calls to deltas: counts every call under keys that need no history.
//!
//! The tables stay between deltas so that a call which resembles an earlier one allocates nothing;
//! they are forgotten when most of what they hold is idle. No templates are learnt here.

use crate::call_log::{CallChunk, CallRow, LoggedEndpoint};
use crate::case::Settings;
use crate::command::TemplateRule;
use crate::delta::{Delta, Described};
use crate::detect::Seen;
use crate::endpoint::{EndpointKey, EndpointStats, Id, PARAMETERS, is_refusal};
use crate::fingerprint;
use crate::graph::EdgeKey;
use crate::graph::hop::Legs;
use crate::inventory::segment::type_path;
use crate::limits::{ANY_METHOD, Limits, OVERFLOW, UNROUTED};
use crate::load::{Load, second_of};
use crate::rename::Rename;
use crate::trail::Place;
use apisec_proto::call::{Call, Protocol, Vantage};
use indexmap::IndexMap;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

mod hosts;
mod journal;
mod listed;
mod operation;
mod party;
mod pulse;
mod seen;
mod trails;

use hosts::Hosts;
use journal::Journal;
use operation::{Operation, OperationKey, OperationRef};
pub(crate) use party::overflow as overflow_workload;
use party::{Parties, Slot};
use pulse::Pulses;
use seen::SeenPaths;
pub use trails::Notebook;
use trails::Trails;

/// Numbers that we gave out ourselves: no attacker picks them.
type Numbers = foldhash::fast::RandomState;

/// Counts the calls of one node between two deltas.
pub struct Observer {
    limits: Limits,
    parties: Parties,
    operations: IndexMap<OperationKey, Operation>,
    /// Loads by caller and operation; edges and operations add them up once per delta.
    pairs: HashMap<(Slot, u32), Load, Numbers>,
    edges: IndexMap<(Slot, Slot, Protocol, Vantage), Load, Numbers>,
    seen: SeenPaths,
    pulses: Pulses,
    journal: Journal,
    hosts: Hosts,
    trails: Trails,
    /// What goes into the next delta as it is.
    pending: Delta,
    path: String,
    values: Values,
}

/// Fingerprints of a call's path parameters.
type Values = SmallVec<[u64; PARAMETERS]>;

impl Observer {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            parties: Parties::new(limits, Vec::new()),
            operations: IndexMap::new(),
            pairs: HashMap::default(),
            edges: IndexMap::default(),
            seen: SeenPaths::default(),
            pulses: Pulses::default(),
            journal: Journal::new(limits),
            hosts: Hosts::default(),
            trails: Trails::new(limits),
            pending: Delta::default(),
            path: String::with_capacity(256),
            values: Values::new(),
        }
    }

    /// Follows the operator's rules from now on: where siblings are split, segments stay as they are.
    pub fn follow(&mut self, rules: &[TemplateRule]) {
        self.parties.follow(rules);
        self.seen = SeenPaths::default();
    }

    /// Whether calls are logged one by one; otherwise they are only counted, and the log says how many.
    pub fn log_calls(&mut self, each: bool) {
        self.journal.keep(each);
    }

    /// Detectors are set like this. Where all of them are silent, nothing is done for them.
    pub fn set_detectors(&mut self, settings: &Settings) {
        self.trails.heed(settings);
    }

    /// The workload with the one id is the workload with the other: said in the next delta.
    pub fn rename(&mut self, rename: Rename) {
        self.pending.renames.push(rename);
    }

    /// Counts one call.
    pub fn observe(&mut self, call: &Call) {
        let src = self.parties.slot(&call.src, call.at);
        let dst = self.parties.slot(&call.dst, call.at);
        let number = self.operation(call, dst);
        self.pair(call, src, number);
        let mut place = Place::default();
        if let Some((key, operation)) = self.operations.get_index_mut(number as usize) {
            place = operation.place;
            operation.stats.add(call, &self.values);
            self.journal.log(call, (src, dst), (key, operation));
        }
        self.journal.leg(call, (src, dst), self.parties.link(src, dst));
        match call.vantage {
            Vantage::Server => self.pulses.add(call, &mut self.pending.ticks),
            Vantage::Client => {
                self.pending.ticks.beat(second_of(call.at)).distant(self.parties.id(dst)).add(call);
            }
        }
        let is_for_tests = self.hosts.is_for_tests(&call.host, dst);
        let seen = Seen::new(call, &self.path, &self.values, place, is_for_tests);
        self.trails.add(&seen, (src, dst), number);
    }

    /// The typed path of the call that was observed last, such as `/users/{id:int}`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.path
    }

    /// What was observed since the last delta; `from` and `to` say when, in Unix nanoseconds.
    pub fn take_delta(&mut self, from: u64, to: u64) -> Delta {
        self.pulses.drain_into(&mut self.pending.ticks);
        let mut delta = std::mem::take(&mut self.pending);
        (delta.from, delta.to) = (from, to);
        delta.workloads = self.parties.described();
        self.drain_pairs(&mut delta);
        self.drain_edges(&mut delta);
        self.trails.drain(&mut delta, &self.parties, &self.operations);
        self.drain_operations(&mut delta);
        let (chunk, legs) = self.journal.take(&self.parties);
        delta.unfollowed = self.journal.take_unfollowed();
        delta.log.extend(chunk);
        delta.legs.extend(legs);
        delta.ticks.trim();
        self.forget_if_idle(&delta);
        delta
    }

    /// The number of the call's operation, or of the row that takes what does not fit. Fills `self.path`
    /// and `self.values`.
    fn operation(&mut self, call: &Call, dst: Slot) -> u32 {
        if let Some(number) = self.seen.look_up(call, dst, &mut self.path, &mut self.values) {
            return number;
        }
        self.type_path(call, dst);
        let (protocol, vantage) = (call.protocol, call.vantage);
        let (method, operation) = (call.method.as_str(), call.operation.as_str());
        let exact = OperationRef { dst, protocol, vantage, method, operation, path: &self.path };
        let number = match self.operations.get_index_of(&exact) {
            Some(number) => number as u32,
            None => {
                if let Some(path) = self.catch_all(call, dst) {
                    self.values.clear();
                    let row =
                        OperationRef { dst, protocol, vantage, method: ANY_METHOD, operation: "", path };
                    return operation::number_of(&mut self.operations, &row);
                }
                let exact = OperationRef { dst, protocol, vantage, method, operation, path: &self.path };
                operation::number_of(&mut self.operations, &exact)
            }
        };
        self.seen.remember(call, dst, &self.path, &self.values, number);
        number
    }

    fn type_path(&mut self, call: &Call, dst: Slot) {
        let values = &mut self.values;
        values.clear();
        type_path(&call.path, &mut self.path, |value| {
            if values.len() < PARAMETERS {
                values.push(fingerprint::of(value.as_bytes()));
            }
        });
        if let Some(rules) = self.parties.splits(dst) {
            rules.untype(&call.path, &mut self.path, &mut self.values);
        }
    }

    /// The row for a call whose operation may not have one of its own.
    fn catch_all(&mut self, call: &Call, dst: Slot) -> Option<&'static str> {
        if self.operations.len() >= self.limits.endpoints_per_delta {
            self.pending.overflowed += 1;
            return Some(OVERFLOW);
        }
        let refused = call.status.is_some_and(is_refusal);
        (refused && !self.parties.may_name_refusal(dst)).then_some(UNROUTED)
    }

    /// Counts the call for its caller and operation.
    fn pair(&mut self, call: &Call, src: Slot, operation: u32) {
        if let Some(load) = self.pairs.get_mut(&(src, operation)) {
            load.add(call);
            return;
        }
        let fits = self.pairs.len() < self.limits.pairs_per_delta;
        self.pending.overflowed += u64::from(!fits);
        let src = if fits { src } else { Slot::OVERFLOW };
        self.pairs.entry((src, operation)).or_default().add(call);
    }

    /// Adds up what was counted per caller and operation.
    fn drain_pairs(&mut self, delta: &mut Delta) {
        for ((src, number), load) in self.pairs.iter_mut().filter(|(_, load)| load.calls > 0) {
            let Some((key, operation)) = self.operations.get_index_mut(*number as usize) else { continue };
            operation.stats.callers.add(self.parties.id(*src), load.calls);
            operation.stats.load.merge(load);
            let exact = (*src, key.dst, key.protocol, key.vantage);
            let full = self.edges.len() >= self.limits.edges && !self.edges.contains_key(&exact);
            let edge = if full { (Slot::OVERFLOW, Slot::OVERFLOW, key.protocol, key.vantage) } else { exact };
            delta.overflowed += if full { load.calls } else { 0 };
            self.edges.entry(edge).or_default().merge(load);
            load.clear();
        }
    }

    fn drain_edges(&mut self, delta: &mut Delta) {
        for ((src, dst, protocol, vantage), load) in &mut self.edges {
            if load.calls == 0 {
                continue;
            }
            let (src, dst) = (self.parties.id(*src).clone(), self.parties.id(*dst).clone());
            let key = EdgeKey { src, dst, protocol: *protocol, vantage: *vantage };
            delta.edges.push((key, load.clone()));
            load.clear();
        }
    }

    fn drain_operations(&mut self, delta: &mut Delta) {
        for (key, operation) in &mut self.operations {
            operation.forget_log();
            if operation.stats.load.calls == 0 {
                continue;
            }
            delta.endpoints.push((key.to_endpoint(self.parties.id(key.dst)), operation.stats.clone()));
            operation.stats.clear();
        }
    }

    /// Starts anew when a table is full or mostly idle: what is still in use comes back with its next call.
    fn forget_if_idle(&mut self, delta: &Delta) {
        let limits = &self.limits;
        let idle = self.operations.len() - delta.endpoints.len().min(self.operations.len());
        let full = self.operations.len() >= limits.endpoints_per_delta
            || self.pairs.len() >= limits.pairs_per_delta
            || self.edges.len() >= limits.edges
            || self.parties.is_full();
        if full || idle > limits.endpoints_per_delta / 2 {
            self.operations.clear();
            self.pairs.clear();
            self.edges.clear();
            self.seen = SeenPaths::default();
            self.parties.forget();
            self.trails.forget();
        }
        self.trails.forget_if_idle();
    }
}

#[cfg(test)]
mod tests;
