//! A summary for people when the run ends: who, whom, what, and what is missing.
//!
//! The rows with the most calls only; `json` has them all.

mod columns;

use super::{Page, Report, Shape};
use apisec_engine::degradation::Severity;
use apisec_engine::snapshot::{EdgeView, EndpointView, Snapshot, WorkloadView};
use columns::{Columns, Fit, harmless};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

/// Rows per section: a summary that is read, not scrolled.
const ROWS: usize = 20;

/// The format.
pub(super) const REPORT: Report =
    Report { name: "table", about: "a summary for people when the run ends", shape: Shape::AtEnd(write) };

fn write(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let names = Names::of(snapshot);
    headline(snapshot, page, out)?;
    workloads(snapshot, page, out)?;
    edges(snapshot, &names, page, out)?;
    endpoints(snapshot, &names, page, out)?;
    losses(snapshot, page, out)?;
    degradations(snapshot, page, out)
}

/// Display names of workloads; the id where two share a name.
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut holders: HashMap<&str, usize> = HashMap::new();
        for workload in &snapshot.workloads {
            let held = holders.entry(&workload.name).or_default();
            *held = held.saturating_add(1);
        }
        let unique = |name: &str| !name.is_empty() && holders.get(name) == Some(&1);
        let shown = |workload: &'a WorkloadView| {
            (workload.id.as_str(), if unique(&workload.name) { &*workload.name } else { &*workload.id })
        };
        Self(snapshot.workloads.iter().map(shown).collect())
    }

    fn get(&self, id: &'a str) -> String {
        self.0.get(id).copied().unwrap_or(id).to_owned()
    }
}

fn headline(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let seconds = snapshot.window.end_ns.saturating_sub(snapshot.window.start_ns) as f64 / 1e9;
    let calls = snapshot.capture.calls;
    let rate = if seconds > 0.0 { calls as f64 / seconds } else { 0.0 };
    let source = harmless(&snapshot.capture.source);
    title(&format!("{source}, {seconds:.1} s from {}", snapshot.window.start), page, out)?;
    let lost = snapshot.capture.lost;
    let (callers, edges, endpoints) =
        (snapshot.workloads.len(), snapshot.edges.len(), snapshot.endpoints.len());
    writeln!(out, "  {} calls ({rate:.1}/s), {lost} lost", grouped(calls))?;
    writeln!(out, "  {callers} workloads, {edges} edges, {endpoints} endpoints")?;
    match snapshot.capture.filter.as_str() {
        "" => Ok(()),
        filter => writeln!(out, "  rows filtered by: {}", harmless(filter)),
    }
}

fn workloads(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("workload", Fit::Text),
        ("kind", Fit::Text),
        ("pid", Fit::Number),
        ("user", Fit::Text),
        ("answered", Fit::Number),
        ("made", Fit::Number),
    ]);
    let weight = |workload: &WorkloadView| workload.calls_in.saturating_add(workload.calls_out);
    let shown = busiest(&snapshot.workloads, weight);
    for workload in &shown {
        columns.row(&[
            if workload.name.is_empty() { workload.id.clone() } else { workload.name.clone() },
            word(workload.kind),
            if workload.pid == 0 { String::new() } else { workload.pid.to_string() },
            workload.user.clone(),
            grouped(workload.calls_in),
            grouped(workload.calls_out),
        ]);
    }
    section("Workloads", shown.len(), snapshot.workloads.len(), &columns, page, out)
}

fn edges(snapshot: &Snapshot, names: &Names<'_>, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("caller", Fit::Text),
        ("callee", Fit::Text),
        ("protocol", Fit::Text),
        ("calls", Fit::Number),
        ("errors", Fit::Number),
        ("p50", Fit::Number),
        ("p99", Fit::Number),
    ]);
    let shown = busiest(&snapshot.edges, |edge: &EdgeView| edge.calls);
    for edge in &shown {
        columns.row(&[
            names.get(&edge.src),
            names.get(&edge.dst),
            edge.protocol.clone(),
            grouped(edge.calls),
            share(edge.errors, edge.calls),
            latency(edge.p50_us),
            latency(edge.p99_us),
        ]);
    }
    section("Edges", shown.len(), snapshot.edges.len(), &columns, page, out)
}

fn endpoints(snapshot: &Snapshot, names: &Names<'_>, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("service", Fit::Text),
        ("method", Fit::Text),
        ("path", Fit::Text),
        ("calls", Fit::Number),
        ("errors", Fit::Number),
        ("p50", Fit::Number),
        ("p99", Fit::Number),
        ("callers", Fit::Number),
    ]);
    let shown = busiest(&snapshot.endpoints, |endpoint: &EndpointView| endpoint.calls);
    for endpoint in &shown {
        columns.row(&[
            names.get(&endpoint.service),
            endpoint.method.clone(),
            endpoint.path.clone(),
            grouped(endpoint.calls),
            share(endpoint.errors, endpoint.calls),
            latency(endpoint.p50_us),
            latency(endpoint.p99_us),
            grouped(endpoint.caller_count),
        ]);
    }
    section("Endpoints", shown.len(), snapshot.endpoints.len(), &columns, page, out)
}

fn losses(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[("reason", Fit::Text), ("lost", Fit::Number)]);
    let lost = snapshot.capture.losses.iter().filter(|(_, count)| **count > 0);
    let shown = lost.map(|(reason, count)| columns.row(&[reason.clone(), grouped(*count)])).count();
    section("Losses", shown, shown, &columns, page, out)
}

fn degradations(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let degradations = &snapshot.capture.degradations;
    writeln!(out)?;
    title("Not seen, and why", page, out)?;
    if degradations.is_empty() {
        return writeln!(out, "  nothing to report");
    }
    for degradation in degradations {
        let severity = match degradation.severity {
            Severity::Notice => "notice",
            Severity::Partial => "partial",
            Severity::Fatal => "fatal",
        };
        writeln!(out, "  {severity}: {} [{}]", harmless(&degradation.what), harmless(&degradation.code))?;
        if !degradation.remedy.is_empty() {
            writeln!(out, "    → {}", harmless(&degradation.remedy))?;
        }
    }
    Ok(())
}

fn section(
    name: &str,
    shown: usize,
    all: usize,
    columns: &Columns,
    page: &Page,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    writeln!(out)?;
    title(name, page, out)?;
    if shown == 0 {
        return writeln!(out, "  none");
    }
    columns.write(page.width, out)?;
    match all.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} with fewer calls (--output json has them all)"),
    }
}

fn title(text: &str, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    if page.styled { writeln!(out, "\u{1b}[1m{text}\u{1b}[0m") } else { writeln!(out, "{text}") }
}

fn busiest<T>(all: &[T], weight: impl Fn(&T) -> u64) -> Vec<&T> {
    let mut rows: Vec<&T> = all.iter().collect();
    rows.sort_by_key(|row| Reverse(weight(row)));
    rows.truncate(ROWS);
    rows
}

/// The name that a value has in the JSON contract.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) => "0".to_owned(),
        (_, 0) => grouped(part),
        _ => format!("{} ({:.1} %)", grouped(part), part as f64 * 100.0 / whole as f64),
    }
}

fn latency(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} µs"),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests;
