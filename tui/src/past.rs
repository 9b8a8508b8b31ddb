//! A snapshot of an earlier moment, rebuilt from the call log: what was known when the log ended there.
//!
//! Counts only calls that are still in the log, and says so by its window. Chains and losses have no
//! history, so the former are left out and the latter are those of the present.

use crate::format::SECOND;
use apisec_engine::call_log::{CallChunk, CallLog, CallRow};
use apisec_engine::snapshot::{Drift, EdgeView, EndpointView, Snapshot, Window, WorkloadView};
use apisec_engine::vocabulary;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// First and last call in the log, Unix nanoseconds.
#[must_use]
pub fn span(log: &CallLog) -> Option<(u64, u64)> {
    let first = log.chunks.iter().filter_map(|chunk| chunk.rows.first()).map(|row| row.at).min()?;
    let last = log.chunks.iter().filter_map(|chunk| chunk.rows.last()).map(|row| row.at).max()?;
    Some((first, last))
}

/// What `snapshot` would have shown at `until`, as far as its log reaches back.
#[must_use]
pub fn at(snapshot: &Snapshot, until: u64) -> Snapshot {
    let log = cut(&snapshot.log, until);
    let mut tally = Tally::default();
    for chunk in &log.chunks {
        for row in &chunk.rows {
            tally.add(chunk, row, until);
        }
    }
    let start_ns = if snapshot.log.evicted == 0 {
        snapshot.window.start_ns
    } else {
        span(&log).map_or(until, |(first, _)| first)
    };
    let mut capture = snapshot.capture.clone();
    capture.calls = tally.calls;
    Snapshot {
        schema: snapshot.schema.clone(),
        window: Window { start_ns, end_ns: until, ..snapshot.window.clone() },
        workloads: tally.workloads(&snapshot.workloads),
        edges: tally.edges.into_iter().map(|(key, sum)| edge(key, sum)).collect(),
        endpoints: tally.endpoints.into_iter().map(|(key, sum)| endpoint(key, sum)).collect(),
        capture,
        revision: snapshot.revision,
        ticks: snapshot.ticks.iter().copied().filter(|tick| tick.at <= until).collect(),
        log,
        ..Snapshot::default()
    }
}

/// The log up to `until`. Whole chunks are shared, the one that is cut is copied.
fn cut(log: &CallLog, until: u64) -> CallLog {
    let mut chunks = Vec::new();
    for chunk in &log.chunks {
        match (chunk.rows.first(), chunk.rows.last()) {
            (Some(first), _) if first.at > until => {}
            (_, Some(last)) if last.at > until => {
                let rows = chunk.rows.iter().filter(|row| row.at <= until).cloned().collect();
                chunks.push(Arc::new(CallChunk { rows, ..CallChunk::clone(chunk) }));
            }
            _ => chunks.push(Arc::clone(chunk)),
        }
    }
    let len = chunks.iter().map(|chunk| chunk.rows.len()).sum();
    CallLog { chunks, len, evicted: log.evicted }
}

