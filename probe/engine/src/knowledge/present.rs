//! Knowledge as the read model shows it.

use super::drifting::{self, choose_specifications, inventory};
use super::grouping::GroupName;
use super::library;
use super::origins;
use super::passed_on;
use super::peers::Peers;
use super::repaint::repaint;
use super::service::{Group, Policy};
use super::{Edge, Knowledge, Node, Workload};
use crate::delta::Described;
use crate::distinct::Distinct;
use crate::endpoint::{EndpointStats, Id};
use crate::finding::Finding;
use crate::graph::follow::Way;
use crate::inventory::rules::Rules;
use crate::load::{Load, SECOND, second_of};
use crate::moment::rfc3339;
use crate::name_set::NameSet;
use crate::node;
use crate::snapshot::{
    Capture, CarriageView, ChainView, EdgeView, EndpointView, Kind, MessagesView, SCHEMA, Snapshot, Tick,
    Window, WorkloadView,
};
use crate::tick::SECONDS;
use crate::vocabulary;
use apisec_proto::body::shape::Tally;
use apisec_proto::call::Notes;
use compact_str::{CompactString, format_compact};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Callers that are shown per endpoint.
const SHOWN_CALLERS: usize = 32;
const SHOWN_QUANTILES: [f64; 2] = [0.5, 0.99];

/// The read model at the moment `now`, painted over an older one where nobody holds that any more.
pub(super) fn snapshot(known: &mut Knowledge, now: u64) -> Snapshot {
    let (from, to) = known.window.unwrap_or((now, now));
    // Calls are complete up to the end of the newest delta: "the last whole second" ends there.
    let second = second_of(to.min(now)).saturating_sub(1);
    let mut canvas = known.canvases.take();
    let seen = canvas.revision;
    let totals = edges(known, &mut canvas.edges, second, seen);
    workloads(known, &mut canvas.workloads, &totals, seen);
    choose_specifications(known);
    known.judge(now);
    endpoints(known, &mut canvas.endpoints, (second, now), seen);
    let mut specifications = known.library.views();
    drifting::weigh(&canvas.endpoints, &mut specifications);
    let mut capture: Capture = known.capture.clone();
    capture.degradations.extend(known.degradations());
    capture.degradations.extend(library::doubts(&specifications));
    let chains = chains(known);
    Snapshot {
        schema: SCHEMA.to_owned(),
        window: Window { start: rfc3339(from), end: rfc3339(now), start_ns: from, end_ns: now },
        findings: findings(known, &chains),
        chains,
        specifications,
        inventory: inventory(known, &canvas.endpoints, from),
        policies: known.standings.policies.clone(),
        policy_history: known.standings.history.clone(),
        policy_answer: known.standings.answer.clone(),
        capture,
        revision: known.revision,
        ticks: ticks(known, to.min(now)),
        log: known.recent.log(),
        ..canvas
    }
}

/// Calls into and out of each workload, by number.
type Totals = Vec<(u64, u64)>;

/// All workloads that are part of an edge, by id.
fn workloads(known: &mut Knowledge, rows: &mut Vec<WorkloadView>, totals: &Totals, seen: u64) {
    let table = &known.workloads;
    if known.workload_order.len() != table.len() {
        known.workload_order = (0..table.len() as u32).collect();
        known.workload_order.sort_by_key(|node| table.get_index(*node as usize).map(|(id, _)| id));
    }
    let keys = known.workload_order.iter().filter_map(|node| {
        let (id, workload) = table.get_index(*node as usize)?;
        let calls = totals.get(*node as usize).filter(|calls| **calls != (0, 0))?;
        Some((id, workload, workload.described.as_ref()?, calls))
    });
    let order = |row: &WorkloadView, key: &(&Id, _, _, _)| (*row.id).cmp(key.0);
    repaint(
        rows,
        keys,
        order,
        |(_, _, described, _)| workload(described),
        |row, (_, workload, described, calls), fresh| {
            if !fresh && workload.changed > seen {
                *row = self::workload(described);
            }
            (row.calls_in, row.calls_out) = *calls;
        },
    );
}

fn workload(described: &Described) -> WorkloadView {
    let workload = &described.workload;
    WorkloadView {
        id: described.id.to_string(),
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
        owner: workload.owner.to_string(),
        calls_in: 0,
        calls_out: 0,
    }
}

/// The findings, each once however many proxies passed the call on.
fn findings(known: &Knowledge, chains: &[ChainView]) -> Vec<Finding> {
    let mut findings = known.ledger.view();
    let name = |node: &Node| known.workloads.get_index(*node as usize).map_or("", |(id, _)| &**id);
    let edges: BTreeSet<(&str, &str)> =
        known.edges.keys().map(|(src, dst, _)| (name(dst), name(src))).collect();
    let calls = |outer: &str, inner: &str| {
        let mut callers = edges.range((inner, "")..).take_while(|(dst, _)| *dst == inner);
        callers.any(|(_, src)| passed_on::is_one(src, outer))
    };
    passed_on::fold(&mut findings, calls);
    origins::name(&mut findings, chains);
    findings.sort_by(|a, b| Reverse(a.urgency()).cmp(&Reverse(b.urgency())).then_with(|| a.id.cmp(&b.id)));
    findings
}

