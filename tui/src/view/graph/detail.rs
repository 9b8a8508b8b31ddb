//! A workload or an edge of the graph in all its fields.

use super::plan::{Node, Plan};
use crate::format::{bytes, clock, count, micros, rate, share};
use crate::layer::inspector::{Inspector, Line};
use crate::theme::Role;
use crate::view::World;
use crate::widget::escape::escape;
use apisec_engine::snapshot::{EdgeView, WorkloadView};

/// A node: what is known of the workload, and its edges.
pub(super) fn of(world: &World<'_>, plan: &Plan, node: &Node) -> Inspector {
    let mut lines = vec![
        Line::new("name", node.label.clone(), Role::Strong),
        Line::new("id", escape(&node.id), Role::Text),
    ];
    if let Some(workload) = world.snapshot.workloads.iter().find(|workload| workload.id == node.id) {
        lines.extend(workload_lines(workload));
    }
    let edges = |callers: bool| {
        let end = if callers {
            |link: &super::plan::Link| (link.dst, link.src)
        } else {
            |link: &super::plan::Link| (link.src, link.dst)
        };
        let mine = plan
            .links
            .iter()
            .filter(move |link| plan.nodes.get(end(link).0).is_some_and(|n| n.id == node.id));
        mine.filter_map(move |link| Some((plan.nodes.get(end(link).1)?, link))).map(|(other, link)| {
            let errors = share(link.errors, link.calls);
            let errors = if errors.is_empty() { "no errors".to_owned() } else { format!("{errors} errors") };
            Line::new(
                other.label.clone(),
                format!("{:>7} calls  {:>5}/s  {errors}", count(link.calls), rate(link.rate)),
                Role::Text,
            )
        })
    };
    lines.push(Line::heading("called by"));
    lines.extend(edges(true));
    lines.push(Line::heading("calls"));
    lines.extend(edges(false));
    Inspector::new("Workload", lines, node.id.clone())
}

/// What is known of a workload; what is not known is left out.
pub(crate) fn workload_lines(workload: &WorkloadView) -> Vec<Line> {
    let kind = serde_json::to_value(workload.kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or_default();
    let pid = if workload.pid == 0 { String::new() } else { workload.pid.to_string() };
    let netns = if workload.netns == 0 { String::new() } else { workload.netns.to_string() };
    let fields = [
        ("kind", kind.as_str()),
        ("owner", &workload.owner),
        ("pid", &pid),
        ("exe", &workload.exe),
        ("command", &workload.command),
        ("user", &workload.user),
        ("unit", &workload.unit),
        ("container", &workload.container),
        ("pod", &workload.pod_uid),
        ("netns", &netns),
        ("address", &workload.address),
    ];
    let known = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let mut lines: Vec<Line> =
        known.map(|(name, value)| Line::new(name, escape(value), Role::Text)).collect();
    lines.push(Line::new("answered", format!("{} calls", count(workload.calls_in)), Role::Text));
    lines.push(Line::new("made", format!("{} calls", count(workload.calls_out)), Role::Text));
    lines
}

/// An edge.
pub(super) fn of_edge(world: &World<'_>, edge: &EdgeView) -> Inspector {
    let errors = format!("{} {}", count(edge.errors), share(edge.errors, edge.calls));
    let lines = vec![
        Line::new(
            "from",
            format!("{}  ({})", world.labels.get(&edge.src), escape(&edge.src)),
            Role::Workload,
        ),
        Line::new("to", format!("{}  ({})", world.labels.get(&edge.dst), escape(&edge.dst)), Role::Workload),
        Line::new("protocol", escape(&edge.protocol), Role::Text),
        Line::new("calls", count(edge.calls), Role::Strong),
        Line::new("rate", format!("{}/s", rate(edge.rate)), Role::Text),
        Line::new("errors", errors, if edge.errors > 0 { Role::ServerError } else { Role::Text }),
        Line::new("unanswered", count(edge.unanswered), Role::Text),
        Line::new("median", micros(edge.p50_us), Role::Text),
        Line::new("99th percentile", micros(edge.p99_us), Role::Text),
        Line::new("sent", bytes(edge.request_bytes), Role::Text),
        Line::new("received", bytes(edge.response_bytes), Role::Text),
        Line::new("first call", format!("{} UTC", clock(edge.first_seen)), Role::Dim),
        Line::new("last call", format!("{} UTC", clock(edge.last_seen)), Role::Dim),
    ];
    Inspector::new("Edge", lines, format!("{} {}", edge.src, edge.dst))
}
