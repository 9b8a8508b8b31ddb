//! The adjacency table: all numbers of every edge, sortable.

use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::format::{bytes, count, micros, rate, share};
use crate::theme::Role;
use crate::view::overview::{directed, error_share, workload};
use crate::view::{MOTIONS, Reply, World, nothing};
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::policy::draft;
use apisec_engine::snapshot::EdgeView;
use ratatui::layout::Rect;
use std::cmp::Ordering;

const COLUMNS: &[Column] = &[
    Column::text("FROM", 14, 1, 0),
    Column::text("TO", 14, 1, 0),
    Column::word("PROTO", 9, 6),
    Column::number("CALLS", 7, 0),
    Column::number("RATE/S", 6, 1),
    Column::number("ERRORS", 7, 3),
    Column::number("ERR", 5, 0),
    Column::number("NO ANSWER", 9, 7),
    Column::number("P50", 6, 2),
    Column::number("P99", 6, 1),
    Column::number("SENT", 7, 5),
    Column::number("RECEIVED", 8, 4),
];

/// The table.
pub(super) struct Edges {
    /// Places in the snapshot.
    rows: Vec<usize>,
    list: List,
    order: Order,
    /// Ends and protocol of the selected edge, so that it stays selected when the order changes.
    selected: Option<(String, String, String)>,
}

impl Default for Edges {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            list: List::default(),
            order: Order { column: 3, ascending: false },
            selected: None,
        }
    }
}

impl Edges {
    pub(super) fn refresh(&mut self, world: &World<'_>) {
        let all = &world.snapshot.edges;
        let order = self.order;
        self.rows =
            (0..all.len()).filter(|at| all.get(*at).is_some_and(|edge| world.shows_edge(edge))).collect();
        self.rows.sort_by(|a, b| match (all.get(*a), all.get(*b)) {
            (Some(x), Some(y)) => directed(compare(x, y, order.column, world), order).then(a.cmp(b)),
            _ => a.cmp(b),
        });
        let key = self.selected.take();
        let place = key.and_then(|key| {
            self.rows.iter().position(|at| all.get(*at).map(identity).as_ref() == Some(&key))
        });
        self.list.index = place.unwrap_or(self.list.index).min(self.rows.len().saturating_sub(1));
        self.remember(world);
    }

    fn remember(&mut self, world: &World<'_>) {
        self.selected = self.edge(world, self.list.index).map(identity);
    }

    fn edge<'a>(&self, world: &World<'a>, index: usize) -> Option<&'a EdgeView> {
        self.rows.get(index).and_then(|at| world.snapshot.edges.get(*at))
    }

    pub(super) fn can(&self) -> Vec<Action> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        [&[Action::Open, Action::Block, Action::Sort, Action::SortReverse, Action::Copy], MOTIONS].concat()
    }

    pub(super) fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                self.order.change(action, COLUMNS.len());
                self.refresh(world);
            }
            Action::Open => match self.edge(world, self.list.index) {
                Some(edge) => return Reply::Open(Box::new(super::detail::of_edge(world, edge))),
                None => return Reply::Ignored,
            },
            Action::Block => {
                let edge = self.edge(world, self.list.index);
                return world.block(edge.and_then(|edge| draft::edge(&edge.src, &edge.dst)));
            }
            Action::Copy => match self.edge(world, self.list.index) {
                Some(edge) => return Reply::Effect(Effect::Copy(format!("{} {}", edge.src, edge.dst))),
                None => return Reply::Ignored,
            },
            _ if self.list.motion(action, self.rows.len()) => self.remember(world),
            _ => return Reply::Ignored,
        }
        Reply::Done
    }

    pub(super) fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let body = panel(canvas, area, "Edges", &count(self.rows.len() as u64), true);
        if self.rows.is_empty() {
            return nothing(world, canvas, body, "calls between workloads");
        }
        let cell = |index: usize, column: usize| {
            self.edge(world, index).map_or_else(Cell::default, |edge| cell(world, edge, column))
        };
        Table {
            columns: COLUMNS,
            order: Some(self.order),
            list: &self.list,
            len: self.rows.len(),
            focused: true,
            cell: &cell,
        }
        .draw(canvas, body);
    }

    pub(super) fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

fn identity(edge: &EdgeView) -> (String, String, String) {
    (edge.src.clone(), edge.dst.clone(), edge.protocol.clone())
}

fn cell(world: &World<'_>, edge: &EdgeView, column: usize) -> Cell {
    match column {
        0 => workload(world, &edge.src),
        1 => workload(world, &edge.dst),
        2 if world.is_edge_blocked(&edge.src, &edge.dst) => Cell::new("blocked", Role::ServerError),
        2 => Cell::new(escape(&edge.protocol), Role::Dim),
        3 => count(edge.calls).into(),
        4 => rate(edge.rate).into(),
        5 => count(edge.errors).into(),
        6 => Cell::new(share(edge.errors, edge.calls), Role::ServerError),
        7 => {
            Cell::new(count(edge.unanswered), if edge.unanswered > 0 { Role::Unanswered } else { Role::Dim })
        }
        8 => micros(edge.p50_us).into(),
        9 => micros(edge.p99_us).into(),
        10 => bytes(edge.request_bytes).into(),
        _ => bytes(edge.response_bytes).into(),
    }
}

fn compare(a: &EdgeView, b: &EdgeView, column: usize, world: &World<'_>) -> Ordering {
    match column {
        0 => world.labels.get(&a.src).cmp(&world.labels.get(&b.src)),
        1 => world.labels.get(&a.dst).cmp(&world.labels.get(&b.dst)),
        2 => a.protocol.cmp(&b.protocol),
        3 => a.calls.cmp(&b.calls),
        4 => a.rate.total_cmp(&b.rate),
        5 => a.errors.cmp(&b.errors),
        6 => error_share(a.errors, a.calls).total_cmp(&error_share(b.errors, b.calls)),
        7 => a.unanswered.cmp(&b.unanswered),
        8 => a.p50_us.cmp(&b.p50_us),
        9 => a.p99_us.cmp(&b.p99_us),
        10 => a.request_bytes.cmp(&b.request_bytes),
        _ => a.response_bytes.cmp(&b.response_bytes),
    }
}