/// All edges that count, by caller, callee and protocol; gives the calls of each workload.
fn edges(known: &mut Knowledge, rows: &mut Vec<EdgeView>, second: u32, seen: u64) -> Totals {
    let name = |node: u32| known.workloads.get_index(node as usize);
    if known.edge_order.len() != known.edges.len() {
        known.edge_order = known.edges.keys().copied().collect();
        known.edge_order.sort_by_key(|(src, dst, protocol)| {
            (name(*src).map(|(id, _)| id), name(*dst).map(|(id, _)| id), *protocol)
        });
    }
    let mut totals = vec![(0, 0); known.workloads.len()];
    let (peers, known) = (Peers::of(known), &*known);
    let keys = known.edge_order.iter().filter_map(|(src, dst, protocol)| {
        let Edge { ends, changed } = known.edges.get(&(*src, *dst, *protocol))?;
        let ((src_id, _), (dst_id, callee)) = (name(*src)?, name(*dst)?);
        let load = peers.share(known, (*src, *dst, *protocol), ends, callee.covered)?;
        // What is left of a node's calls changes with what its workloads say.
        let changed = if node::is_peer(src_id) { u64::MAX } else { *changed };
        totals.get_mut(*dst as usize)?.0 += load.calls;
        totals.get_mut(*src as usize)?.1 += load.calls;
        Some((src_id, dst_id, vocabulary::protocol(*protocol), load, changed))
    });
    let order = |row: &EdgeView, key: &(&Id, &Id, &str, _, _)| {
        (&*row.src, &*row.dst, &*row.protocol).cmp(&(&**key.0, &**key.1, key.2))
    };
    let fresh = |(src, dst, protocol, ..): &(&Id, &Id, &str, _, _)| edge(src, dst, protocol);
    repaint(rows, keys, order, fresh, |row, (_, _, _, load, changed), fresh| {
        if fresh || changed > seen {
            paint_edge(row, &load);
        }
        row.rate = load.seconds.at(second) as f64;
    });
    totals
}

fn edge(src: &Id, dst: &Id, protocol: &str) -> EdgeView {
    EdgeView {
        src: src.to_string(),
        dst: dst.to_string(),
        protocol: protocol.to_owned(),
        ..EdgeView::default()
    }
}

fn paint_edge(row: &mut EdgeView, load: &Load) {
    [row.p50_us, row.p99_us] = load.latency.quantiles_us(SHOWN_QUANTILES);
    (row.calls, row.errors, row.unanswered) = (load.calls, load.errors, load.unanswered);
    (row.request_bytes, row.response_bytes) = (load.request_bytes, load.response_bytes);
    (row.first_seen, row.last_seen) = (load.first, load.last);
    paint_carriage(&mut row.carriage, load);
}

fn paint_carriage(shown: &mut CarriageView, load: &Load) {
    (shown.encrypted, shown.mutual, shown.anonymous) = (load.encrypted, load.mutual, load.anonymous);
    let [request, response] = &load.classes;
    paint_classes((&mut shown.request, &mut shown.request_calls), request);
    paint_classes((&mut shown.response, &mut shown.response_calls), response);
}

