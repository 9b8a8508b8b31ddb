//! Drift by state: what is called and not documented, documented and not called, or not as documented.
//!
//! Worst first. What is as documented is counted above the list and not in it.

mod compare;

use super::calls::method_role;
use super::endpoints::{endpoint_lines, mark};
use super::{MOTIONS, Reply, View, World, nothing, overview::workload};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, split_top};
use crate::format::{SECOND, clock, count, span};
use crate::layer::bindings::Bindings;
use crate::layer::confirm::Confirm;
use crate::layer::inspector::Inspector;
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::export::openapi::can_be_documented;
use apisec_engine::snapshot::{Drift, EndpointView, Snapshot};
use ratatui::layout::Rect;
use std::cmp::Ordering;
use unicode_width::UnicodeWidthStr as _;

const COLUMNS: &[Column] = &[
    Column::word("STATE", 13, 0),
    Column::text("SERVICE", 10, 1, 1),
    Column::word("METHOD", 7, 0),
    Column::text("PATH", 20, 4, 0),
    Column::number("CALLS", 7, 0),
    Column::word("LAST CALL", 10, 3),
    Column::text("OWNER", 8, 1, 4),
    Column::text("NOT AS DOCUMENTED", 17, 3, 2),
];

/// The states in the order of their weight.
const WEIGHTS: [Drift; 6] =
    [Drift::Shadow, Drift::Zombie, Drift::Unconfirmed, Drift::Orphan, Drift::Active, Drift::Unspecified];

/// The view.
pub(super) struct Drifting {
    /// Places in the snapshot.
    rows: Vec<usize>,
    list: List,
    selected: String,
    order: Order,
}

impl Default for Drifting {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            list: List::default(),
            selected: String::new(),
            order: Order { column: 0, ascending: true },
        }
    }
}

