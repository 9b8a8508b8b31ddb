//! A snapshot of an earlier moment, rebuilt from the call log: what was known when the log ended there.
//!
//! Counts only calls that are still in the log, and says so by its window. Chains and losses have no
//! history, so the former are left out and the latter are those of the present.

use crate::format::SECOND;
use apisec_engine::call_log::{CallChunk, CallLog, CallRow};
use apisec_engine::snapshot::{EdgeView, EndpointView, Snapshot, Window, WorkloadView};
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
        tally.add(chunk, until);
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
type EndpointKey = (String, String, String, String, &'static str);

#[derive(Default)]
struct Tally {
    calls: u64,
    edges: BTreeMap<EdgeKey, Sum>,
    endpoints: BTreeMap<EndpointKey, Sum>,
}

/// What is summed over calls.
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
    statuses: BTreeMap<u16, u64>,
    callers: HashMap<String, u64>,
    auth: Vec<&'static str>,
    hosts: Vec<String>,
    notes: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Sums the calls of a chunk by its own small numbers first: names are looked up once per group, not per call.
    fn add(&mut self, chunk: &CallChunk, until: u64) {
        let mut groups: BTreeMap<(u32, u32, u32), Sum> = BTreeMap::new();
        for row in &chunk.rows {
            groups.entry((row.src, row.dst, row.endpoint)).or_default().add(row, until);
        }
        let id =
            |index: u32| chunk.workloads.get(index as usize).map(ToString::to_string).unwrap_or_default();
        for ((src, dst, endpoint), mut sum) in groups {
            let Some(target) = chunk.endpoints.get(endpoint as usize) else { continue };
            self.calls += sum.calls;
            let protocol = vocabulary::protocol(target.protocol);
            self.edges.entry((id(src), id(dst), protocol)).or_default().merge(&sum);
            sum.callers.insert(id(src), sum.calls);
            once(&mut sum.hosts, target.host.to_string());
            let key = (
                target.service.to_string(),
                target.path.to_string(),
                target.method.to_string(),
                target.operation.to_string(),
                protocol,
            );
            self.endpoints.entry(key).or_default().merge(&sum);
        }
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
        self.first = if self.calls == 0 { row.at } else { self.first.min(row.at) };
        self.last = self.last.max(row.at);
        self.calls += 1;
        self.errors += u64::from(row.is_error());
        self.unanswered += u64::from(row.is_unanswered());
        self.recent += u64::from(row.at > until.saturating_sub(SECOND));
        self.request_bytes += u64::from(row.request_bytes);
        self.response_bytes += u64::from(row.response_bytes);
        if !row.is_one_way() {
            self.durations.push(row.duration / 1_000);
        }
        if row.status != 0 {
            *self.statuses.entry(row.status).or_default() += 1;
        }
        once(&mut self.auth, vocabulary::auth(row.auth));
        for note in row.notes.names() {
            *self.notes.entry(note).or_default() += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.first = if self.calls == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.calls += other.calls;
        self.errors += other.errors;
        self.unanswered += other.unanswered;
        self.recent += other.recent;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
        self.durations.extend_from_slice(&other.durations);
        other.statuses.iter().for_each(|(status, n)| *self.statuses.entry(*status).or_default() += n);
        other.callers.iter().for_each(|(id, n)| *self.callers.entry(id.clone()).or_default() += n);
        other.notes.iter().for_each(|(note, n)| *self.notes.entry(note).or_default() += n);
        other.auth.iter().for_each(|auth| once(&mut self.auth, auth));
        other.hosts.iter().for_each(|host| once(&mut self.hosts, host.clone()));
    }

    /// The value below which `share` of the durations lie (nearest rank).
    fn quantile(&mut self, share: f64) -> u64 {
        self.durations.sort_unstable();
        let rank = (self.durations.len() as f64 * share).ceil() as usize;
        self.durations.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

fn once<T: PartialEq + AsRef<str>>(list: &mut Vec<T>, value: T) {
    if !value.as_ref().is_empty() && !list.contains(&value) {
        list.push(value);
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
        ..EdgeView::default()
    }
}

fn endpoint((service, path, method, operation, protocol): EndpointKey, mut sum: Sum) -> EndpointView {
    let (p50_us, p99_us) = (sum.quantile(0.5), sum.quantile(0.99));
    let mut callers: Vec<_> = sum.callers.into_iter().collect();
    callers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    EndpointView {
        service,
        protocol: protocol.to_owned(),
        method,
        operation,
        path,
        calls: sum.calls,
        statuses: sum.statuses.iter().map(|(status, n)| (status.to_string(), *n)).collect(),
        errors: sum.errors,
        unanswered: sum.unanswered,
        rate: sum.recent as f64,
        p50_us,
        p99_us,
        request_bytes: sum.request_bytes,
        response_bytes: sum.response_bytes,
        auth: sum.auth.into_iter().map(str::to_owned).collect(),
        caller_count: callers.len() as u64,
        callers: callers.into_iter().map(|(id, _)| id).collect(),
        hosts: sum.hosts,
        first_seen: sum.first,
        last_seen: sum.last,
        notes: sum.notes.into_iter().map(|(note, n)| (note.to_owned(), n)).collect(),
        ..EndpointView::default()
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
