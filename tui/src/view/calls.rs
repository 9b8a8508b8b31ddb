//! The live tail: every logged call, newest at the bottom, and one call in all its fields.

mod bodies;

use super::{MOTIONS, Reply, View, World, nothing, overview::workload};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::format::{bytes, clock, clock_millis, count, nanos};
use crate::layer::inspector::{Inspector, Line};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Table};
use apisec_engine::call_log::{CallChunk, CallRow, LoggedEndpoint, Notes, ShownField};
use apisec_engine::filter::Filter;
use apisec_engine::policy::{Policy, draft};
use apisec_engine::vocabulary;
use ratatui::layout::Rect;
use std::sync::Arc;

/// From this width on the time has milliseconds and the names more room.
const WIDE: u16 = 110;

const NARROW_COLUMNS: &[Column] = &[
    Column::word("TIME", 8, 0),
    Column::text("FROM", 8, 0, 1),
    Column::text("TO", 8, 0, 0),
    Column::word("METHOD", 6, 0),
    Column::text("PATH", 28, 1, 0),
    Column::number("ST", 3, 0),
    Column::number("TOOK", 6, 0),
    Column::number("SIZE", 6, 4),
    Column::word("AUTH", 6, 5),
    Column::text("NOTES", 8, 1, 6),
];

const WIDE_COLUMNS: &[Column] = &[
    Column::word("TIME", 12, 0),
    Column::text("FROM", 14, 1, 1),
    Column::text("TO", 14, 1, 0),
    Column::word("METHOD", 7, 0),
    Column::text("PATH", 24, 5, 0),
    Column::number("ST", 3, 0),
    Column::number("TOOK", 6, 0),
    Column::number("SIZE", 6, 4),
    Column::word("AUTH", 6, 5),
    Column::text("NOTES", 12, 2, 6),
];

/// The calls of one chunk that pass the filter.
struct Passed {
    chunk: Arc<CallChunk>,
    /// Their places in the chunk.
    rows: Vec<u32>,
    /// Passed calls in the chunks before.
    start: usize,
}

/// The view.
#[derive(Default)]
pub(super) struct Calls {
    filter: Filter,
    names: usize,
    passed: Vec<Passed>,
    len: usize,
    list: List,
    /// The selected call; `None` while the tail is followed.
    held: Option<(Arc<CallChunk>, u32)>,
}

impl View for Calls {
    /// Judges only chunks that are new: a chunk never changes.
    fn refresh(&mut self, world: &World<'_>) {
        // A new workload may give a name to calls that were judged without it.
        if self.filter != *world.filter || self.names != world.labels.len() {
            self.passed.clear();
            self.filter = world.filter.clone();
            self.names = world.labels.len();
        }
        let mut known = std::mem::take(&mut self.passed).into_iter().peekable();
        let mut start = 0;
        for chunk in &world.snapshot.log.chunks {
            while known.next_if(|old| !Arc::ptr_eq(&old.chunk, chunk) && !is_ahead(old, world)).is_some() {}
            let mut passed = match known.next_if(|old| Arc::ptr_eq(&old.chunk, chunk)) {
                Some(old) => old,
                None => judge(chunk, world),
            };
            passed.start = start;
            start += passed.rows.len();
            self.passed.push(passed);
        }
        self.len = start;
        self.list.index = match &self.held {
            Some((chunk, row)) => self.place(chunk, *row).unwrap_or(0),
            None => self.len.saturating_sub(1),
        };
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        if self.len == 0 {
            return Vec::new();
        }
        let named = self.at(self.list.index).and_then(|(_, row)| row.identity);
        let reveal = named.filter(|_| world.reveals()).map(|_| Action::Reveal);
        let block: &[Action] = if world.enforces && !world.read_only { &[Action::Block] } else { &[] };
        [&[Action::Open], block, reveal.as_slice(), MOTIONS, &[Action::Copy]].concat()
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Open => match self.at(self.list.index) {
                Some((chunk, row)) => {
                    let policies = world.offered(policies(chunk, row));
                    Reply::Open(Box::new(inspect(world, chunk, row).blocking(policies)))
                }
                None => Reply::Ignored,
            },
            Action::Block => match self.at(self.list.index) {
                Some((chunk, row)) => world.block_one_of(policies(chunk, row)),
                None => Reply::Ignored,
            },
            Action::Reveal => {
                let identity =
                    self.at(self.list.index).and_then(|(_, row)| Some((row.identity?.0, row.auth)));
                let name = identity.map_or_else(String::new, |(hash, auth)| {
                    format!("{} {:08x}", vocabulary::auth(auth), hash >> 32)
                });
                world.reveal(identity.map(|(hash, _)| hash), &name)
            }
            Action::Copy => match self.at(self.list.index) {
                Some((chunk, row)) => Reply::Effect(Effect::Copy(chunk.path(row).to_owned())),
                None => Reply::Ignored,
            },
            _ if self.list.motion(action, self.len) => {
                self.hold(action);
                Reply::Done
            }
            _ => Reply::Ignored,
        }
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let body = panel(canvas, area, "Calls", &self.note(world), true);
        if self.len == 0 {
            return nothing(world, canvas, body, "calls");
        }
        let wide = area.width >= WIDE;
        let columns = if wide { WIDE_COLUMNS } else { NARROW_COLUMNS };
        let cell = |index: usize, column: usize| self.cell(world, index, column, wide);
        Table { columns, order: None, list: &self.list, len: self.len, focused: true, cell: &cell }
            .draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

/// Whether a chunk that was known is still in the log, further on.
fn is_ahead(old: &Passed, world: &World<'_>) -> bool {
    world.snapshot.log.chunks.iter().any(|chunk| Arc::ptr_eq(chunk, &old.chunk))
}

fn judge(chunk: &Arc<CallChunk>, world: &World<'_>) -> Passed {
    let rows = (0u32..)
        .zip(&chunk.rows)
        .filter(|(_, row)| world.shows_call(chunk, row))
        .map(|(place, _)| place)
        .collect();
    Passed { chunk: Arc::clone(chunk), rows, start: 0 }
}

impl Calls {
    /// The passed call with this number.
    fn at(&self, index: usize) -> Option<(&Arc<CallChunk>, &CallRow)> {
        let (passed, place) = self.entry(index)?;
        Some((&passed.chunk, passed.chunk.rows.get(place as usize)?))
    }