impl View for Drifting {
    fn refresh(&mut self, world: &World<'_>) {
        let endpoints = &world.snapshot.endpoints;
        let drifts =
            |at: &usize| endpoints.get(*at).is_some_and(|own| is_drift(own) && world.shows_endpoint(own));
        self.rows = (0..endpoints.len()).filter(drifts).collect();
        let order = self.order;
        self.rows.sort_by(|a, b| match endpoints.get(*a).zip(endpoints.get(*b)) {
            Some((a, b)) => {
                let ordering = compare(a, b, order.column);
                if order.ascending { ordering } else { ordering.reverse() }
            }
            None => Ordering::Equal,
        });
        let place =
            self.rows.iter().position(|at| endpoints.get(*at).map(key).as_deref() == Some(&*self.selected));
        self.list.index = place.unwrap_or(self.list.index).min(self.rows.len().saturating_sub(1));
        self.remember(world);
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        if self.rows.is_empty() {
            return if world.snapshot.specifications.is_empty() { Vec::new() } else { vec![Action::Bind] };
        }
        let mut can = vec![Action::Open, Action::Compare];
        if !world.read_only {
            let own = self.endpoint(world, self.list.index);
            can.extend(own.filter(|own| is_approvable(own)).map(|_| Action::Approve));
            can.push(Action::UndoApproval);
        }
        can.extend([Action::Bind, Action::Sort, Action::SortReverse, Action::Copy]);
        can.extend_from_slice(MOTIONS);
        can
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                self.order.change(action, COLUMNS.len());
                self.refresh(world);
                Reply::Done
            }
            Action::Open => match self.endpoint(world, self.list.index) {
                Some(own) => {
                    Reply::Open(Box::new(Inspector::new("Drift", endpoint_lines(world, own), name(own))))
                }
                None => Reply::Ignored,
            },
            Action::Compare => match self.endpoint(world, self.list.index) {
                Some(own) => Reply::Open(Box::new(Inspector::new(
                    "Documented and observed",
                    compare::lines(own),
                    name(own),
                ))),
                None => Reply::Ignored,
            },
            Action::Approve | Action::UndoApproval if world.read_only => {
                Reply::Refused("read-only: nothing is changed".to_owned())
            }
            Action::Approve => self.approve(world),
            Action::UndoApproval => Reply::Effect(Effect::UndoApproval),
            Action::Bind if world.snapshot.specifications.is_empty() => {
                Reply::Refused("no specification was given".to_owned())
            }
            Action::Bind => Reply::Open(Box::new(Bindings::new(world))),
            Action::Copy => match self.endpoint(world, self.list.index) {
                Some(own) => Reply::Effect(Effect::Copy(name(own))),
                None => Reply::Ignored,
            },
            _ if self.list.motion(action, self.rows.len()) => {
                self.remember(world);
                Reply::Done
            }
            _ => Reply::Ignored,
        }
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let body = panel(canvas, area, "Drift", &window(world.snapshot), true);
        if world.snapshot.specifications.is_empty() {
            let text = "No specification was given: apisec-top --spec FILE|FOLDER tells what is documented.";
            canvas.put(body, 2, 1.min(body.height.saturating_sub(1)), text, Role::Dim);
            return;
        }
        let (top, body) = split_top(body, 2);
        counts(world.snapshot, canvas, top);
        if self.rows.is_empty() {
            return nothing(world, canvas, body, "drift");
        }
        let glyphs = canvas.look.glyphs;
        let cell = |index: usize, column: usize| {
            self.endpoint(world, index).map_or_else(Cell::default, |own| {
                if column == 0 {
                    let text = format!("{} {}", mark::glyph(own.drift, glyphs), own.drift.word());
                    return Cell::new(text, mark::role(own.drift));
                }
                cell(world, own, column)
            })
        };
        let (order, list, len) = (Some(self.order), &self.list, self.rows.len());
        Table { columns: COLUMNS, order, list, len, focused: true, cell: &cell }.draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl Drifting {
    fn endpoint<'a>(&self, world: &World<'a>, index: usize) -> Option<&'a EndpointView> {
        self.rows.get(index).and_then(|at| world.snapshot.endpoints.get(*at))
    }

    /// Asks whether the selected operation shall be documented.
    fn approve(&self, world: &World<'_>) -> Reply {
        let Some(own) = self.endpoint(world, self.list.index) else { return Reply::Ignored };
        if !is_approvable(own) {
            return Reply::Refused("only what is not documented can be approved".to_owned());
        }
        let lines = vec![
            format!("{} of {}", escape(&name(own)), world.labels.get(&own.service)),
            format!("with {} calls is documented from now on, as it was observed,", count(own.calls)),
            "in the working specification of that service (state folder).".to_owned(),
            "The undo key takes the newest approval back, in later runs too.".to_owned(),
        ];
        Reply::Open(Box::new(Confirm::new("Approve", lines, Action::Approved(key(own)))))
    }

    fn remember(&mut self, world: &World<'_>) {
        self.selected = self.endpoint(world, self.list.index).map(key).unwrap_or_default();
    }
}

/// Whether it is not documented, and can be.
fn is_approvable(own: &EndpointView) -> bool {
    matches!(own.drift, Drift::Shadow | Drift::Unconfirmed) && can_be_documented(own)
}

/// Whether an endpoint belongs into the list.
fn is_drift(own: &EndpointView) -> bool {
    let as_documented = matches!(own.drift, Drift::Active | Drift::Unspecified);
    !as_documented || own.deprecated_in_use || own.schema_drift
}

/// The same for the same operation in every snapshot.
pub(crate) fn key(own: &EndpointView) -> String {
    format!("{}\u{1}{}\u{1}{}\u{1}{}\u{1}{}", own.service, own.path, own.method, own.operation, own.protocol)
}

fn name(own: &EndpointView) -> String {
    format!("{} {}", own.method, place(own))
}

/// Its path, and the operation below it.
fn place(own: &EndpointView) -> String {
    format!("{} {}", own.path, own.operation).trim_end().to_owned()
}