fn paint_classes((names, calls): (&mut Vec<String>, &mut BTreeMap<String, u64>), carried: &Tally) {
    paint_texts(names, carried.iter().map(|(class, _)| class.name()));
    if carried.is_empty() {
        return calls.clear();
    }
    *calls = carried.iter().map(|(class, count)| (class.name().to_owned(), u64::from(count))).collect();
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

/// Groups the endpoints of services where something changed.
pub(super) fn refresh_services(known: &mut Knowledge) {
    known.endpoints = 0;
    for (id, workload) in &mut known.workloads {
        let rules = Rules::of(&known.rules, id);
        let policy = Policy { limits: &known.limits, rules: &rules, covered: workload.covered };
        if let Some(service) = &mut workload.service {
            service.refresh(&policy, known.revision);
            known.endpoints += service.len();
        }
    }
}

/// All endpoints that count, by service, path, method, operation and protocol.
fn endpoints(known: &mut Knowledge, rows: &mut Vec<EndpointView>, (second, now): (u32, u64), seen: u64) {
    let zombie_after = known.zombie_after;
    refresh_services(known);
    let mut services: Vec<(&Id, &mut Workload)> =
        known.workloads.iter_mut().filter(|(_, workload)| workload.service.is_some()).collect();
    services.sort_by(|a, b| a.0.cmp(b.0));
    (known.caps.callers, known.caps.names) = (0, 0);
    let keys = services.iter_mut().flat_map(|(id, workload)| {
        let id: &Id = id;
        let owner = workload.described.as_ref().map(|described| described.workload.owner.clone());
        let groups = workload.service.iter_mut().flat_map(|service| service.groups());
        groups.map(move |group| (id, group, owner.clone()))
    });
    let order = |row: &EndpointView, (id, (group, ..), _): &(&Id, (&mut Group, _, _), _)| {
        let name = &group.name;
        (&*row.service, &*row.path, &*row.method, &*row.operation, &*row.protocol).cmp(&(
            &***id,
            &*name.path,
            name.method.as_str(),
            name.operation.as_str(),
            vocabulary::protocol(name.protocol),
        ))
    };
    repaint(
        rows,
        keys,
        order,
        |(id, (group, ..), _)| endpoint(id, &group.name),
        |row, (_, (group, observed, contract), owner), fresh| {
            if fresh || group.changed > seen {
                let stats = group.sum(observed);
                group.capped = (stats.callers.others() > 0, stats.has_more_names());
                paint_endpoint(row, &stats);
                drifting::paint_documentation(
                    row,
                    group,
                    contract,
                    owner.as_deref().unwrap_or_default(),
                    (&stats, &known.values),
                );
            }
            drifting::paint_state(row, group, contract, now, zombie_after);
            row.rate = group.calls_in(observed, second) as f64;
            known.caps.callers += usize::from(group.capped.0);
            known.caps.names += usize::from(group.capped.1);
        },
    );
}

/// An endpoint without calls.
fn endpoint(service: &Id, name: &GroupName) -> EndpointView {
    EndpointView {
        service: service.to_string(),
        protocol: vocabulary::protocol(name.protocol).to_owned(),
        method: name.method.to_string(),
        operation: name.operation.to_string(),
        path: name.path.to_string(),
        ..EndpointView::default()
    }
}

/// Writes what has changed; texts are only written where they differ.
fn paint_endpoint(row: &mut EndpointView, stats: &EndpointStats) {
    let load = &stats.load;
    [row.p50_us, row.p99_us] = load.latency.quantiles_us(SHOWN_QUANTILES);
    (row.calls, row.errors, row.unanswered) = (load.calls, load.errors, load.unanswered);
    (row.request_bytes, row.response_bytes) = (load.request_bytes, load.response_bytes);
    (row.first_seen, row.last_seen) = if load.calls == 0 { (0, 0) } else { (load.first, load.last) };
    row.messages = stats.messages.map(MessagesView::from);
    paint_counts(
        &mut row.statuses,
        stats.statuses.iter().map(|(status, calls)| (format_compact!("{status}"), calls)),
    );
    let note = |bit: u8| Notes::NAMES.get(usize::from(bit)).map(|name| CompactString::const_new(name));
    paint_counts(&mut row.notes, stats.notes.iter().filter_map(|(bit, calls)| Some((note(bit)?, calls))));
    let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(scheme, _)| stats.auth.contains(*scheme));
    paint_texts(&mut row.auth, schemes.map(|(_, word)| *word));
    paint_texts(&mut row.callers, stats.callers.by_calls().iter().take(SHOWN_CALLERS).map(|(id, _)| &**id));
    row.caller_count = stats.callers.distinct();
    paint_names(&mut row.hosts, &stats.hosts);
    paint_names(&mut row.credentials, &stats.credentials);
    paint_names(&mut row.claims, &stats.claims);
    paint_names(&mut row.query, &stats.query);
    paint_names(&mut row.request_types, &stats.request_types);
    paint_names(&mut row.response_types, &stats.response_types);
    paint_carriage(&mut row.carriage, load);
    row.looks.clone_from(&stats.looks);
    row.parameter_cardinality.clear();
    row.parameter_cardinality.extend(stats.values.iter().map(Distinct::count));
}

/// The classes of a set, by name.
fn paint_names<const N: usize>(shown: &mut Vec<String>, set: &NameSet<N>) {
    paint_texts(shown, set.names().iter().map(CompactString::as_str));
}

fn paint_texts<'a>(shown: &mut Vec<String>, texts: impl Iterator<Item = &'a str> + Clone) {
    if !shown.iter().map(String::as_str).eq(texts.clone()) {
        shown.clear();
        shown.extend(texts.map(str::to_owned));
    }
}

fn paint_counts(
    shown: &mut BTreeMap<String, u64>,
    counts: impl Iterator<Item = (CompactString, u64)> + Clone,
) {
    if shown.len() != counts.clone().count()
        || counts.clone().any(|(name, _)| !shown.contains_key(name.as_str()))
    {
        *shown = counts.clone().map(|(name, _)| (name.into_string(), 0)).collect();
    }
    for (name, calls) in counts {
        shown.get_mut(name.as_str()).into_iter().for_each(|shown| *shown = calls);
    }
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
