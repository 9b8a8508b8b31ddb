//! Ids of one node to ids of all: what a node calls `process:nginx:80` is another workload on the next node.

use super::{Delta, Described};
use crate::call_log::CallChunk;
use crate::endpoint::Id;
use compact_str::CompactString;
use std::sync::Arc;

impl Delta {
    /// Gives every workload the id that `name` says; rows whose keys become equal are added up. Descriptions of
    /// workloads that become somebody else's (`is_ours` denies them) are left to those who know them.
    pub fn translate(&mut self, mut name: impl FnMut(&str) -> Id, is_ours: impl Fn(&str) -> bool) {
        self.workloads.retain_mut(|described| rename(described, &mut name, &is_ours));
        for (key, stats) in &mut self.endpoints {
            key.service = name(&key.service);
            stats.callers.translate(|id| name(id));
        }
        for (key, _) in &mut self.edges {
            (key.src, key.dst) = (name(&key.src), name(&key.dst));
        }
        self.ticks.translate(|id| name(id));
        for legs in &mut self.legs {
            Arc::make_mut(legs).names.iter_mut().for_each(|id| *id = name(id));
        }
        self.log.iter_mut().for_each(|chunk| rename_in(Arc::make_mut(chunk), &mut name));
        for rename in &mut self.renames {
            (rename.from, rename.to) = (name(&rename.from), name(&rename.to));
        }
        self.renames.retain(|rename| rename.from != rename.to);
        for (key, _, _) in &mut self.trails {
            for id in [&mut key.endpoint.service, &mut key.caller].into_iter().filter(|id| !id.is_empty()) {
                *id = name(id);
            }
        }
        self.unite();
    }
}

fn rename(
    described: &mut Described,
    name: &mut impl FnMut(&str) -> Id,
    is_ours: &impl Fn(&str) -> bool,
) -> bool {
    let id = name(&described.id);
    let ours = is_ours(&id);
    if ours && id != described.id {
        Arc::make_mut(&mut described.workload).id = CompactString::from(&*id);
        described.id = id;
    }
    ours
}

fn rename_in(chunk: &mut CallChunk, name: &mut impl FnMut(&str) -> Id) {
    let services = chunk.endpoints.iter_mut().map(|endpoint| &mut endpoint.service);
    chunk.workloads.iter_mut().chain(services).for_each(|id| *id = CompactString::from(&*name(id)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn two_ids_that_become_one_are_added_up_and_the_calls_are_all_there() {
        let mut delta = fixture::delta();
        let calls = delta.calls();
        assert!(delta.edges.len() > 1 && calls > 0);
        delta.translate(|_| Id::from("one"), |_| true);
        assert_eq!(delta.calls(), calls);
        let mut kinds: Vec<_> = delta.edges.iter().map(|(key, _)| (key.protocol, key.vantage)).collect();
        kinds.dedup();
        assert_eq!(kinds.len(), delta.edges.len());
        assert_eq!(delta.workloads.len(), 1);
        assert_eq!(delta.workloads[0].workload.id, "one");
        assert!(delta.endpoints.iter().all(|(_, stats)| stats.callers.kept().all(|id| &**id == "one")));
        assert!(delta.log.iter().all(|chunk| chunk.workloads.iter().all(|id| id == "one")));
    }

    #[test]
    fn who_is_somebody_elses_is_not_described() {
        let mut delta = fixture::delta();
        delta.translate(|id| Id::from(id), |_| false);
        assert!(delta.workloads.is_empty() && delta.calls() > 0);
    }
}
