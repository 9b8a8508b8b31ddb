//! What was counted, as metrics with bounded label sets: the one model of which Prometheus and OpenTelemetry are given.
//!
//! Labels hold what the inventory shows and nothing else: names of workloads, methods, path templates, words. The first
//! [`MAX_ENDPOINTS`] endpoints and [`MAX_EDGES`] edges, oldest first so that nobody who has a series loses it, have
//! series of their own; what the others counted is in the series `{overflow}`, so that sums stay exact.

mod otlp;
mod prometheus;
#[cfg(test)]
mod tests;

use crate::degradation::Severity;
use crate::snapshot::{EdgeView, EndpointView, Snapshot};
use std::collections::BTreeMap;

/// Endpoints with series of their own: what a collector takes of one node without complaint.
pub const MAX_ENDPOINTS: usize = 1_000;
/// Edges with series of their own.
pub const MAX_EDGES: usize = 1_000;
/// Bytes of the value of a label.
const MAX_VALUE: usize = 256;
/// What is counted for everything beyond the bounds.
const OVERFLOW: &str = "{overflow}";

/// How values of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, within one run.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Names and values, in the order of the family.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// Values that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Name, without the `_total` that Prometheus puts behind counters.
    pub name: &'static str,
    /// What it says, in one line.
    pub help: &'static str,
    /// Its unit in the words of UCUM; empty for a number of things.
    pub unit: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its values.
    pub points: Vec<Point>,
}

/// All metrics of a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The families, those without values left out.
    pub families: Vec<Family>,
    /// When counting began, Unix nanoseconds.
    pub start_ns: u64,
    /// The moment, Unix nanoseconds.
    pub end_ns: u64,
}

impl Metrics {
    /// The metrics of a snapshot. `product` is the version of this program.
    #[must_use]
    pub fn of(snapshot: &Snapshot, product: &str) -> Self {
        let mut families = vec![family(
            "apisec_build_info",
            "The version that counts",
            Kind::Gauge,
            vec![point(&[("version", product)], 1.0)],
        )];
        families.extend(endpoints(snapshot));
        families.extend(edges(snapshot));
        families.extend(judged(snapshot));
        families.extend(capture(snapshot));
        families.retain(|family| !family.points.is_empty());
        Self { families, start_ns: snapshot.window.start_ns, end_ns: snapshot.window.end_ns }
    }
}

fn family(name: &'static str, help: &'static str, kind: Kind, points: Vec<Point>) -> Family {
    Family { name, help, unit: "", kind, points }
}

fn point(labels: &[(&'static str, &str)], value: f64) -> Point {
    let labels = labels.iter().map(|(name, value)| (*name, cut(value))).collect();
    Point { labels, value }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "both formats count in doubles; beyond 2^53 the last digits are lost"
)]
const fn number(value: u64) -> f64 {
    value as f64
}

/// A value that is short and can be shown: names come from the wire.
fn cut(text: &str) -> String {
    let mut made = String::new();
    for character in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if made.len() + character.len_utf8() > MAX_VALUE {
            break;
        }
        made.push(character);
    }
    made
}

/// The oldest so many, and the others.
fn oldest<T>(rows: &[T], most: usize, age: impl Fn(&T) -> (u64, String)) -> (Vec<&T>, Vec<&T>) {
    let mut rows: Vec<&T> = rows.iter().collect();
    if rows.len() <= most {
        return (rows, Vec::new());
    }
    rows.sort_by_cached_key(|row| age(row));
    let rest = rows.split_off(most);
    (rows, rest)
}

fn endpoints(snapshot: &Snapshot) -> Vec<Family> {
    let asked: Vec<EndpointView> = snapshot.endpoints.iter().filter(|row| row.calls > 0).cloned().collect();
    let age = |row: &EndpointView| (row.first_seen, format!("{} {} {}", row.service, row.method, row.path));
    let (own, rest) = oldest(&asked, MAX_ENDPOINTS, age);
    let counted = |name, help, value: fn(&EndpointView) -> u64| {
        let mut points: Vec<Point> = own.iter().map(|row| point(&of(row), number(value(row)))).collect();
        if !rest.is_empty() {
            let all =
                [("service", OVERFLOW), ("protocol", OVERFLOW), ("method", OVERFLOW), ("path", OVERFLOW)];
            points.push(point(&all, number(rest.iter().map(|row| value(row)).sum())));
        }
        family(name, help, Kind::Counter, points)
    };
    let mut latencies = Vec::new();
    for row in &own {
        for (quantile, value) in [("0.5", row.p50_us), ("0.99", row.p99_us)] {
            let mut found = point(&of(row), number(value) / 1e6);
            found.labels.push(("quantile", quantile.into()));
            latencies.push(found);
        }
    }
    let mut latency = family(
        "apisec_call_duration_seconds",
        "Time from the first byte of a request to the last of its answer, since the start",
        Kind::Gauge,
        latencies,
    );
    latency.unit = "s";
    vec![
        counted("apisec_calls", "Calls, answered or not", |row| row.calls),
        counted("apisec_call_errors", "Calls answered 4xx or 5xx, with a failure, or not at all", |row| {
            row.errors
        }),
        counted("apisec_calls_unanswered", "Calls that were not answered", |row| row.unanswered),
        counted("apisec_request_bytes", "Bytes of requests", |row| row.request_bytes),
        counted("apisec_response_bytes", "Bytes of answers", |row| row.response_bytes),
        family(
            "apisec_responses",
            "Answers by service and class of status",
            Kind::Counter,
            classes(&own, &rest),
        ),
        latency,
    ]
}