fn weight(own: &EndpointView) -> usize {
    WEIGHTS.iter().position(|state| *state == own.drift).unwrap_or(WEIGHTS.len())
}

fn compare(a: &EndpointView, b: &EndpointView, column: usize) -> Ordering {
    let own = match column {
        0 => weight(a).cmp(&weight(b)).then_with(|| b.calls.cmp(&a.calls)),
        1 => a.service.cmp(&b.service),
        2 => a.method.cmp(&b.method),
        3 => a.path.cmp(&b.path),
        4 => a.calls.cmp(&b.calls),
        5 => last(a).cmp(&last(b)),
        6 => a.documentation.owner.cmp(&b.documentation.owner),
        _ => a.documentation.differences.cmp(&b.documentation.differences),
    };
    own.then_with(|| (&a.service, &a.path, &a.method).cmp(&(&b.service, &b.path, &b.method)))
}

/// Its last call, in this run or before.
fn last(own: &EndpointView) -> u64 {
    own.last_seen.max(own.history.last_seen)
}

fn cell(world: &World<'_>, own: &EndpointView, column: usize) -> Cell {
    match column {
        1 => workload(world, &own.service),
        2 => Cell::new(escape(&own.method), method_role(&own.method)),
        3 => escape(&place(own)).into_owned().into(),
        4 => count(own.calls).into(),
        5 => Cell::new(ago(world.snapshot, last(own)), Role::Dim),
        6 => escape(&own.documentation.owner).into_owned().into(),
        _ => Cell::new(differences(own), Role::DriftFlag),
    }
}

fn differences(own: &EndpointView) -> String {
    let deprecated = own.deprecated_in_use.then_some("deprecated");
    let all: Vec<&str> =
        deprecated.into_iter().chain(own.documentation.differences.iter().map(String::as_str)).collect();
    escape(&all.join(", ")).into_owned()
}

fn ago(snapshot: &Snapshot, at: u64) -> String {
    match at {
        0 => "never".to_owned(),
        at => format!("{} ago", span(snapshot.window.end_ns.saturating_sub(at) / SECOND)),
    }
}

/// What «never» and «no longer» rest on.
fn window(snapshot: &Snapshot) -> String {
    let inventory = &snapshot.inventory;
    if inventory.since_ns == 0 {
        return String::new();
    }
    let seconds = snapshot.window.end_ns.saturating_sub(inventory.since_ns) / SECOND;
    format!(
        "known for {} (since {} UTC), zombie after {}",
        span(seconds),
        clock(inventory.since_ns),
        span(inventory.zombie_after_s)
    )
}

/// How many there are of each state; what there is none of only where there is room for all.
fn counts(snapshot: &Snapshot, canvas: &mut Canvas<'_>, area: Rect) {
    let mut x = 1;
    let inventory = &snapshot.inventory;
    let states = Drift::ALL.iter().filter(|(state, _)| *state != Drift::Unspecified);
    let states =
        states.zip(canvas.look.glyphs.drift).map(|((state, word), glyph): (&(Drift, &str), &str)| {
            let number = inventory.states.get(*word).copied().unwrap_or(0);
            (number, format!("{glyph} {word} {number}"), mark::role(*state))
        });
    let [deprecated, schema] = canvas.look.glyphs.flags;
    let (in_use, differ) = (inventory.deprecated_in_use, inventory.schema_drift);
    let flags = [
        (in_use, format!("{deprecated} deprecated in use {in_use}"), Role::DriftFlag),
        (differ, format!("{schema} not as documented {differ}"), Role::DriftFlag),
    ];
    let mut all: Vec<_> = states.chain(flags).collect();
    let wanted: usize = all.iter().map(|(_, text, _)| text.width() + 2).sum();
    if wanted > usize::from(area.width) {
        all.retain(|(number, ..)| *number > 0);
    }
    for (_, text, role) in all {
        x = canvas.put(area, x, 0, &text, role) + 2;
    }
}

#[cfg(test)]
mod tests;
