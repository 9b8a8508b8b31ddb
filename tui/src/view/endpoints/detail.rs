//! All that is known of an endpoint, or of what is below a node of the tree.

use super::forest::{Kind, Row};
use crate::format::{SECOND, bytes, clock, count, micros, rate, share, span};
use crate::layer::inspector::Line;
use crate::theme::Role;
use crate::view::World;
use crate::view::calls::{method_role, status_role};
use crate::widget::escape::escape;
use apisec_engine::export::sensitive::{authenticated, carried, transport};
use apisec_engine::snapshot::EndpointView;

/// The fields of a row.
pub(super) fn lines(world: &World<'_>, row: &Row) -> Vec<Line> {
    match super::endpoint(world, row) {
        Some(endpoint) => endpoint_lines(world, endpoint),
        None => node_lines(world, row),
    }
}

fn node_lines(world: &World<'_>, row: &Row) -> Vec<Line> {
    let sums = &row.sums;
    let mut lines = vec![Line::new("service", world.labels.get(&row.service), Role::Strong)];
    if row.kind == Kind::Path {
        lines.push(Line::new("path", escape(&row.path), Role::Text));
    }
    lines.extend([
        Line::new("endpoints", sums.endpoints.to_string(), Role::Text),
        Line::new("calls", count(sums.calls), Role::Text),
        Line::new(
            "errors",
            format!("{} {}", count(sums.errors), share(sums.errors, sums.calls)),
            errors_role(sums.errors),
        ),
        Line::new("slowest p99", micros(sums.p99_us), Role::Text),
    ]);
    if row.kind == Kind::Service
        && let Some(workload) = world.snapshot.workloads.iter().find(|workload| workload.id == row.service)
    {
        lines.push(Line::new("id", escape(&workload.id), Role::Text));
        lines.extend(crate::view::workload_lines(workload));
    }
    lines
}

/// The fields of an endpoint.
pub(in crate::view) fn endpoint_lines(world: &World<'_>, endpoint: &EndpointView) -> Vec<Line> {
    let mut lines = vec![
        Line::new("method", escape(&endpoint.method), method_role(&endpoint.method)),
        Line::new("path", escape(&endpoint.path), Role::Strong),
        Line::new("service", world.labels.get(&endpoint.service), Role::Workload),
        Line::new("protocol", escape(&endpoint.protocol), Role::Text),
        Line::new("calls", format!("{}, {}/s", count(endpoint.calls), rate(endpoint.rate)), Role::Text),
        Line::new(
            "errors",
            format!("{} {}", count(endpoint.errors), share(endpoint.errors, endpoint.calls)),
            errors_role(endpoint.errors),
        ),
        Line::new(
            "latency",
            format!("p50 {}, p99 {}", micros(endpoint.p50_us), micros(endpoint.p99_us)),
            Role::Text,
        ),
        Line::new(
            "bytes",
            format!("{} in, {} out", bytes(endpoint.request_bytes), bytes(endpoint.response_bytes)),
            Role::Text,
        ),
        Line::new("seen", seen(endpoint), Role::Dim),
    ];
    lines.extend(super::mark::lines(endpoint, &world.snapshot.inventory));
    if !endpoint.operation.is_empty() {
        lines.insert(2, Line::new("operation", escape(&endpoint.operation), Role::Strong));
    }
    lines.extend(protection(endpoint));
    lines.extend(messages(endpoint));
    lines.extend(lists(endpoint));
    lines.push(Line::heading("answers"));
    for (status, calls) in &endpoint.statuses {
        lines.push(answer(
            escape(status).into_owned(),
            *calls,
            endpoint.calls,
            status_role(status.parse().unwrap_or(0)),
        ));
    }
    if endpoint.unanswered > 0 {
        lines.push(answer("none".to_owned(), endpoint.unanswered, endpoint.calls, Role::Unanswered));
    }
    lines.push(Line::heading(format!("callers ({})", endpoint.caller_count)));
    lines.extend(
        endpoint.callers.iter().map(|caller| Line::new("", world.labels.get(caller), Role::Workload)),
    );
    if !endpoint.notes.is_empty() {
        lines.push(Line::heading("what was odd"));
        lines
            .extend(endpoint.notes.iter().map(|(note, n)| Line::new(escape(note), count(*n), Role::Partial)));
    }
    lines
}

/// How its calls travel, and what they hold.
fn protection(own: &EndpointView) -> Vec<Line> {
    if own.calls == 0 {
        return Vec::new();
    }
    let mut lines = vec![Line::new(
        "protection",
        format!(
            "{}, authenticated: {}",
            transport(&own.carriage, own.calls),
            authenticated(&own.carriage, own.calls)
        ),
        Role::Text,
    )];
    let held = carried(own).map(|(direction, class, calls)| {
        let text = format!("{class} in {direction} of {} calls", count(calls));
        Line::new("holds", text, Role::Masked)
    });
    lines.extend(held);
    lines
}

/// Messages of each direction, where the protocol has any.
fn messages(endpoint: &EndpointView) -> Vec<Line> {
    let sides = ["messages in", "messages out"].into_iter().zip(&endpoint.messages);
    let sent = sides.filter(|(_, messages)| messages.count > 0);
    sent.map(|(name, messages)| {
        let (all, largest) = (bytes(messages.bytes), bytes(messages.largest));
        Line::new(name, format!("{}, {all}, largest {largest}", count(messages.count)), Role::Text)
    })
    .collect()
}

fn answer(name: String, part: u64, whole: u64, role: Role) -> Line {
    Line::new(name, format!("{:>7}  {}", count(part), share(part, whole)), role)
}

fn errors_role(errors: u64) -> Role {
    if errors > 0 { Role::ServerError } else { Role::Text }
}

fn seen(endpoint: &EndpointView) -> String {
    if endpoint.calls == 0 {
        return "not in this run".to_owned();
    }
    let seconds = endpoint.last_seen.saturating_sub(endpoint.first_seen) / SECOND;
    format!("{} to {} UTC, {}", clock(endpoint.first_seen), clock(endpoint.last_seen), span(seconds))
}

/// What was seen of each kind; empty kinds are left out.
fn lists(endpoint: &EndpointView) -> Vec<Line> {
    let values: Vec<String> = endpoint.parameter_cardinality.iter().map(|n| count(*n)).collect();
    let kind = |name: &str| endpoint.looks.as_ref().and_then(|looks| looks.parameter(name));
    let query =
        |name: &String| kind(name).map_or_else(|| name.clone(), |own| format!("{name} {}", own.words()));
    let query: Vec<String> = endpoint.query.iter().map(query).collect();
    let fields = [
        ("auth", &endpoint.auth),
        ("named in", &endpoint.credentials),
        ("claims", &endpoint.claims),
        ("hosts", &endpoint.hosts),
        ("query", &query),
        ("sends", &endpoint.request_types),
        ("answers", &endpoint.response_types),
        ("values", &values),
    ];
    let known = fields.into_iter().filter(|(_, values)| !values.is_empty());
    known.map(|(name, values)| Line::new(name, escape(&values.join(", ")), Role::Text)).collect()
}
