//! The report of an incident or an assessment: what was seen, what is wrong with it, what was done, in one document.
//!
//! The document is built once, of blocks, and written as Markdown or as HTML; both hold everything within themselves, the
//! picture of the graph included. Only what the snapshot holds is in it: names, counts, classes.

mod document;
mod html;
mod markdown;

use super::sensitive::{Meanings, map};
use crate::degradation::Severity;
use crate::finding::Finding;
use crate::moment::rfc3339;
use crate::snapshot::{Drift, EndpointView, Snapshot};
use document::{Block, Document};

/// Rows of one table but that of what happened: a report is read by people. What is left out is said.
const ROWS: usize = 200;

/// The report as Markdown (GitHub's dialect, with the graph as Mermaid).
#[must_use]
pub fn markdown(snapshot: &Snapshot, meanings: &Meanings) -> String {
    markdown::write(&build(snapshot, meanings))
}

/// The report as one HTML file without scripts or references (the graph as SVG).
#[must_use]
pub fn html(snapshot: &Snapshot, meanings: &Meanings) -> String {
    html::write(&build(snapshot, meanings))
}

fn build(snapshot: &Snapshot, meanings: &Meanings) -> Document {
    let mut document = Document::new("API security report");
    summary(snapshot, &mut document);
    happenings(snapshot, &mut document);
    document.heading("Who calls whom");
    document.add(Block::graph(snapshot));
    drift(snapshot, &mut document);
    sensitive(snapshot, meanings, &mut document);
    endpoints(snapshot, &mut document);
    coverage(snapshot, &mut document);
    document
}

fn summary(snapshot: &Snapshot, document: &mut Document) {
    let capture = &snapshot.capture;
    let number = |n: usize| n.to_string();
    let errors: u64 = snapshot.edges.iter().map(|edge| edge.errors).sum();
    document.table(
        &["", ""],
        [
            vec!["observed".into(), capture.source.clone()],
            vec!["from".into(), snapshot.window.start.clone()],
            vec!["to".into(), snapshot.window.end.clone()],
            vec!["calls".into(), capture.calls.to_string()],
            vec!["failed calls".into(), errors.to_string()],
            vec!["lost".into(), capture.lost.to_string()],
            vec!["workloads".into(), number(snapshot.workloads.len())],
            vec!["endpoints".into(), number(snapshot.endpoints.len())],
            vec!["specifications".into(), number(snapshot.specifications.len())],
            vec!["findings".into(), number(snapshot.findings.len())],
            vec!["policies".into(), number(snapshot.policies.len())],
        ]
        .into_iter(),
    );
}

/// Findings, policies and changes in the order of their time.
fn happenings(snapshot: &Snapshot, document: &mut Document) {
    document.heading("What happened, in order");
    let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
    rows.extend(snapshot.findings.iter().map(finding));
    rows.extend(snapshot.policy_history.iter().map(|line| {
        let name = format!("{} #{}", line.name, line.id);
        let details = format!("{}: {} (by {})", line.event, line.what, line.by);
        (line.at, vec![rfc3339(line.at), "policy".to_owned(), name, details])
    }));
    rows.extend(snapshot.findings.iter().flat_map(changes));
    rows.extend(snapshot.changes.iter().map(|own| {
        let by = if own.by.is_empty() { String::new() } else { format!(" (by {})", own.by) };
        let details = format!("{}: {}{by}", own.what, own.details);
        (own.at, vec![rfc3339(own.at), "change".to_owned(), own.name.clone(), details])
    }));
    rows.sort();
    if rows.is_empty() {
        return document.say("No finding, and no policy was set.");
    }
    // Each of them is bounded where it is kept, and none may be missing.
    document.whole_table(&["time", "what", "name", "details"], rows.into_iter().map(|(_, row)| row));
}

/// A finding with what it rests on.
fn finding(found: &Finding) -> (u64, Vec<String>) {
    let time = if found.first_seen == 0 { String::new() } else { rfc3339(found.first_seen) };
    let Finding { severity, confidence, state, title, evidence, .. } = found;
    let (severity, confidence, state) = (severity.word(), confidence.word(), state.word());
    let place = format!("{} {} {}", found.service, found.method, found.path);
    let details =
        format!("{severity} ({confidence} confidence), {state}: {title}. {evidence} At {}", place.trim_end());
    (found.first_seen, vec![time, "finding".to_owned(), found.detector.clone(), details])
}

/// What became of a finding.
fn changes(found: &Finding) -> impl Iterator<Item = (u64, Vec<String>)> + '_ {
    found.timeline.iter().map(|event| {
        let name = found.detector.clone();
        (event.at, vec![rfc3339(event.at), "change".to_owned(), name, event.what.clone()])
    })
}

