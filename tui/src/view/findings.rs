//! Findings, those first that matter most: what is wrong, who does it, to what, and what to do.

use super::{MOTIONS, Reply, View, World, nothing, overview::workload};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::format::{SECOND, clock, count, span};
use crate::layer::confirm::Confirm;
use crate::layer::inspector::{Inspector, Line};
use crate::layer::mute::Mute;
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::command::Command;
use apisec_engine::finding::{Finding, Severity, State};
use apisec_engine::policy::draft;
use apisec_engine::snapshot::Snapshot;
use ratatui::layout::Rect;
use std::cmp::Ordering;

const COLUMNS: &[Column] = &[
    Column::word("SEVERITY", 9, 0),
    Column::word("SURE", 6, 2),
    Column::word("STATE", 12, 3),
    Column::text("FINDING", 24, 5, 0),
    Column::text("SERVICE", 10, 1, 1),
    Column::text("BY", 10, 1, 2),
    Column::text("IDENTITY", 12, 1, 4),
    Column::word("OWASP", 9, 4),
    Column::word("LAST", 8, 2),
];

/// The view.
pub(super) struct Findings {
    /// Places in the snapshot.
    rows: Vec<usize>,
    list: List,
    selected: String,
    order: Order,
}

impl Default for Findings {
    fn default() -> Self {
        let order = Order { column: 0, ascending: true };
        Self { rows: Vec::new(), list: List::default(), selected: String::new(), order }
    }
}

impl View for Findings {
    fn refresh(&mut self, world: &World<'_>) {
        let findings = &world.snapshot.findings;
        self.rows = (0..findings.len()).collect();
        let order = self.order;
        // The snapshot has them in order of urgency.
        self.rows.sort_by(|a, b| match findings.get(*a).zip(findings.get(*b)) {
            Some((one, other)) => {
                let ordering = compare(one, other, order.column).then(a.cmp(b));
                if order.ascending { ordering } else { ordering.reverse() }
            }
            None => Ordering::Equal,
        });
        let is_selected = |at: &usize| findings.get(*at).is_some_and(|finding| finding.id == self.selected);
        let place = self.rows.iter().position(is_selected);
        self.list.index = place.unwrap_or(self.list.index).min(self.rows.len().saturating_sub(1));
        self.remember(world);
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        let Some(finding) = self.finding(world, self.list.index) else { return Vec::new() };
        let mut can = vec![Action::Open, Action::ItsCalls, Action::ItsEndpoint];
        if !world.read_only {
            can.extend(world.enforces.then_some(Action::Block));
            if finding.state == State::New {
                can.push(Action::Acknowledge);
            }
            if finding.state.is_open() {
                can.extend([Action::Mute, Action::Resolve]);
            } else {
                can.push(Action::Reopen);
            }
        }
        can.extend(hash(finding).filter(|_| world.reveals()).map(|_| Action::Reveal));
        can.extend([Action::Sort, Action::SortReverse, Action::Copy]);
        [&can, MOTIONS].concat()
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        if matches!(action, Action::Sort | Action::SortReverse | Action::SortBy(_)) {
            self.order.change(action, COLUMNS.len());
            self.refresh(world);
            return Reply::Done;
        }
        if self.list.motion(action, self.rows.len()) {
            self.remember(world);
            return Reply::Done;
        }
        let Some(finding) = self.finding(world, self.list.index) else { return Reply::Ignored };
        let becomes = |state| Reply::Act(vec![Action::Send(handle(finding, state))]);
        match action {
            Action::Open => {
                let lines = lines(world, finding);
                let inspector = Inspector::new("Finding", lines, finding.title.clone());
                Reply::Open(Box::new(inspector.blocking(world.offered(draft::of_finding(finding)))))
            }
            Action::Block => world.block_one_of(draft::of_finding(finding)),
            Action::Copy => Reply::Effect(Effect::Copy(format!("{}: {}", finding.title, finding.evidence))),
            Action::ItsCalls => go("calls", calls_filter(finding)),
            Action::ItsEndpoint => go("endpoints", endpoint_filter(finding)),
            Action::Reveal => world.reveal(hash(finding), &finding.identity),
            Action::Acknowledge => becomes(State::Acknowledged),
            Action::Reopen => becomes(State::New),
            Action::Mute => {
                Reply::Open(Box::new(Mute::new(finding.id.clone(), world.snapshot.window.end_ns)))
            }
            Action::Resolve => {
                let asked = vec![
                    escape(&finding.title).into_owned(),
                    String::new(),
                    "It is over. If it happens again, it is new again.".to_owned(),
                ];
                let state = State::Resolved { at: world.snapshot.window.end_ns };
                let send = Action::Send(handle(finding, state));
                Reply::Open(Box::new(Confirm::new("Resolve", asked, send)))
            }
            _ => Reply::Ignored,
        }
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let open = world.snapshot.findings.iter().filter(|finding| finding.state.is_open()).count();
        let counts = format!("{} open, {} in all", count(open as u64), count(self.rows.len() as u64));
        let body = panel(canvas, area, "Findings", &counts, true);
        if self.rows.is_empty() {
            return nothing(world, canvas, body, "findings");
        }
        let cell = |index: usize, column: usize| {
            self.finding(world, index).map_or_else(Cell::default, |finding| cell(world, finding, column))
        };
        let (order, list, len) = (Some(self.order), &self.list, self.rows.len());
        Table { columns: COLUMNS, order, list, len, focused: true, cell: &cell }.draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl Findings {
    fn finding<'a>(&self, world: &World<'a>, index: usize) -> Option<&'a Finding> {
        self.rows.get(index).and_then(|at| world.snapshot.findings.get(*at))
    }

