//! A summary for people when the run ends: who, whom, what, and what is missing.
//!
//! The rows with the most calls only; `json` has them all.

mod columns;

use super::{Page, Report, Shape};
use crate::format::{count, micros, rate, share};
use crate::widget::escape::escape;
use crate::widget::fit::Align;
use apisec_engine::coverage::CoverageView;
use apisec_engine::degradation::Severity;
use apisec_engine::finding::Finding;
use apisec_engine::node::{NodeState, NodeView};
use apisec_engine::snapshot::{EdgeView, EndpointView, Snapshot, WorkloadView};
use columns::Columns;
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
    nodes(snapshot, page, out)?;
    findings(snapshot, page, out)?;
    workloads(snapshot, page, out)?;
    edges(snapshot, &names, page, out)?;
    endpoints(snapshot, &names, page, out)?;
    coverage(snapshot, page, out)?;
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
    let per_second = if seconds > 0.0 { calls as f64 / seconds } else { 0.0 };
    let source = escape(&snapshot.capture.source);
    title(&format!("{source}, {seconds:.1} s from {}", snapshot.window.start), page, out)?;
    let lost = snapshot.capture.lost;
    let (callers, edges, endpoints) =
        (snapshot.workloads.len(), snapshot.edges.len(), snapshot.endpoints.len());
    writeln!(out, "  {} calls ({}/s), {} lost", count(calls), rate(per_second), count(lost))?;
    writeln!(out, "  {callers} workloads, {edges} edges, {endpoints} endpoints")?;
    match snapshot.capture.filter.as_str() {
        "" => Ok(()),
        filter => writeln!(out, "  rows filtered by: {}", escape(filter)),
    }
}

/// What is wrong, what matters most first; nothing where nothing is.
fn findings(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let open: Vec<&Finding> = snapshot.findings.iter().filter(|finding| finding.state.is_open()).collect();
    if open.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    title("Findings", page, out)?;
    for finding in open.iter().take(ROWS) {
        let Finding { severity, confidence, detector, owasp, .. } = finding;
        let (severity, confidence) = (severity.word(), confidence.word());
        writeln!(
            out,
            "  {severity} ({confidence} confidence): {} [{detector} {owasp}]",
            escape(&finding.title)
        )?;
        let place = format!("{} {} {}", finding.service, finding.method, finding.path);
        let actor = match finding.actor.as_str() {
            "" => String::new(),
            actor => format!(", by {actor} ({})", finding.identity),
        };
        writeln!(out, "    {}{}", escape(place.trim_end()), escape(&actor))?;
        writeln!(out, "    {}", escape(&finding.evidence))?;
        writeln!(out, "    → {}", escape(&finding.remedy))?;
    }
    match open.len().saturating_sub(ROWS) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} that matter less (--output json has them all)"),
    }
}

/// The nodes of a cluster, those that are not heard first.
fn nodes(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let nodes = &snapshot.capture.nodes;
    if nodes.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::new(&[
        ("node", Align::Left),
        ("state", Align::Left),
        ("calls", Align::Right),
        ("lost", Align::Right),
        ("bytes", Align::Right),
        ("clock", Align::Right),
        ("way", Align::Right),
        ("why", Align::Left),
    ]);
    let shown = busiest(nodes, |node: &NodeView| u64::from(node.state != NodeState::Watching));
    for node in &shown {
        let ahead = if node.skew_us < 0 { "-" } else { "+" };
        columns.row(&[
            node.name.clone(),
            node.state.word().to_owned(),
            count(node.calls),
            count(node.lost),
            count(node.bytes),
            format!("{ahead}{}", micros(node.skew_us.unsigned_abs())),
            micros(node.round_trip_us),
            node.why.clone(),
        ]);
    }
    section("Nodes", shown.len(), nodes.len(), &columns, page, out)
}

