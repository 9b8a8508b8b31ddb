//! The graph of workloads and the calls between them: Graphviz DOT, Mermaid, and JSON as nodes and links.

use crate::json::steers;
use crate::snapshot::{EdgeView, Kind, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Graphviz DOT.
#[must_use]
pub fn dot(snapshot: &Snapshot) -> String {
    let mut out = String::from("digraph apisec {\n    rankdir=LR;\n    node [fontname=\"sans-serif\"];\n");
    out.push_str("    edge [fontname=\"sans-serif\"];\n");
    for workload in &snapshot.workloads {
        let shape = if workload.kind == Kind::External { "ellipse" } else { "box" };
        let (id, name) = (quoted(&workload.id), quoted(&workload.name));
        let _infallible = writeln!(out, "    {id} [label={name}, shape={shape}];");
    }
    for edge in &snapshot.edges {
        let colour = if edge.errors > 0 { "red" } else { "black" };
        let (src, dst, label) = (quoted(&edge.src), quoted(&edge.dst), quoted(&label(edge)));
        let _infallible = writeln!(out, "    {src} -> {dst} [label={label}, color={colour}];");
    }
    out.push_str("}\n");
    out
}

/// A Mermaid flow chart.
#[must_use]
pub fn mermaid(snapshot: &Snapshot) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut numbers = BTreeMap::new();
    for (number, workload) in snapshot.workloads.iter().enumerate() {
        numbers.insert(workload.id.as_str(), number);
        let name = entities(&workload.name);
        let (open, close) = if workload.kind == Kind::External { ("([", "])") } else { ("[", "]") };
        let _infallible = writeln!(out, "    n{number}{open}\"{name}\"{close}");
    }
    for edge in &snapshot.edges {
        let ends = numbers.get(edge.src.as_str()).zip(numbers.get(edge.dst.as_str()));
        if let Some((src, dst)) = ends {
            let _infallible = writeln!(out, "    n{src} -->|\"{}\"| n{dst}", entities(&label(edge)));
        }
    }
    out
}

/// Nodes and links.
#[must_use]
pub fn json(snapshot: &Snapshot) -> Value {
    let nodes: Vec<Value> = snapshot
        .workloads
        .iter()
        .map(|own| {
            json!({"id": own.id, "name": own.name, "kind": own.kind,
                "calls_in": own.calls_in, "calls_out": own.calls_out})
        })
        .collect();
    let links: Vec<Value> = snapshot
        .edges
        .iter()
        .map(|edge| {
            json!({"source": edge.src, "target": edge.dst, "protocol": edge.protocol, "calls": edge.calls,
                "errors": edge.errors, "unanswered": edge.unanswered, "p99_us": edge.p99_us,
                "encrypted": edge.carriage.encrypted, "anonymous": edge.carriage.anonymous,
                "request_classes": edge.carriage.request, "response_classes": edge.carriage.response})
        })
        .collect();
    json!({"schema": "apisec-top/graph/1", "window": snapshot.window, "nodes": nodes, "links": links,
        "chains": snapshot.chains})
}

/// What stands at an edge.
pub(super) fn label(edge: &EdgeView) -> String {
    let errors = if edge.errors > 0 { format!(", {} errors", edge.errors) } else { String::new() };
    format!("{} {} calls{errors}", edge.protocol, edge.calls)
}

/// A DOT string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            steering if steers(steering) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Text within a Mermaid label: everything that could end it is an entity.
fn entities(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            steering if steers(steering) => out.push('\u{fffd}'),
            plain if plain.is_alphanumeric() || " .:/-_,()".contains(plain) => out.push(plain),
            other => {
                let _infallible = write!(out, "#{};", u32::from(other));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call};
    use crate::knowledge::Knowledge;
    use crate::limits::Limits;
    use crate::observe::Observer;
    use std::sync::Arc;

    fn snapshot() -> Arc<Snapshot> {
        let mut observer = Observer::new(Limits::default());
        for (src, status) in [("process:a\"b\\c", 200), ("external:192.0.2.7", 500)] {
            let spec = CallSpec { src, status: Some(status), ..CallSpec::default() };
            observer.observe(&call(&spec));
        }
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        known.merge(observer.take_delta(0, 2_000_000_000));
        known.snapshot(2_000_000_000)
    }

    #[test]
    fn dot_has_every_node_and_edge_and_hostile_names_stay_within_quotes() {
        let text = dot(&snapshot());
        assert!(text.contains(
            "\"process:a\\\"b\\\\c\" -> \"process:server:80\" [label=\"http1 1 calls\", color=black];"
        ));
        assert!(text.contains(
            "\"external:192.0.2.7\" -> \"process:server:80\" [label=\"http1 1 calls, 1 errors\", color=red];"
        ));
    }

    #[test]
    fn mermaid_escapes_what_would_end_a_label() {
        let text = mermaid(&snapshot());
        assert!(text.contains("[\"process:a#34;b#92;c\"]"), "{text}");
        assert_eq!(text.matches("-->").count(), 2);
    }

    #[test]
    fn json_has_nodes_and_links() {
        let graph = json(&snapshot());
        assert_eq!(
            (graph["nodes"].as_array().unwrap().len(), graph["links"][0]["calls"].as_u64()),
            (3, Some(1))
        );
    }
}