    fn remember(&mut self, world: &World<'_>) {
        self.selected =
            self.finding(world, self.list.index).map(|finding| finding.id.clone()).unwrap_or_default();
    }
}

/// Hash of the identity.
fn hash(finding: &Finding) -> Option<u64> {
    u64::from_str_radix(&finding.identity_hash, 16).ok()
}

fn handle(finding: &Finding, state: State) -> Command {
    Command::Handle { finding: finding.id.clone(), state }
}

/// The role in which a severity is drawn.
pub(crate) const fn severity_role(severity: Severity) -> Role {
    match severity {
        Severity::Critical | Severity::High => Role::Fatal,
        Severity::Medium => Role::Partial,
        Severity::Low | Severity::Info => Role::Notice,
    }
}

fn compare(a: &Finding, b: &Finding, column: usize) -> Ordering {
    match column {
        1 => b.confidence.cmp(&a.confidence),
        2 => a.state.word().cmp(b.state.word()),
        3 => a.title.cmp(&b.title),
        4 => a.service.cmp(&b.service),
        5 => a.actor.cmp(&b.actor),
        6 => a.identity.cmp(&b.identity),
        7 => a.owasp.cmp(&b.owasp),
        8 => b.last_seen.cmp(&a.last_seen),
        _ => Ordering::Equal,
    }
}

fn cell(world: &World<'_>, finding: &Finding, column: usize) -> Cell {
    let open = finding.state.is_open();
    let role = if open { Role::Text } else { Role::Dim };
    match column {
        0 => {
            Cell::new(finding.severity.word(), if open { severity_role(finding.severity) } else { Role::Dim })
        }
        1 => Cell::new(finding.confidence.word(), Role::Dim),
        2 => Cell::new(
            finding.state.word(),
            if finding.state == State::New { Role::Strong } else { Role::Dim },
        ),
        3 => Cell::new(escape(&finding.title), role),
        4 => workload(world, &finding.service),
        5 => workload(world, &finding.actor),
        6 => Cell::new(escape(&finding.identity), Role::Dim),
        7 => Cell::new(escape(finding.owasp.split(':').next().unwrap_or_default()), Role::Dim),
        _ => Cell::new(ago(world.snapshot, finding.last_seen), Role::Dim),
    }
}

fn ago(snapshot: &Snapshot, at: u64) -> String {
    span(snapshot.window.end_ns.saturating_sub(at) / SECOND)
}

/// Everything about a finding.
fn lines(world: &World<'_>, finding: &Finding) -> Vec<Line> {
    let text = |name: &str, value: &str, role: Role| Line::new(name, escape(value).into_owned(), role);
    let label = |id: &str| world.labels.get(id);
    let place = format!("{} {} {}", label(&finding.service), finding.method, finding.path);
    let severity = format!("{} ({} confidence)", finding.severity.word(), finding.confidence.word());
    let mut lines = vec![
        text("what", &finding.title, Role::Strong),
        text("severity", &severity, severity_role(finding.severity)),
        text("where", place.trim(), Role::Text),
    ];
    if !finding.actor.is_empty() {
        let who = format!("{} as {}", label(&finding.actor), finding.identity);
        lines.push(text("who", &who, Role::Text));
    }
    lines.extend([
        text("evidence", &finding.evidence, Role::Text),
        text("detector", &format!("{} {} {}", finding.detector, finding.owasp, finding.cwe), Role::Dim),
        text(
            "seen",
            &format!("{} to {} UTC", clock(finding.first_seen), clock(finding.last_seen)),
            Role::Dim,
        ),
        text("state", &state(&finding.state), Role::Text),
    ]);
    if let Some(about) = apisec_engine::detect::find(&finding.detector).map(|detector| detector.about()) {
        lines.push(text("why", about.why, Role::Text));
    }
    lines.push(text("to do", &finding.remedy, Role::Text));
    if !finding.suggestion.what.is_empty() {
        lines.push(text("policy", &finding.suggestion.what, Role::Text));
    }
    lines.push(Line::heading("Calls"));
    lines.extend(finding.calls.iter().map(|call| {
        let status = if call.status == 0 { "unanswered".to_owned() } else { call.status.to_string() };
        text(&clock(call.at), &format!("{} {} {status}", call.method, call.path), Role::Text)
    }));
    lines.push(Line::heading("Timeline"));
    lines.extend(finding.timeline.iter().map(|event| text(&clock(event.at), &event.what, Role::Dim)));
    lines
}

fn state(state: &State) -> String {
    match state {
        State::Muted { reason, until: 0 } => format!("muted for good: {reason}"),
        State::Muted { reason, until } => format!("muted until {} UTC: {reason}", clock(*until)),
        state => state.word().to_owned(),
    }
}

/// To another view, with a filter.
fn go(view: &str, filter: String) -> Reply {
    let view = super::VIEWS.iter().position(|entry| entry.name == view);
    Reply::Act(view.map(Action::Show).into_iter().chain([Action::SetFilter(filter)]).collect())
}

fn endpoint_filter(finding: &Finding) -> String {
    let service = if finding.service.is_empty() { &finding.actor } else { &finding.service };
    match finding.path.as_str() {
        "" => format!("dst:{}", quoted(service)),
        path => format!("dst:{} endpoint={}", quoted(service), quoted(path)),
    }
}

fn calls_filter(finding: &Finding) -> String {
    let mut terms = Vec::new();
    let mut term = |field: &str, value: &str| {
        if !value.is_empty() {
            terms.push(format!("{field}{}", quoted(value)));
        }
    };
    term("dst:", &finding.service);
    term("src:", &finding.actor);
    term("method:", &finding.method);
    term("id:", &finding.identity_hash);
    terms.join(" ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\\'], "?"))
}

#[cfg(test)]
mod tests;