fn drift(snapshot: &Snapshot, document: &mut Document) {
    document.heading("Drift against the specifications");
    if snapshot.specifications.is_empty() {
        return document.say("No specification was given: nothing can be called documented or undocumented.");
    }
    let inventory = &snapshot.inventory;
    let states = inventory.states.iter().filter(|(state, _)| state.as_str() != Drift::Unspecified.word());
    let flags =
        [("deprecated in use", inventory.deprecated_in_use), ("not as documented", inventory.schema_drift)];
    let counts = states.map(|(state, count)| vec![state.clone(), count.to_string()]);
    let counts: Vec<_> =
        counts.chain(flags.map(|(name, count)| vec![name.to_owned(), count.to_string()])).collect();
    document.table(&["state", "endpoints"], counts.into_iter());
    document.say(&format!(
        "Known since {}; a documented operation is a zombie after {} s without a call.",
        rfc3339(inventory.since_ns),
        inventory.zombie_after_s
    ));
    let drifts = |own: &&EndpointView| {
        own.schema_drift || own.deprecated_in_use || !matches!(own.drift, Drift::Active | Drift::Unspecified)
    };
    let rows = snapshot.endpoints.iter().filter(drifts).map(|own| {
        let mut differences = own.documentation.differences.clone();
        differences.extend(own.deprecated_in_use.then(|| "deprecated in use".to_owned()));
        vec![
            own.drift.word().to_owned(),
            own.service.clone(),
            name(own),
            own.calls.to_string(),
            differences.join("; "),
        ]
    });
    document.table(&["state", "service", "operation", "calls", "not as documented"], rows);
    let specifications = snapshot.specifications.iter().map(|spec| {
        let services: Vec<&str> = spec.services.iter().map(|binding| binding.service.as_str()).collect();
        let problems = spec.problems.len() as u64 + spec.more_problems;
        vec![spec.file.clone(), spec.format.clone(), services.join(" "), problems.to_string()]
    });
    document.table(&["specification", "format", "of", "problems"], specifications);
}

fn sensitive(snapshot: &Snapshot, meanings: &Meanings, document: &mut Document) {
    document.heading("Sensitive data");
    let rows = map(snapshot, meanings);
    if rows.is_empty() {
        return document.say("No sensitive class was seen in the bodies that were read.");
    }
    let rows = rows.into_iter().filter(|row| row.what == "endpoint").map(|row| {
        vec![
            row.class,
            row.group,
            row.direction.to_owned(),
            row.to,
            row.operation,
            row.transport.to_owned(),
            row.authenticated.to_owned(),
            row.reach.to_owned(),
            row.tags.join("; "),
        ]
    });
    let heading = [
        "class",
        "group",
        "direction",
        "service",
        "operation",
        "transport",
        "authenticated",
        "callers",
        "tags",
    ];
    document.table(&heading, rows);
}

fn endpoints(snapshot: &Snapshot, document: &mut Document) {
    document.heading("Endpoints, most calls first");
    let mut all: Vec<&EndpointView> = snapshot.endpoints.iter().filter(|own| own.calls > 0).collect();
    all.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| (&a.service, &a.path).cmp(&(&b.service, &b.path))));
    let rows = all.into_iter().map(|own| {
        vec![
            own.service.clone(),
            name(own),
            own.calls.to_string(),
            own.errors.to_string(),
            own.auth.join(" "),
        ]
    });
    document.table(&["service", "operation", "calls", "errors", "authentication"], rows);
}

fn coverage(snapshot: &Snapshot, document: &mut Document) {
    document.heading("What could not be seen");
    let said = snapshot.capture.degradations.iter().map(|degradation| {
        let severity = match degradation.severity {
            Severity::Notice => "notice",
            Severity::Partial => "partial",
            Severity::Fatal => "fatal",
        };
        vec![severity.to_owned(), degradation.what.clone(), degradation.remedy.clone()]
    });
    let said: Vec<_> = said.collect();
    if said.is_empty() {
        document.say("Nothing is known to be missing.");
    }
    document.table(&["", "what", "what to do"], said.into_iter());
    let losses = snapshot.capture.losses.iter().filter(|(_, count)| **count > 0);
    document.table(
        &["lost because of", "count"],
        losses.map(|(why, count)| vec![why.clone(), count.to_string()]),
    );
}

fn name(own: &EndpointView) -> String {
    format!("{} {} {}", own.method, own.path, own.operation).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
