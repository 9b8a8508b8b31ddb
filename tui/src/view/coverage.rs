//! How much of each workload's traffic is read: in clear, inside TLS, or not at all and why.
//!
//! One row per workload, its protocols added up; what is known of the whole node only has rows of its own. Numbers are those of
//! `capture.coverage`: nothing is estimated here.

mod detail;
mod resync;
mod row;

use self::row::{Row, rows};
use super::{MOTIONS, Reply, View, World, nothing};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, split_top};
use crate::format::{bytes, count, share};
use crate::layer::inspector::Inspector;
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::shares::{Part, shares};
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::coverage::Shares;
use ratatui::layout::Rect;
use std::cmp::Ordering;

const COLUMNS: &[Column] = &[
    Column::text("WORKLOAD", 12, 2, 0),
    Column::number("CONNS", 6, 3),
    Column::number("CLEAR", 6, 4),
    Column::number("IN TLS", 6, 4),
    Column::number("NOT", 6, 4),
    Column::number("BYTES", 6, 0),
    Column::number("CLEAR", 6, 0),
    Column::number("IN TLS", 6, 0),
    Column::number("NOT", 6, 0),
    Column::number("LOST", 6, 3),
    Column::text("TLS LIBRARY", 9, 1, 2),
    Column::text("WHY NOT READ", 8, 4, 1),
];

/// The view.
pub(super) struct Coverage {
    rows: Vec<Row>,
    /// Of all rows that are shown.
    total: Row,
    list: List,
    /// Key of the selected row.
    key: String,
    order: Order,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            total: Row::default(),
            list: List::default(),
            key: String::new(),
            order: Order { column: 8, ascending: false },
        }
    }
}

