//! Moves what was counted under an id to the id that its workload has by now.

use super::{Edge, Knowledge, Node, OVERFLOW_NODE};
use crate::call_log::CallChunk;
use crate::endpoint::{EndpointKey, EndpointStats, Id};
use crate::rename::{Rename, Renames};
use compact_str::CompactString;
use std::borrow::Cow;
use std::sync::Arc;

impl Knowledge {
    /// The workload with one id is the one with another: their rows become one.
    pub(super) fn rename(&mut self, rename: &Rename) {
        let Some(Rename { from, to }) = self.renames.add(rename) else { return };
        self.recent.rename(&from, &to);
        self.rename_callers(&from, &to);
        self.rename_trails(&from, &to);
        let Some(old) = self.workloads.get_index_of(&from).map(|node| node as Node) else { return };
        let new = self.node(&to);
        if old == OVERFLOW_NODE || old == new {
            return;
        }
        self.follower.rename(old, new);
        self.move_edges(old, new);
        self.move_service(old, &to);
    }

    fn rename_callers(&mut self, from: &Id, to: &Id) {
        let revision = self.revision;
        let services = self.workloads.values_mut().filter_map(|known| known.service.as_mut());
        services.for_each(|service| service.rename_caller(from, to, revision));
    }

    fn move_edges(&mut self, old: Node, new: Node) {
        let moved = |node: Node| if node == old { new } else { node };
        let keys: Vec<_> =
            self.edges.keys().filter(|(src, dst, _)| *src == old || *dst == old).copied().collect();
        for key in keys {
            let Some(Edge { ends, .. }) = self.edges.remove(&key) else { continue };
            let edge = self.edges.entry((moved(key.0), moved(key.1), key.2)).or_default();
            edge.ends.merge(&ends);
            edge.changed = self.revision;
        }
        // Other keys, but perhaps no other number of them.
        self.edge_order.clear();
    }

    fn move_service(&mut self, old: Node, to: &Id) {
        let Some((_, known)) = self.workloads.get_index_mut(old as usize) else { return };
        let (covered, service) = (known.covered, known.service.take());
        let new = self.node(to);
        if covered {
            self.cover(new);
        }
        for (key, stats) in service.into_iter().flat_map(|service| (*service).into_observed()) {
            self.merge_endpoint(EndpointKey { service: to.clone(), ..key }, &stats);
        }
    }
}

impl Renames {
    /// Statistics whose callers have the ids of today.
    pub(super) fn in_callers<'a>(&self, stats: &'a EndpointStats) -> Cow<'a, EndpointStats> {
        let mut stats = Cow::Borrowed(stats);
        if self.is_empty() {
            return stats;
        }
        let renamed = |id: &Id| Some((id.clone(), self.renamed(id)?.clone()));
        let old: Vec<(Id, Id)> = stats.callers.kept().filter_map(renamed).collect();
        for (from, to) in old {
            stats.to_mut().callers.rename(&from, &to);
        }
        stats
    }

    /// A part of the log with the ids of today.
    pub(super) fn in_chunk(&self, mut chunk: Arc<CallChunk>) -> Arc<CallChunk> {
        let old: Vec<(CompactString, Id)> = if self.is_empty() {
            Vec::new()
        } else {
            chunk.workloads.iter().filter_map(|id| Some((id.clone(), self.renamed(id)?.clone()))).collect()
        };
        for (from, to) in old {
            rename_in(&mut chunk, &from, &to);
        }
        chunk
    }
}

/// Copies what others hold; a program is renamed once, if ever.
pub(super) fn rename_in(chunk: &mut Arc<CallChunk>, from: &str, to: &str) {
    if !chunk.workloads.iter().any(|id| id == from) {
        return;
    }
    let chunk = Arc::make_mut(chunk);
    let services = chunk.endpoints.iter_mut().map(|endpoint| &mut endpoint.service);
    for id in chunk.workloads.iter_mut().chain(services).filter(|id| *id == from) {
        *id = to.into();
    }
}
