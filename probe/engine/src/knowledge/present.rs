//! Knowledge as the read model shows it.

use super::grouping::GroupName;
use super::service::Policy;
use super::{Edge, Knowledge, Workload};
use crate::endpoint::{EndpointStats, Id};
use crate::graph::follow::Way;
use crate::inventory::rules::Rules;
use crate::load::{Load, SECOND, second_of};
use crate::moment::rfc3339;
use crate::name_set::NameSet;
use crate::snapshot::{
    Capture, ChainView, Drift, EdgeView, EndpointView, Kind, SCHEMA, Snapshot, Tick, Window, WorkloadView,
};
use crate::tick::SECONDS;
use crate::vocabulary;
use apisec_proto::call::{Notes, Protocol};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Callers that are shown per endpoint.
const SHOWN_CALLERS: usize = 32;
const SHOWN_QUANTILES: [f64; 2] = [0.5, 0.99];

/// The read model at the moment `now`.
pub(super) fn snapshot(known: &mut Knowledge, now: u64) -> Snapshot {
    let (from, to) = known.window.unwrap_or((now, now));
    // Calls are complete up to the end of the newest delta: "the last whole second" ends there.
    let second = second_of(to.min(now)).saturating_sub(1);
    let edges = edges(known, second);
    let endpoints = endpoints(known, second);
    let workloads = workloads(known, &edges);
    let chains = chains(known);
    let mut capture: Capture = known.capture.clone();
    capture.degradations.extend(known.degradations());
    Snapshot {
        schema: SCHEMA.to_owned(),
        window: Window { start: rfc3339(from), end: rfc3339(now), start_ns: from, end_ns: now },
        workloads,
        edges,
        chains,
        endpoints,
        findings: Vec::new(),
        policies: Vec::new(),
        capture,
        revision: known.revision,
        ticks: ticks(known, to.min(now)),
        log: known.recent.log(),
    }
}

/// All workloads that are part of an edge, by id.
fn workloads(known: &Knowledge, edges: &[EdgeView]) -> Vec<WorkloadView> {
    let mut calls: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for edge in edges {
        calls.entry(&edge.src).or_default().1 += edge.calls;
        calls.entry(&edge.dst).or_default().0 += edge.calls;
    }
    let view = |(id, (calls_in, calls_out))| {
        let described = known.workloads.get(id)?.described.as_ref()?;
        let workload = &described.workload;
        Some(WorkloadView {
            id: String::from(id),
            name: workload.name.to_string(),
            kind: Kind::from(workload.kind),
            pid: workload.pid,
            exe: workload.exe.to_string(),
            command: workload.command.to_string(),
            user: workload.user.to_string(),
            unit: workload.unit.to_string(),
            container: workload.container.to_string(),
            pod_uid: workload.pod_uid.to_string(),
            netns: workload.netns,
            address: workload.address.to_string(),
            calls_in,
            calls_out,
        })
    };
    calls.into_iter().filter_map(view).collect()
}

/// All edges that count, by caller, callee and protocol.
fn edges(known: &mut Knowledge, second: u32) -> Vec<EdgeView> {
    let name = |node: u32| known.workloads.get_index(node as usize);
    if known.edge_order.is_empty() {
        known.edge_order.extend(known.edges.keys());
        known.edge_order.sort_by_key(|(src, dst, protocol)| {
            (name(*src).map(|(id, _)| id), name(*dst).map(|(id, _)| id), *protocol)
        });
    }
    let mut views = Vec::with_capacity(known.edge_order.len());
    for key in &known.edge_order {
        let (Some((src, _)), Some((dst, Workload { covered, .. }))) = (name(key.0), name(key.1)) else {
            continue;
        };
        let Some(Edge { ends, view }) = known.edges.get_mut(key) else { continue };
        let load = ends.owned(*covered);
        if load.calls > 0 {
            let view = view.get_or_insert_with(|| edge((src, dst, key.2), load));
            view.rate = load.seconds.at(second) as f64;
            views.push(view.clone());
        }
    }
    views
}

fn edge((src, dst, protocol): (&Id, &Id, Protocol), load: &Load) -> EdgeView {
    let [p50_us, p99_us] = load.latency.quantiles_us(SHOWN_QUANTILES);
    EdgeView {
        src: src.to_string(),
        dst: dst.to_string(),
        protocol: vocabulary::protocol(protocol).to_owned(),
        calls: load.calls,
        errors: load.errors,
        unanswered: load.unanswered,
        rate: 0.0,
        p50_us,
        p99_us,
        request_bytes: load.request_bytes,
        response_bytes: load.response_bytes,
        first_seen: load.first,
        last_seen: load.last,
    }
}