impl View for Coverage {
    fn refresh(&mut self, world: &World<'_>) {
        self.rows = rows(world);
        self.total = Row::default();
        for row in &self.rows {
            self.total.add(row);
        }
        let order = self.order;
        self.rows.sort_by(|a, b| {
            let ordering = compare(a, b, order.column);
            let directed = if order.ascending { ordering } else { ordering.reverse() };
            directed.then_with(|| a.key.cmp(&b.key))
        });
        let place = self.rows.iter().position(|row| row.key == self.key);
        self.list.index = place.unwrap_or(self.list.index).min(self.rows.len().saturating_sub(1));
        self.remember();
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut can = vec![Action::Open];
        can.extend(self.selected().and_then(|row| resync::target(world, row)).map(|_| Action::Resync));
        [&can[..], &[Action::Sort, Action::SortReverse, Action::Copy], MOTIONS].concat()
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                self.order.change(action, COLUMNS.len());
                self.refresh(world);
                Reply::Done
            }
            Action::Resync => resync::ask(world, self.selected()),
            Action::Open => match self.selected() {
                Some(row) => {
                    let lines = detail::lines(world, row);
                    Reply::Open(Box::new(Inspector::new("Read and not read", lines, row.label.clone())))
                }
                None => Reply::Ignored,
            },
            Action::Copy => match self.selected() {
                Some(row) => Reply::Effect(Effect::Copy(row.label.clone())),
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
        let workloads = self.rows.iter().filter(|row| !row.workload.is_empty()).count();
        let note = format!("{workloads} workloads");
        let body = panel(canvas, area, "Coverage", &note, true);
        if self.rows.is_empty() {
            return nothing(world, canvas, body, "connections");
        }
        let (top, body) = split_top(body, 3);
        line(canvas, top, 0, "connections", &self.total.connections, count);
        line(canvas, top, 1, "bytes", &self.total.bytes, bytes);
        let cell = |index: usize, column: usize| {
            self.rows.get(index).map_or_else(Cell::default, |row| cell(world, row, column))
        };
        let (order, list, len) = (Some(self.order), &self.list, self.rows.len());
        Table { columns: COLUMNS, order, list, len, focused: true, cell: &cell }.draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl Coverage {
    fn selected(&self) -> Option<&Row> {
        self.rows.get(self.list.index)
    }

    fn remember(&mut self) {
        self.key = self.selected().map(|row| row.key.clone()).unwrap_or_default();
    }
}

/// The three parts of a quantity, in the colours of the view.
fn parts(of: &Shares) -> [Part; 3] {
    [
        Part { name: "clear", size: of.plaintext, role: Role::Good },
        Part { name: "in TLS", size: of.decrypted, role: Role::Notice },
        Part { name: "not read", size: of.opaque, role: Role::Partial },
    ]
}

/// One quantity of everything that is shown.
fn line(canvas: &mut Canvas<'_>, area: Rect, y: u16, name: &str, of: &Shares, format: fn(u64) -> String) {
    canvas.put(area, 1, y, name, Role::Dim);
    let all = format!("{:>7}", format(row::all(of)));
    canvas.put(area, 13, y, &all, Role::Strong);
    shares(
        canvas,
        Rect { x: area.x + 22, y: area.y + y, height: 1, width: area.width.saturating_sub(23) },
        &parts(of),
    );
}

fn compare(a: &Row, b: &Row, column: usize) -> Ordering {
    let part = |pick: fn(&Row) -> (u64, u64)| {
        let ((part, whole), (other, rest)) = (pick(a), pick(b));
        // Shares of different wholes, without a rounding: a/b < c/d as a*d < c*b.
        (u128::from(part) * u128::from(rest.max(1)))
            .cmp(&(u128::from(other) * u128::from(whole.max(1))))
            .then_with(|| whole.cmp(&rest))
    };
    match column {
        0 => a.label.cmp(&b.label),
        1 => row::all(&a.connections).cmp(&row::all(&b.connections)),
        2 => part(|row| (row.connections.plaintext, row::all(&row.connections))),
        3 => part(|row| (row.connections.decrypted, row::all(&row.connections))),
        4 => part(|row| (row.connections.opaque, row::all(&row.connections))),
        5 => row::all(&a.bytes).cmp(&row::all(&b.bytes)),
        6 => part(|row| (row.bytes.plaintext, row::all(&row.bytes))),
        7 => part(|row| (row.bytes.decrypted, row::all(&row.bytes))),
        8 => a.bytes.opaque.cmp(&b.bytes.opaque),
        9 => a.lost.cmp(&b.lost),
        10 => a.library.cmp(&b.library),
        _ => a.reason.cmp(&b.reason),
    }
}

fn cell(world: &World<'_>, row: &Row, column: usize) -> Cell {
    let part = |part: u64, of: &Shares, role: Role| Cell::new(share(part, row::all(of)), role);
    match column {
        0 if row.workload.is_empty() => Cell::new(row.label.clone(), Role::Dim),
        0 => super::overview::workload(world, &row.workload),
        1 => some(row::all(&row.connections), count),
        2 => part(row.connections.plaintext, &row.connections, Role::Good),
        3 => part(row.connections.decrypted, &row.connections, Role::Notice),
        4 => part(row.connections.opaque, &row.connections, Role::Partial),
        5 => some(row::all(&row.bytes), bytes),
        6 => part(row.bytes.plaintext, &row.bytes, Role::Good),
        7 => part(row.bytes.decrypted, &row.bytes, Role::Notice),
        8 => part(row.bytes.opaque, &row.bytes, Role::Partial),
        9 if row.lost > 0 => Cell::new(bytes(row.lost), Role::Lost),
        9 => Cell::default(),
        10 => escape(&row.library).into_owned().into(),
        _ => Cell::new(escape(&row.reason), Role::Dim),
    }
}

/// A number; nothing where it is not counted.
fn some(n: u64, format: fn(u64) -> String) -> Cell {
    if n == 0 { Cell::new("-", Role::Dim) } else { format(n).into() }
}

#[cfg(test)]
mod tests;
