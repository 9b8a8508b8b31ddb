//! What is stored as if a node had just observed it: whoever can show a delta can show the inventory.
//!
//! Totals only: latencies and bytes are not stored, and an edge's errors are not told apart from those of others.

use super::{Inventory, InventoryError};
use apisec_engine::delta::{Delta, Described};
use apisec_engine::endpoint::{EndpointKey, EndpointStats, Id};
use apisec_engine::graph::EdgeKey;
use apisec_engine::load::Load;
use apisec_engine::vocabulary;
use apisec_proto::call::{Protocol, Vantage, Workload, WorkloadKind};
use rusqlite::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Inventory {
    /// Everything that is stored, of all stores that were merged into this one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn restored(&self) -> Result<Delta, InventoryError> {
        let mut endpoints = self.stored_endpoints()?;
        self.add_facts(&mut endpoints)?;
        let mut delta = Delta { from: u64::MAX, ..Delta::default() };
        let mut edges: BTreeMap<EdgeKey, Load> = BTreeMap::new();
        let mut names: BTreeSet<Id> = BTreeSet::new();
        for (key, stats) in endpoints {
            delta.from = delta.from.min(stats.load.first);
            delta.to = delta.to.max(stats.load.last);
            names.insert(key.service.clone());
            for (caller, calls) in stats.callers.by_calls() {
                names.insert(caller.clone());
                let (src, dst) = (caller.clone(), key.service.clone());
                let edge = EdgeKey { src, dst, protocol: key.protocol, vantage: key.vantage };
                let (first, last) = (stats.load.first, stats.load.last);
                edges.entry(edge).or_default().merge(&Load { calls: *calls, first, last, ..Load::default() });
            }
            delta.endpoints.push((key, stats));
        }
        delta.from = delta.from.min(delta.to);
        delta.edges = edges.into_iter().collect();
        delta.workloads = names.into_iter().map(|id| described(id, delta.to)).collect();
        Ok(delta)
    }

    fn stored_endpoints(&self) -> Result<BTreeMap<EndpointKey, EndpointStats>, InventoryError> {
        let mut query = self.connection.prepare(include_str!("endpoints.sql"))?;
        let rows = query.query_map([], |row| Ok((key(row)?, stats(row)?)))?;
        let mut all = BTreeMap::new();
        for row in rows {
            let (key, stats) = row?;
            all.extend(key.map(|key| (key, stats)));
        }
        Ok(all)
    }

    fn add_facts(&self, endpoints: &mut BTreeMap<EndpointKey, EndpointStats>) -> Result<(), InventoryError> {
        let mut query = self.connection.prepare(include_str!("facts.sql"))?;
        let rows = query.query_map([], |row| {
            Ok((key(row)?, row.get::<_, String>(6)?, row.get::<_, String>(7)?, row.get::<_, i64>(8)?))
        })?;
        for row in rows {
            let (key, kind, value, calls) = row?;
            if let Some(stats) = key.and_then(|key| endpoints.get_mut(&key)) {
                add_fact(stats, &kind, &value, calls.cast_unsigned());
            }
        }
        Ok(())
    }
}

/// The key of an endpoint in the first six columns; `None` for a protocol of a newer program.
fn key(row: &Row<'_>) -> rusqlite::Result<Option<EndpointKey>> {
    let text = |at: usize| row.get::<_, String>(at);
    let (service, protocol, vantage) = (text(0)?, text(1)?, text(2)?);
    let (path, method, operation) = (text(3)?, text(4)?, text(5)?);
    let known = vocabulary::PROTOCOLS.iter().find(|(_, word)| *word == protocol);
    Ok(known.map(|(protocol, _): &(Protocol, _)| EndpointKey {
        service: service.into(),
        path: path.into(),
        method: method.into(),
        operation: operation.into(),
        protocol: *protocol,
        vantage: if vantage == "client" { Vantage::Client } else { Vantage::Server },
    }))
}

fn stats(row: &Row<'_>) -> rusqlite::Result<EndpointStats> {
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let mut stats = EndpointStats::default();
    (stats.load.first, stats.load.last) = (number(6)?, number(7)?);
    (stats.load.calls, stats.load.errors, stats.load.unanswered) = (number(8)?, number(9)?, number(10)?);
    Ok(stats)
}

fn add_fact(stats: &mut EndpointStats, kind: &str, value: &str, calls: u64) {
    match kind {
        "status" => value.parse().into_iter().for_each(|status| stats.statuses.add(status, calls)),
        "caller" => stats.callers.add(&Id::from(value), calls),
        "auth" => {
            let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(_, word)| *word == value);
            schemes.for_each(|(scheme, _)| stats.auth.insert(*scheme));
        }
        "host" => stats.hosts.insert(value),
        "query" => stats.query.insert(value),
        "request-type" => stats.request_types.insert(value),
        "response-type" => stats.response_types.insert(value),
        _ => {}
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
    ];
    let known = kinds.iter().find(|(word, _)| *word == kind).map(|(_, kind)| *kind);
    let name = if kind == "process" { rest.split(':').next().unwrap_or(rest) } else { rest };
    let workload = Workload {
        id: id.as_ref().into(),
        name: name.into(),
        kind: known.unwrap_or(WorkloadKind::Process),
        pid: 0,
        exe: Default::default(),
        command: Default::default(),
        user: Default::default(),
        unit: Default::default(),
        container: Default::default(),
        runtime: Default::default(),
        pod_uid: Default::default(),
        netns: 0,
        address: Default::default(),
    };
    Described { id, at, workload: Arc::new(workload) }
}
