//! Workloads that answer calls, summed over their callers: rows, columns and order.

use super::error_share;
use crate::view::World;
use crate::widget::table::Column;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

pub(super) const SERVICES: &[Column] = &[
    Column::text("SERVICE", 14, 1, 0),
    Column::number("CALLS", 7, 0),
    Column::number("RATE/S", 6, 1),
    Column::number("ERR", 5, 0),
    Column::number("P99 MAX", 7, 2),
    Column::number("CALLERS", 7, 3),
];

/// A workload that answers calls, summed over its callers.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) rate: f64,
    pub(super) p99_us: u64,
    pub(super) callers: usize,
}

/// All that are shown, by id.
pub(super) fn services(world: &World<'_>) -> Vec<Service> {
    let mut by_id: BTreeMap<&str, (Service, HashSet<&str>)> = BTreeMap::new();
    for edge in world.snapshot.edges.iter().filter(|edge| world.shows_edge(edge)) {
        let (service, callers) = by_id.entry(&edge.dst).or_default();
        service.calls += edge.calls;
        service.errors += edge.errors;
        service.rate += edge.rate;
        service.p99_us = service.p99_us.max(edge.p99_us);
        callers.insert(&edge.src);
    }
    let finish = |(id, (service, callers)): (&str, (Service, HashSet<&str>))| Service {
        id: id.to_owned(),
        callers: callers.len(),
        ..service
    };
    by_id.into_iter().map(finish).collect()
}

/// Order by a column.
pub(super) fn compare(a: &Service, b: &Service, column: usize, world: &World<'_>) -> Ordering {
    match column {
        0 => world.labels.get(&a.id).cmp(&world.labels.get(&b.id)),
        1 => a.calls.cmp(&b.calls),
        2 => a.rate.total_cmp(&b.rate),
        3 => error_share(a.errors, a.calls).total_cmp(&error_share(b.errors, b.calls)),
        4 => a.p99_us.cmp(&b.p99_us),
        _ => a.callers.cmp(&b.callers),
    }
}