fn of(row: &EndpointView) -> [(&'static str, &str); 4] {
    [("service", &row.service), ("protocol", &row.protocol), ("method", &row.method), ("path", &row.path)]
}

/// Answers by service and first digit of the status; other words of protocols are `other`.
fn classes(own: &[&EndpointView], rest: &[&EndpointView]) -> Vec<Point> {
    let mut sums: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    let rows =
        own.iter().map(|row| (row.service.as_str(), row)).chain(rest.iter().map(|row| (OVERFLOW, row)));
    for (service, row) in rows {
        for (status, calls) in &row.statuses {
            let class = match status.as_bytes() {
                [b'1', _, _] => "1xx",
                [b'2', _, _] => "2xx",
                [b'3', _, _] => "3xx",
                [b'4', _, _] => "4xx",
                [b'5', _, _] => "5xx",
                _ => "other",
            };
            *sums.entry((service, class)).or_default() += calls;
        }
    }
    let made = |((service, class), calls)| point(&[("service", service), ("class", class)], number(calls));
    sums.into_iter().map(made).collect()
}

fn edges(snapshot: &Snapshot) -> Vec<Family> {
    let age = |row: &EdgeView| (row.first_seen, format!("{} {} {}", row.src, row.dst, row.protocol));
    let (own, rest) = oldest(&snapshot.edges, MAX_EDGES, age);
    let counted = |name, help, value: fn(&EdgeView) -> u64| {
        let labels = |row: &EdgeView| {
            point(&[("src", &row.src), ("dst", &row.dst), ("protocol", &row.protocol)], number(value(row)))
        };
        let mut points: Vec<Point> = own.iter().map(|row| labels(row)).collect();
        if !rest.is_empty() {
            let all = [("src", OVERFLOW), ("dst", OVERFLOW), ("protocol", OVERFLOW)];
            points.push(point(&all, number(rest.iter().map(|row| value(row)).sum())));
        }
        family(name, help, Kind::Counter, points)
    };
    vec![
        counted("apisec_edge_calls", "Calls from one workload to another", |row| row.calls),
        counted("apisec_edge_errors", "Failed calls from one workload to another", |row| row.errors),
    ]
}

/// Findings, drift and policies: sums by words that the program knows.
fn judged(snapshot: &Snapshot) -> Vec<Family> {
    let mut findings: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for finding in &snapshot.findings {
        *findings.entry((&finding.detector, finding.severity.word(), finding.state.word())).or_default() += 1;
    }
    let finding = |((detector, severity, state), count)| {
        point(&[("detector", detector), ("severity", severity), ("state", state)], number(count))
    };
    let states = &snapshot.inventory.states;
    let drift = states.iter().map(|(state, count)| point(&[("state", state)], number(*count))).collect();
    let mut policies: BTreeMap<&str, u64> = BTreeMap::new();
    for policy in &snapshot.policies {
        *policies.entry(&policy.backend).or_default() += policy.blocked;
    }
    let blocked = |(backend, count)| point(&[("backend", backend)], number(count));
    vec![
        family(
            "apisec_findings",
            "Findings by detector, severity and state",
            Kind::Gauge,
            findings.into_iter().map(finding).collect(),
        ),
        family("apisec_endpoints", "Endpoints by drift state", Kind::Gauge, drift),
        family(
            "apisec_policies",
            "Policies",
            Kind::Gauge,
            vec![point(&[], number(snapshot.policies.len() as u64))],
        ),
        family(
            "apisec_policy_blocked",
            "Connections and requests that policies in force refused",
            Kind::Gauge,
            policies.into_iter().map(blocked).collect(),
        ),
    ]
}

const fn gravity(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "notice",
        Severity::Partial => "partial",
        Severity::Fatal => "fatal",
    }
}

/// How well we see.
fn capture(snapshot: &Snapshot) -> Vec<Family> {
    let capture = &snapshot.capture;
    let losses =
        capture.losses.iter().map(|(why, count)| point(&[("reason", why)], number(*count))).collect();
    let missing = capture
        .degradations
        .iter()
        .map(|one| point(&[("code", &one.code), ("severity", gravity(one.severity))], 1.0))
        .collect::<Vec<_>>();
    let mut seen: Vec<Point> = Vec::new();
    for one in missing {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    vec![
        family(
            "apisec_capture_calls",
            "Calls that were captured",
            Kind::Counter,
            vec![point(&[], number(capture.calls))],
        ),
        family(
            "apisec_capture_lost",
            "Events that were lost",
            Kind::Counter,
            vec![point(&[], number(capture.lost))],
        ),
        family("apisec_capture_losses", "What was lost, by reason", Kind::Counter, losses),
        family("apisec_degradation", "What cannot be seen or done now", Kind::Gauge, seen),
    ]
}