type EdgeKey = (String, String, &'static str);
type EndpointKey = (String, String, String, &'static str);

#[derive(Default)]
struct Tally {
    calls: u64,
    edges: BTreeMap<EdgeKey, Sum>,
    endpoints: BTreeMap<EndpointKey, Sum>,
}

#[derive(Default)]
struct Sum {
    calls: u64,
    errors: u64,
    unanswered: u64,
    recent: u64,
    request_bytes: u64,
    response_bytes: u64,
    first: u64,
    last: u64,
    durations: Vec<u64>,
    statuses: BTreeMap<String, u64>,
    callers: HashMap<String, u64>,
    auth: Vec<String>,
    hosts: Vec<String>,
    notes: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, chunk: &CallChunk, row: &CallRow, until: u64) {
        let id =
            |index: u32| chunk.workloads.get(index as usize).map(ToString::to_string).unwrap_or_default();
        let Some(target) = chunk.endpoints.get(row.endpoint as usize) else { return };
        self.calls += 1;
        let protocol = vocabulary::protocol(target.protocol);
        let (src, dst) = (id(row.src), id(row.dst));
        self.edges.entry((src.clone(), dst, protocol)).or_default().add(row, until);
        let key = (target.service.to_string(), target.path.to_string(), target.method.to_string(), protocol);
        let sum = self.endpoints.entry(key).or_default();
        sum.add(row, until);
        sum.describe(row, src, &target.host);
    }

    fn workloads(&self, known: &[WorkloadView]) -> Vec<WorkloadView> {
        let mut calls: HashMap<&str, (u64, u64)> = HashMap::new();
        for ((src, dst, _), sum) in &self.edges {
            calls.entry(src).or_default().1 += sum.calls;
            calls.entry(dst).or_default().0 += sum.calls;
        }
        let seen = |workload: &WorkloadView| {
            let (calls_in, calls_out) = *calls.get(workload.id.as_str())?;
            Some(WorkloadView { calls_in, calls_out, ..workload.clone() })
        };
        known.iter().filter_map(seen).collect()
    }
}

impl Sum {
    fn add(&mut self, row: &CallRow, until: u64) {
        self.calls += 1;
        self.errors += u64::from(row.status == 0 || row.status >= 400);
        self.unanswered += u64::from(row.status == 0);
        self.recent += u64::from(row.at > until.saturating_sub(SECOND));
        self.request_bytes += u64::from(row.request_bytes);
        self.response_bytes += u64::from(row.response_bytes);
        self.first = if self.calls == 1 { row.at } else { self.first.min(row.at) };
        self.last = self.last.max(row.at);
        self.durations.push(row.duration / 1_000);
    }

    fn describe(&mut self, row: &CallRow, src: String, host: &str) {
        if row.status != 0 {
            *self.statuses.entry(row.status.to_string()).or_default() += 1;
        }
        *self.callers.entry(src).or_default() += 1;
        once(&mut self.auth, vocabulary::auth(row.auth));
        once(&mut self.hosts, host);
        for note in row.notes.names() {
            *self.notes.entry(note.to_owned()).or_default() += 1;
        }
    }

    /// The value below which `share` of the durations lie (nearest rank).
    fn quantile(&mut self, share: f64) -> u64 {
        self.durations.sort_unstable();
        let rank = (self.durations.len() as f64 * share).ceil() as usize;
        self.durations.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

fn once(list: &mut Vec<String>, value: &str) {
    if !value.is_empty() && !list.iter().any(|known| known == value) {
        list.push(value.to_owned());
    }
}

fn edge((src, dst, protocol): EdgeKey, mut sum: Sum) -> EdgeView {
    EdgeView {
        src,
        dst,
        protocol: protocol.to_owned(),
        calls: sum.calls,
        errors: sum.errors,
        unanswered: sum.unanswered,
        rate: sum.recent as f64,
        p50_us: sum.quantile(0.5),
        p99_us: sum.quantile(0.99),
        request_bytes: sum.request_bytes,
        response_bytes: sum.response_bytes,
        first_seen: sum.first,
        last_seen: sum.last,
    }
}

fn endpoint((service, path, method, protocol): EndpointKey, mut sum: Sum) -> EndpointView {
    let (p50_us, p99_us) = (sum.quantile(0.5), sum.quantile(0.99));
    let mut callers: Vec<_> = sum.callers.into_iter().collect();
    callers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    EndpointView {
        service,
        protocol: protocol.to_owned(),
        method,
        path,
        calls: sum.calls,
        statuses: sum.statuses,
        errors: sum.errors,
        unanswered: sum.unanswered,
        rate: sum.recent as f64,
        p50_us,
        p99_us,
        request_bytes: sum.request_bytes,
        response_bytes: sum.response_bytes,
        drift: Drift::Unspecified,
        deprecated_in_use: false,
        schema_drift: false,
        auth: sum.auth,
        caller_count: callers.len() as u64,
        callers: callers.into_iter().map(|(id, _)| id).collect(),
        hosts: sum.hosts,
        query: Vec::new(),
        request_types: Vec::new(),
        response_types: Vec::new(),
        parameter_cardinality: Vec::new(),
        first_seen: sum.first,
        last_seen: sum.last,
        notes: sum.notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_end_of_the_log_shows_every_logged_call() {
        let snapshot = fixture::shop();
        let (_, last) = span(&snapshot.log).expect("calls");
        let past = at(&snapshot, last);
        assert_eq!(past.capture.calls, snapshot.log.len as u64);
        assert_eq!(past.edges.iter().map(|edge| edge.calls).sum::<u64>(), snapshot.log.len as u64);
        assert_eq!(
            past.endpoints.iter().map(|endpoint| endpoint.calls).sum::<u64>(),
            snapshot.log.len as u64
        );
    }

    #[test]
    fn an_earlier_moment_shows_only_what_had_happened() {
        let snapshot = fixture::shop();
        let (first, last) = span(&snapshot.log).expect("calls");
        let until = first + (last - first) / 2;
        let past = at(&snapshot, until);
        let expected = snapshot.log.chunks.iter().flat_map(|c| &c.rows).filter(|row| row.at <= until).count();
        assert!(expected > 0 && expected < snapshot.log.len);
        assert_eq!(past.log.len, expected);
        assert_eq!(past.capture.calls, expected as u64);
        assert!(past.ticks.iter().all(|tick| tick.at <= until));
        assert_eq!(past.window.end_ns, until);
        let workload_calls: u64 = past.workloads.iter().map(|w| w.calls_in).sum();
        assert_eq!(workload_calls, expected as u64);
    }

    #[test]
    fn before_the_first_call_there_is_nothing() {
        let past = at(&fixture::shop(), 1);
        assert!(past.edges.is_empty() && past.endpoints.is_empty() && past.log.len == 0);
    }

    #[test]
    fn quantiles_are_nearest_rank() {
        let mut sum = Sum { durations: (1..=100).rev().collect(), ..Sum::default() };
        assert_eq!((sum.quantile(0.5), sum.quantile(0.99)), (50, 99));
        assert_eq!(Sum::default().quantile(0.5), 0);
    }
}
