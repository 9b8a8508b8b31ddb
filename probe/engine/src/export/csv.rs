//! Comma-separated values (RFC 4180) that a spreadsheet reads as text, not as formulas.

use crate::json::steers;
use crate::snapshot::{EndpointView, Snapshot};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Columns of the inventory.
const INVENTORY: [&str; 28] = [
    "service",
    "protocol",
    "method",
    "path",
    "operation",
    "drift",
    "deprecated_in_use",
    "schema_drift",
    "calls",
    "errors",
    "unanswered",
    "statuses",
    "auth",
    "encrypted",
    "anonymous",
    "request_classes",
    "response_classes",
    "callers",
    "caller_count",
    "hosts",
    "query",
    "request_types",
    "response_types",
    "first_seen_ns",
    "last_seen_ns",
    "documented_in",
    "owner",
    "differences",
];

/// One line per endpoint, with a heading.
#[must_use]
pub fn inventory(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    line(&mut text, INVENTORY.iter().map(|name| Cow::Borrowed(*name)));
    for endpoint in &snapshot.endpoints {
        line(&mut text, cells(endpoint).into_iter());
    }
    text
}

fn cells(own: &EndpointView) -> [Cow<'_, str>; INVENTORY.len()] {
    let list = |all: &[String]| Cow::Owned(all.join(" "));
    let number = |n: u64| Cow::Owned(n.to_string());
    [
        text(&own.service),
        text(&own.protocol),
        text(&own.method),
        text(&own.path),
        text(&own.operation),
        Cow::Borrowed(own.drift.word()),
        Cow::Owned(own.deprecated_in_use.to_string()),
        Cow::Owned(own.schema_drift.to_string()),
        number(own.calls),
        number(own.errors),
        number(own.unanswered),
        Cow::Owned(counts(&own.statuses)),
        list(&own.auth),
        number(own.carriage.encrypted),
        number(own.carriage.anonymous),
        list(&own.carriage.request),
        list(&own.carriage.response),
        list(&own.callers),
        number(own.caller_count),
        list(&own.hosts),
        list(&own.query),
        list(&own.request_types),
        list(&own.response_types),
        number(own.first_seen),
        number(own.last_seen),
        text(&own.documentation.file),
        text(&own.documentation.owner),
        Cow::Owned(own.documentation.differences.join("; ")),
    ]
}

fn counts(all: &BTreeMap<String, u64>) -> String {
    let pairs: Vec<String> = all.iter().map(|(name, calls)| format!("{name}={calls}")).collect();
    pairs.join(" ")
}

fn text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// Appends a line.
pub(super) fn line<'a>(out: &mut String, cells: impl Iterator<Item = Cow<'a, str>>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, &cell);
    }
    out.push_str("\r\n");
}

/// Quotes a cell; one that a spreadsheet would calculate gets an apostrophe before it.
fn push(out: &mut String, cell: &str) {
    out.push('"');
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        out.push('\'');
    }
    for character in cell.chars() {
        match character {
            '"' => out.push_str("\"\""),
            steering if steers(steering) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_calculate_nothing() {
        let mut out = String::new();
        line(&mut out, ["a\"b", "=cmd|' /C calc'!A0", "x\u{1b}[2J"].into_iter().map(Cow::Borrowed));
        assert_eq!(out, "\"a\"\"b\",\"'=cmd|' /C calc'!A0\",\"x\u{fffd}[2J\"\r\n");
    }

    #[test]
    fn every_endpoint_is_a_line_with_every_column() {
        let endpoint = EndpointView { path: "/a,b".into(), calls: 3, ..EndpointView::default() };
        let snapshot = Snapshot { endpoints: vec![endpoint], ..Snapshot::default() };
        let text = inventory(&snapshot);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].matches("\",\"").count(), lines[1].matches("\",\"").count());
    }
}
