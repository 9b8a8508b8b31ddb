//! What is stored as if a node had just observed it: whoever can show a delta can show the inventory.
//!
//! Latencies, and distinct values of path parameters, are not stored.

use super::{Inventory, InventoryError};
use apisec_engine::delta::{Delta, Described};
use apisec_engine::endpoint::Id;
use apisec_proto::call::{Workload, WorkloadKind};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Inventory {
    /// Everything that is stored, of all stores that were merged into this one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn restored(&self) -> Result<Delta, InventoryError> {
        let sums = self.sums()?;
        let mut delta = Delta { from: u64::MAX, ..Delta::default() };
        let mut names: BTreeSet<Id> = BTreeSet::new();
        for ((_, key), stats) in sums.endpoints {
            delta.from = delta.from.min(stats.load.first);
            delta.to = delta.to.max(stats.load.last);
            names.insert(key.service.clone());
            names.extend(stats.callers.by_calls().iter().map(|(caller, _)| caller.clone()));
            delta.endpoints.push((key, stats));
        }
        for ((_, key), load) in sums.edges {
            names.extend([key.src.clone(), key.dst.clone()]);
            delta.edges.push((key, load));
        }
        delta.from = delta.from.min(delta.to);
        delta.workloads = names.into_iter().map(|id| described(id, delta.to)).collect();
        Ok(delta)
    }
}

/// A workload of which only the id is known: `process:nginx:8080`.
fn described(id: Id, at: u64) -> Described {
    let (kind, rest) = id.split_once(':').unwrap_or(("process", &id));
    let kinds = [
        ("unit", WorkloadKind::Unit),
        ("container", WorkloadKind::Container),
        ("pod", WorkloadKind::Pod),
        ("external", WorkloadKind::External),
        ("deployment", WorkloadKind::Deployment),
        ("statefulset", WorkloadKind::StatefulSet),
        ("daemonset", WorkloadKind::DaemonSet),
        ("job", WorkloadKind::Job),
        ("cronjob", WorkloadKind::Job),
    ];
    let known = kinds.iter().find(|(word, _)| *word == kind).map(|(_, kind)| *kind);
    let name = if kind == "process" { rest.split(':').next().unwrap_or(rest) } else { rest };
    let workload = Workload::named(&id, name, known.unwrap_or(WorkloadKind::Process));
    Described { id, at, workload: Arc::new(workload) }
}