fn workloads(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("workload", Align::Left),
        ("kind", Align::Left),
        ("pid", Align::Right),
        ("user", Align::Left),
        ("answered", Align::Right),
        ("made", Align::Right),
    ]);
    let weight = |workload: &WorkloadView| workload.calls_in.saturating_add(workload.calls_out);
    let shown = busiest(&snapshot.workloads, weight);
    for workload in &shown {
        columns.row(&[
            if workload.name.is_empty() { workload.id.clone() } else { workload.name.clone() },
            word(workload.kind),
            if workload.pid == 0 { String::new() } else { workload.pid.to_string() },
            workload.user.clone(),
            count(workload.calls_in),
            count(workload.calls_out),
        ]);
    }
    section("Workloads", shown.len(), snapshot.workloads.len(), &columns, page, out)
}

/// What is not read, most bytes first: what is read stands above.
fn coverage(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("not read", Align::Left),
        ("protocol", Align::Left),
        ("connections", Align::Right),
        ("bytes", Align::Right),
        ("library", Align::Left),
        ("why", Align::Left),
    ]);
    let blind: Vec<CoverageView> =
        snapshot.capture.coverage.iter().filter(|row| !row.reason.is_empty()).cloned().collect();
    if blind.is_empty() {
        return Ok(());
    }
    let shown = busiest(&blind, |row: &CoverageView| row.bytes.opaque);
    for row in &shown {
        columns.row(&[
            if row.name.is_empty() { row.workload.clone() } else { row.name.clone() },
            row.protocol.clone(),
            count(row.connections.opaque),
            count(row.bytes.opaque),
            row.library.clone(),
            row.reason.clone(),
        ]);
    }
    section("Not read", shown.len(), blind.len(), &columns, page, out)
}

fn edges(snapshot: &Snapshot, names: &Names<'_>, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("caller", Align::Left),
        ("callee", Align::Left),
        ("protocol", Align::Left),
        ("calls", Align::Right),
        ("errors", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
    ]);
    let shown = busiest(&snapshot.edges, |edge: &EdgeView| edge.calls);
    for edge in &shown {
        columns.row(&[
            names.get(&edge.src),
            names.get(&edge.dst),
            edge.protocol.clone(),
            count(edge.calls),
            errors(edge.errors, edge.calls),
            micros(edge.p50_us),
            micros(edge.p99_us),
        ]);
    }
    section("Edges", shown.len(), snapshot.edges.len(), &columns, page, out)
}

fn endpoints(snapshot: &Snapshot, names: &Names<'_>, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[
        ("service", Align::Left),
        ("method", Align::Left),
        ("path", Align::Left),
        ("calls", Align::Right),
        ("errors", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("callers", Align::Right),
    ]);
    let shown = busiest(&snapshot.endpoints, |endpoint: &EndpointView| endpoint.calls);
    for endpoint in &shown {
        columns.row(&[
            names.get(&endpoint.service),
            endpoint.method.clone(),
            format!("{} {}", endpoint.path, endpoint.operation).trim_end().to_owned(),
            count(endpoint.calls),
            errors(endpoint.errors, endpoint.calls),
            micros(endpoint.p50_us),
            micros(endpoint.p99_us),
            count(endpoint.caller_count),
        ]);
    }
    section("Endpoints", shown.len(), snapshot.endpoints.len(), &columns, page, out)
}

fn losses(snapshot: &Snapshot, page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut columns = Columns::new(&[("reason", Align::Left), ("lost", Align::Right)]);
    let lost = snapshot.capture.losses.iter().filter(|(_, count)| **count > 0);
    let shown = lost.map(|(reason, lost)| columns.row(&[reason.clone(), count(*lost)])).count();
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
        writeln!(out, "  {severity}: {} [{}]", escape(&degradation.what), escape(&degradation.code))?;
        if !degradation.remedy.is_empty() {
            writeln!(out, "    → {}", escape(&degradation.remedy))?;
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

/// Errors with their share of all calls.
fn errors(errors: u64, calls: u64) -> String {
    if errors == 0 { String::new() } else { format!("{} {:>5}", count(errors), share(errors, calls)) }
}

#[cfg(test)]
mod tests;