    fn entry(&self, index: usize) -> Option<(&Passed, u32)> {
        let after = self.passed.partition_point(|passed| passed.start <= index);
        let passed = self.passed.get(after.checked_sub(1)?)?;
        Some((passed, *passed.rows.get(index - passed.start)?))
    }

    /// The number of a call among those that pass; of the next one when it no longer passes.
    fn place(&self, chunk: &Arc<CallChunk>, row: u32) -> Option<usize> {
        let passed = self.passed.iter().find(|passed| Arc::ptr_eq(&passed.chunk, chunk))?;
        Some(passed.start + passed.rows.partition_point(|place| *place < row))
    }

    /// The tail is followed from the last row on, left on any other motion.
    fn hold(&mut self, action: &Action) {
        let tail = self.list.index + 1 >= self.len
            && matches!(action, Action::Last | Action::Down | Action::PageDown);
        let selected = self.entry(self.list.index).map(|(passed, place)| (Arc::clone(&passed.chunk), place));
        self.held = selected.filter(|_| !tail);
    }

    fn note(&self, world: &World<'_>) -> String {
        let log = &world.snapshot.log;
        let follow = if self.held.is_some() { "scrolled, End follows" } else { "following" };
        let gone = if log.evicted > 0 {
            format!(", {} older left the log", count(log.evicted))
        } else {
            String::new()
        };
        if world.filter.is_empty() {
            format!("{}{gone}, {follow}", count(self.len as u64))
        } else {
            format!("{} of {}{gone}, {follow}", count(self.len as u64), count(log.len as u64))
        }
    }

    fn cell(&self, world: &World<'_>, index: usize, column: usize, wide: bool) -> Cell {
        let Some((chunk, row)) = self.at(index) else { return Cell::default() };
        match column {
            0 => Cell::new(if wide { clock_millis(row.at) } else { clock(row.at) }, Role::Dim),
            1 => workload(world, id(chunk, row.src)),
            2 => workload(world, id(chunk, row.dst)),
            3 => {
                let method = endpoint(chunk, row).map_or("", |endpoint| endpoint.method.as_str());
                Cell::new(escape(method), method_role(method))
            }
            4 => {
                let operation = endpoint(chunk, row).map_or("", |endpoint| endpoint.operation.as_str());
                let text = format!("{} {operation}", chunk.path(row));
                Cell::new(escape(text.trim_end()), Role::Text)
            }
            5 => status_cell(row),
            6 => nanos(row.duration).into(),
            7 => bytes(u64::from(row.response_bytes)).into(),
            8 => Cell::new(vocabulary::auth(row.auth), Role::Dim),
            _ => note_cell(row.notes),
        }
    }
}

fn id(chunk: &CallChunk, index: u32) -> &str {
    chunk.workloads.get(index as usize).map_or("", |id| id.as_str())
}

fn endpoint<'a>(chunk: &'a CallChunk, row: &CallRow) -> Option<&'a LoggedEndpoint> {
    chunk.endpoints.get(row.endpoint as usize)
}

/// The colour of a method: reads, writes, deletes, anything else.
pub(super) fn method_role(method: &str) -> Role {
    match method {
        "GET" | "HEAD" | "OPTIONS" | "query" => Role::MethodRead,
        "POST" | "PUT" | "PATCH" | "mutation" => Role::MethodWrite,
        "DELETE" => Role::MethodDelete,
        _ => Role::MethodOther,
    }
}

/// The colour of a status; 0 is unanswered.
pub(super) fn status_role(status: u16) -> Role {
    match status {
        0 => Role::Unanswered,
        100..300 => Role::Good,
        300..400 => Role::Redirect,
        400..500 => Role::ClientError,
        _ => Role::ServerError,
    }
}

