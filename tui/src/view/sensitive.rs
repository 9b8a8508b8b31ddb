//! The sensitive-data map: which endpoints and edges carry which classes, in which direction, protected how.
//!
//! What is worst is first: secrets and payment data in clear text, from outside, without authentication.

use super::{MOTIONS, Reply, View, World, nothing, overview::workload};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::export::meanings;
use crate::format::count;
use crate::layer::inspector::{Inspector, Line};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::export::sensitive::{Row, map};
use ratatui::layout::Rect;
use std::cmp::Ordering;
use std::collections::BTreeSet;

const COLUMNS: &[Column] = &[
    Column::word("CLASS", 11, 0),
    Column::word("GROUP", 8, 3),
    Column::word("WAY", 8, 0),
    Column::text("SERVICE", 10, 1, 1),
    Column::text("CARRIED BY", 20, 4, 0),
    Column::word("OVER", 9, 0),
    Column::word("AUTH", 9, 1),
    Column::word("CALLERS", 7, 2),
    Column::number("CALLS", 7, 0),
    Column::number("OF", 7, 5),
];

/// The view.
pub(super) struct SensitiveMap {
    rows: Vec<Row>,
    list: List,
    selected: Option<Row>,
    order: Order,
}

impl Default for SensitiveMap {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            list: List::default(),
            selected: None,
            order: Order { column: 1, ascending: true },
        }
    }
}

impl View for SensitiveMap {
    fn refresh(&mut self, world: &World<'_>) {
        self.rows = if world.filter.is_empty() {
            map(world.snapshot, meanings())
        } else {
            map(&world.filter.snapshot(world.snapshot), meanings())
        };
        let order = self.order;
        self.rows.sort_by(|a, b| {
            let ordering = compare(a, b, order.column);
            if order.ascending { ordering } else { ordering.reverse() }
        });
        let place = self.selected.as_ref().and_then(|own| self.rows.iter().position(|row| same(row, own)));
        self.list.index = place.unwrap_or(self.list.index).min(self.rows.len().saturating_sub(1));
        self.remember();
    }

    fn can(&self, _world: &World<'_>) -> Vec<Action> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        [&[Action::Open, Action::Sort, Action::SortReverse, Action::Copy], MOTIONS].concat()
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                self.order.change(action, COLUMNS.len());
                self.refresh(world);
                Reply::Done
            }
            Action::Open => match self.rows.get(self.list.index) {
                Some(row) => {
                    let copy = row.operation.clone();
                    Reply::Open(Box::new(Inspector::new("Sensitive data", lines(world, row), copy)))
                }
                None => Reply::Ignored,
            },
            Action::Copy => match self.rows.get(self.list.index) {
                Some(row) => Reply::Effect(Effect::Copy(row.operation.clone())),
                None => Reply::Ignored,
            },
            _ if self.list.motion(action, self.rows.len()) => {
                self.remember();
                Reply::Done
            }
            _ => Reply::Ignored,
        }
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let classes: BTreeSet<&str> = self.rows.iter().map(|row| row.class.as_str()).collect();
        let note = format!("{} classes, by bodies and paths that were read", classes.len());
        let body = panel(canvas, area, "Sensitive data", &note, true);
        if self.rows.is_empty() {
            return nothing(world, canvas, body, "sensitive data");
        }
        let arrow = canvas.look.glyphs.arrow;
        let cell = |index: usize, column: usize| {
            self.rows.get(index).map_or_else(Cell::default, |row| cell((world, arrow), row, column))
        };
        let (order, list, len) = (Some(self.order), &self.list, self.rows.len());
        Table { columns: COLUMNS, order, list, len, focused: true, cell: &cell }.draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl SensitiveMap {
    fn remember(&mut self) {
        self.selected = self.rows.get(self.list.index).cloned();
    }
}

/// The same class, carried by the same.
fn same(a: &Row, b: &Row) -> bool {
    (a.what, &a.to, &a.operation, &a.class, a.direction)
        == (b.what, &b.to, &b.operation, &b.class, b.direction)
        && (a.what == "endpoint" || a.from == b.from)
}

fn is_sealed(row: &Row) -> bool {
    matches!(row.transport, "tls" | "mtls")
}

/// How bad it would be if somebody read it.
fn weight(row: &Row) -> (usize, bool, bool, bool) {
    let groups = ["secret", "payment", "health", "pii"];
    let group = groups.iter().position(|group| *group == row.group).unwrap_or(groups.len());
    (group, is_sealed(row), row.authenticated == "yes", row.reach == "inside")
}

fn compare(a: &Row, b: &Row, column: usize) -> Ordering {
    let own = match column {
        0 => a.class.cmp(&b.class),
        1 => weight(a).cmp(&weight(b)),
        2 => a.direction.cmp(b.direction),
        3 => a.to.cmp(&b.to),
        4 => a.operation.cmp(&b.operation),
        5 => a.transport.cmp(b.transport),
        6 => a.authenticated.cmp(b.authenticated),
        7 => a.reach.cmp(b.reach),
        8 => a.calls.cmp(&b.calls),
        _ => a.of.cmp(&b.of),
    };
    own.then_with(|| {
        (a.what, &a.to, &a.operation, &a.class, a.direction, &a.from).cmp(&(
            b.what,
            &b.to,
            &b.operation,
            &b.class,
            b.direction,
            &b.from,
        ))
    })
}

fn cell((world, arrow): (&World<'_>, &str), row: &Row, column: usize) -> Cell {
    match column {
        0 => Cell::new(escape(&row.class), Role::Masked),
        1 => Cell::new(escape(&row.group), Role::Dim),
        2 => row.direction.into(),
        3 => workload(world, &row.to),
        4 if row.what == "edge" => {
            let (from, to) = (world.labels.get(&row.from), world.labels.get(&row.to));
            let text = format!("{from} {arrow} {to}, {}", row.operation);
            Cell::new(escape(&text), Role::Workload)
        }
        4 => escape(&row.operation).into_owned().into(),
        5 => Cell::new(row.transport, if is_sealed(row) { Role::Text } else { Role::Partial }),
        6 => {
            Cell::new(row.authenticated, if row.authenticated == "yes" { Role::Text } else { Role::Partial })
        }
        7 => row.reach.into(),
        8 => count(row.calls).into(),
        _ => count(row.of).into(),
    }
}

fn lines(world: &World<'_>, row: &Row) -> Vec<Line> {
    let mut lines = vec![
        Line::new("class", escape(&row.class), Role::Masked),
        Line::new("group", escape(&row.group), Role::Text),
        Line::new("travels in", row.direction, Role::Text),
        Line::new("service", world.labels.get(&row.to), Role::Workload),
        Line::new(row.what, escape(&row.operation), Role::Strong),
        Line::new("transport", row.transport, Role::Text),
        Line::new("authenticated", row.authenticated, Role::Text),
        Line::new("callers are", row.reach, Role::Text),
        Line::new("calls", format!("{} of {} carried it", count(row.calls), count(row.of)), Role::Text),
    ];
    lines.push(Line::heading("what the standards call it"));
    lines.extend(row.tags.iter().map(|tag| Line::new("", escape(tag), Role::Text)));
    lines.push(Line::heading("callers"));
    lines.extend(row.from.split(' ').map(|caller| Line::new("", world.labels.get(caller), Role::Workload)));
    lines
}