/// All ways through proxies, most calls first.
fn chains(known: &mut Knowledge) -> Vec<ChainView> {
    let workloads = &known.workloads;
    let covered =
        |node: u32| workloads.get_index(node as usize).is_some_and(|(_, workload)| workload.covered);
    let name = |node: &u32| workloads.get_index(*node as usize).map(|(id, _)| id.to_string());
    let ways = known.follower.ways(&known.limits, covered);
    let view = |(way, calls): (Way, u64)| ChainView { path: way.iter().filter_map(name).collect(), calls };
    let mut chains: Vec<ChainView> = ways.into_iter().map(view).collect();
    chains.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.path.cmp(&b.path)));
    chains
}

/// All endpoints that count, by service, path, method and protocol.
fn endpoints(known: &mut Knowledge, second: u32) -> Vec<EndpointView> {
    let mut services: Vec<(&Id, &mut Workload)> =
        known.workloads.iter_mut().filter(|(_, workload)| workload.service.is_some()).collect();
    services.sort_by(|a, b| a.0.cmp(b.0));
    let mut views = Vec::with_capacity(known.endpoints);
    (known.endpoints, known.caps.callers, known.caps.names) = (0, 0, 0);
    for (id, workload) in services {
        let Some(service) = &mut workload.service else { continue };
        let rules = Rules::of(&known.rules, id);
        service.refresh(&Policy { limits: &known.limits, rules: &rules, covered: workload.covered }, second);
        known.endpoints += service.len();
        for group in service.groups() {
            known.caps.callers += usize::from(group.capped.0);
            known.caps.names += usize::from(group.capped.1);
            views.extend(group.view.clone());
        }
    }
    views
}

/// One endpoint; its rate is 0.
pub(super) fn endpoint(service: &Id, name: &GroupName, stats: &EndpointStats) -> EndpointView {
    let load = &stats.load;
    let [p50_us, p99_us] = load.latency.quantiles_us(SHOWN_QUANTILES);
    let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(scheme, _)| stats.auth.contains(*scheme));
    EndpointView {
        service: service.to_string(),
        protocol: vocabulary::protocol(name.protocol).to_owned(),
        method: name.method.to_string(),
        path: name.path.to_string(),
        calls: load.calls,
        statuses: stats.statuses.iter().map(|(status, calls)| (status.to_string(), calls)).collect(),
        errors: load.errors,
        unanswered: load.unanswered,
        rate: 0.0,
        p50_us,
        p99_us,
        request_bytes: load.request_bytes,
        response_bytes: load.response_bytes,
        drift: Drift::Unspecified,
        deprecated_in_use: false,
        schema_drift: false,
        auth: schemes.map(|(_, word)| (*word).to_owned()).collect(),
        callers: stats.callers.by_calls().iter().take(SHOWN_CALLERS).map(|(id, _)| id.to_string()).collect(),
        caller_count: stats.callers.distinct(),
        hosts: names(&stats.hosts),
        query: names(&stats.query),
        request_types: names(&stats.request_types),
        response_types: names(&stats.response_types),
        parameter_cardinality: stats.values.iter().map(crate::distinct::Distinct::count).collect(),
        first_seen: load.first,
        last_seen: load.last,
        notes: notes(stats),
    }
}

fn names<const N: usize>(set: &NameSet<N>) -> Vec<String> {
    set.names().iter().map(ToString::to_string).collect()
}

fn notes(stats: &EndpointStats) -> BTreeMap<String, u64> {
    let name = |bit: u8| Notes::NAMES.get(usize::from(bit)).map(|name| (*name).to_owned());
    stats.notes.iter().filter_map(|(bit, calls)| Some((name(bit)?, calls))).collect()
}

/// Every second of the window up to `to`, quiet ones as well, at most the newest [`SECONDS`].
fn ticks(known: &Knowledge, to: u64) -> Vec<Tick> {
    let beats: BTreeMap<u32, Tick> = known
        .ticks
        .iter()
        .map(|(second, beat)| {
            let mut pulse = Cow::Borrowed(&beat.owned);
            for (_, distant) in beat.distant.iter().filter(|(service, _)| !known.is_covered(service)) {
                pulse.to_mut().merge(distant);
            }
            let [p50_us, p99_us] = pulse.latency.quantiles_us(SHOWN_QUANTILES);
            let (calls, errors) = (pulse.calls, pulse.errors);
            (second, Tick { at: u64::from(second) * SECOND, calls, errors, p50_us, p99_us })
        })
        .collect();
    let Some((first, _)) = beats.first_key_value() else { return Vec::new() };
    let last = beats.last_key_value().map_or(*first, |(second, _)| *second).max(second_of(to));
    let start = (*first).max(last.saturating_sub(SECONDS as u32 - 1));
    let quiet = |second: u32| Tick { at: u64::from(second) * SECOND, ..Tick::default() };
    (start..=last).map(|second| beats.get(&second).copied().unwrap_or_else(|| quiet(second))).collect()
}