fn status_cell(row: &CallRow) -> Cell {
    if row.is_one_way() {
        return Cell::new("", Role::Dim);
    }
    let text = if row.status == 0 { "---".to_owned() } else { row.status.to_string() };
    Cell::new(text, outcome_role(row))
}

/// The colour of an answer; a failure in the words of the application is one, whatever the status.
fn outcome_role(row: &CallRow) -> Role {
    if row.failed && row.status < 400 { Role::ServerError } else { status_role(row.status) }
}

fn note_cell(notes: Notes) -> Cell {
    let names: Vec<&str> = notes.names().collect();
    Cell::new(names.join(" "), if notes.any(Notes::SMUGGLING) { Role::ServerError } else { Role::Partial })
}

/// Everything that is known of one call.
fn inspect(world: &World<'_>, chunk: &CallChunk, row: &CallRow) -> Inspector {
    let mut lines = vec![
        Line::new("time", format!("{} UTC", clock_millis(row.at)), Role::Text),
        Line::new("from", parties(world, id(chunk, row.src)), Role::Workload),
        Line::new("to", parties(world, id(chunk, row.dst)), Role::Workload),
    ];
    if let Some(endpoint) = endpoint(chunk, row) {
        lines.push(Line::new("method", escape(&endpoint.method), method_role(&endpoint.method)));
        lines.push(Line::new("path", escape(chunk.path(row)), Role::Strong));
        if !endpoint.operation.is_empty() {
            lines.push(Line::new("operation", escape(&endpoint.operation), Role::Strong));
        }
        lines.push(Line::new("endpoint", escape(&endpoint.path), Role::Parameter));
        lines.push(Line::new("host", escape(&endpoint.host), Role::Text));
        lines.push(Line::new("protocol", vocabulary::protocol(endpoint.protocol), Role::Text));
    }
    lines.extend(outcome(row));
    if let Some(detail) = (row.detail as usize).checked_sub(1).and_then(|at| chunk.details.get(at)) {
        lines.extend(fields("request headers", &detail.request_fields));
        lines.extend(fields("response headers", &detail.response_fields));
        lines.extend(
            (row.detail as usize)
                .checked_sub(1)
                .and_then(|at| chunk.bodies.get(at))
                .map(bodies::lines)
                .into_iter()
                .flatten(),
        );
    } else {
        lines.push(Line::heading("headers"));
        lines.push(Line::new("", "not kept: headers are kept for a sample of calls only", Role::Dim));
    }
    Inspector::new("Call", lines, chunk.path(row).to_owned())
}

/// What would stop such a call: its credential first.
fn policies(chunk: &CallChunk, row: &CallRow) -> Vec<Policy> {
    let src = chunk.workloads.get(row.src as usize).map_or("", |id| id.as_str());
    let endpoint = chunk.endpoints.get(row.endpoint as usize);
    endpoint
        .map(|endpoint| draft::of_call(src, endpoint, row.identity.map(|hash| hash.0)))
        .unwrap_or_default()
}

fn outcome(row: &CallRow) -> Vec<Line> {
    let status = match row.status {
        _ if row.is_one_way() => "none, a message that expects no answer".to_owned(),
        0 => "none, unanswered".to_owned(),
        status if row.failed => format!("{status}, failed by the word of the application"),
        status => status.to_string(),
    };
    let first = if row.ttfb == u64::MAX { "never".to_owned() } else { nanos(row.ttfb) };
    let identity = row.identity.map_or_else(|| "none".to_owned(), |hash| format!("{:016x}", hash.0));
    let notes: Vec<&str> = row.notes.names().collect();
    let mut lines = vec![
        Line::new("status", status, if row.is_one_way() { Role::Dim } else { outcome_role(row) }),
        Line::new("first byte", first, Role::Text),
        Line::new("took", nanos(row.duration), Role::Text),
        Line::new("request", bytes(u64::from(row.request_bytes)), Role::Text),
        Line::new("response", bytes(u64::from(row.response_bytes)), Role::Text),
        Line::new("auth", vocabulary::auth(row.auth), Role::Text),
        Line::new("identity", identity, Role::Text),
        Line::new("observed", format!("at the {}", vocabulary::vantage(row.vantage)), Role::Dim),
    ];
    if let Some(answer) = row.app_status {
        lines.insert(1, Line::new("answer", answer.to_string(), outcome_role(row)));
    }
    if !notes.is_empty() {
        lines.push(Line::new("notes", notes.join(" "), note_cell(row.notes).role.unwrap_or(Role::Text)));
    }
    lines
}

/// A workload with its id, when its label does not say it.
fn parties(world: &World<'_>, id: &str) -> String {
    let label = world.labels.get(id);
    let id = escape(id);
    if label == id { label } else { format!("{label}  ({id})") }
}

fn fields(title: &str, fields: &[ShownField]) -> Vec<Line> {
    let mut lines = vec![Line::heading(title)];
    for field in fields {
        let masked = field.value.starts_with('<') && field.value.ends_with('>');
        let role = if masked { Role::Masked } else { Role::Text };
        lines.push(Line::new(escape(&field.name), escape(&field.value), role));
    }
    lines
}
