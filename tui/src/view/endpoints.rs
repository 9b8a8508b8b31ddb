//! The inventory as a tree: service, path segments, method; with the numbers of each and all that is known of one.

mod detail;
mod forest;
pub(super) mod mark;
mod rules;

use super::calls::method_role;
use super::{MOTIONS, Reply, View, World, nothing, overview::workload};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Glyphs, Viewport, inset, split_left, split_top};
use crate::format::{count, micros, rate, share};
use crate::layer::confirm::Confirm;
use crate::layer::inspector::{Inspector, draw_lines};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order};
use crate::widget::tree::{Branch, Tree};
use apisec_engine::command::Command;
use apisec_engine::export::sensitive::carried;
use apisec_engine::policy::draft;
use apisec_engine::snapshot::EndpointView;
pub(super) use detail::endpoint_lines;
use forest::{Forest, Kind, Row};
use ratatui::layout::Rect;
use std::collections::HashSet;

/// From this width on the details stand on the right.
const WIDE: u16 = 130;
/// Width of the details on the right.
const DETAIL_WIDTH: u16 = 48;
/// From this height on the details stand below.
const TALL: u16 = 34;
/// Up to this many endpoints the tree is open until the operator says otherwise.
const OPEN_UP_TO: usize = 500;

const COLUMNS: &[Column] = &[
    Column::text("ENDPOINT", 28, 1, 0),
    Column::number("CALLS", 7, 0),
    Column::number("RATE/S", 6, 3),
    Column::number("ERR", 5, 0),
    Column::number("P50", 6, 2),
    Column::number("P99", 6, 0),
    Column::number("CALLERS", 7, 4),
    Column::text("HOLDS", 8, 1, 5),
];

/// The view.
pub(super) struct Endpoints {
    forest: Forest,
    /// Nodes, by key, that are not as [`open`](Self::open) says.
    toggled: HashSet<String>,
    /// Whether nodes are open; `None` until the operator decides.
    open: Option<bool>,
    list: List,
    selected: String,
    order: Order,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            forest: Forest::default(),
            toggled: HashSet::new(),
            open: None,
            list: List::default(),
            selected: String::new(),
            order: Order { column: 1, ascending: false },
        }
    }
}

impl View for Endpoints {
    fn refresh(&mut self, world: &World<'_>) {
        let open = self.open.unwrap_or(world.snapshot.endpoints.len() <= OPEN_UP_TO);
        let toggled = &self.toggled;
        self.forest = Forest::of(world, self.order, &|key: &str| open != toggled.contains(key));
        let place = self.forest.rows.iter().position(|row| row.key == self.selected);
        self.list.index = place.unwrap_or(self.list.index).min(self.forest.rows.len().saturating_sub(1));
        self.remember();
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        let Some(row) = self.row() else { return vec![Action::Sort] };
        let mut can = vec![Action::Open];
        if row.children && !row.open {
            can.push(Action::Right);
        }
        if (row.children && row.open) || row.parent.is_some() {
            can.push(Action::Left);
        }
        if !world.read_only {
            can.extend(rules::possible(row));
            can.push(Action::UndoRule);
            can.extend((world.enforces && endpoint(world, row).is_some()).then_some(Action::Block));
        }
        can.extend([Action::Sort, Action::SortReverse]);
        let parents = || self.forest.rows.iter().filter(|row| row.children);
        can.extend(parents().any(|row| !row.open).then_some(Action::ExpandAll));
        can.extend(parents().any(|row| row.open).then_some(Action::CollapseAll));
        can.push(Action::Copy);
        can.extend_from_slice(MOTIONS);
        can
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                self.order.change(action, COLUMNS.len());
            }
            Action::ExpandAll | Action::CollapseAll => {
                self.open = Some(*action == Action::ExpandAll);
                self.toggled.clear();
            }
            Action::Left => self.left(),
            Action::Right => self.right(),
            Action::Open => return self.open(world),
            Action::Copy => {
                return self.row().map_or(Reply::Ignored, |row| Reply::Effect(Effect::Copy(row.copy())));
            }
            Action::Block => {
                return world
                    .block(self.row().and_then(|row| endpoint(world, row)).and_then(draft::endpoint));
            }
            Action::Merge | Action::Split => return self.rule(action, world),
            Action::UndoRule if world.read_only => {
                return Reply::Refused("read-only: nothing is changed".to_owned());
            }
            Action::UndoRule => return Reply::Effect(Effect::Send(Command::UndoRule)),
            _ if self.list.motion(action, self.forest.rows.len()) => {
                self.remember();
                return Reply::Done;
            }
            _ => return Reply::Ignored,
        }
        self.refresh(world);
        Reply::Done
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let note = format!("{} endpoints in {} services", self.forest.endpoints, self.forest.services);
        if self.forest.rows.is_empty() {
            let body = panel(canvas, area, "Endpoints", &note, true);
            return nothing(world, canvas, body, "endpoints");
        }
        let (tree, detail) = if canvas.look.plain {
            (area, None)
        } else if area.width >= WIDE {
            let (left, right) = split_left(area, area.width - DETAIL_WIDTH);
            (Rect { width: left.width - 2, ..left }, Some(right))
        } else if area.height >= TALL {
            let (top, bottom) = split_top(area, area.height * 3 / 5);
            (top, Some(bottom))
        } else {
            (area, None)
        };
        let body = panel(canvas, tree, "Endpoints", &note, true);
        self.draw_tree(world, canvas, body);
        if let Some((area, row)) = detail.zip(self.row()) {
            let body = panel(canvas, area, "Selected", "", false);
            draw_lines(canvas, inset(body, 1), &detail::lines(world, row), &List::default(), false);
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl Endpoints {
    fn row(&self) -> Option<&Row> {
        self.forest.rows.get(self.list.index)
    }

    fn remember(&mut self) {
        self.selected = self.row().map(|row| row.key.clone()).unwrap_or_default();
    }

    fn toggle(&mut self) {
        let key = self.selected.clone();
        if !self.toggled.remove(&key) {
            self.toggled.insert(key);
        }
    }

    /// Closes the selected node, or goes to its parent.
    fn left(&mut self) {
        match self.row().map(|row| (row.children && row.open, row.parent)) {
            Some((true, _)) => self.toggle(),
            Some((false, Some(parent))) => {
                self.list.index = parent;
                self.remember();
            }
            _ => {}
        }
    }

    fn right(&mut self) {
        if self.row().is_some_and(|row| row.children && !row.open) {
            self.toggle();
        }
    }

    /// Opens or closes a node; shows everything of an endpoint.
    fn open(&mut self, world: &World<'_>) -> Reply {
        let Some(row) = self.row() else { return Reply::Ignored };
        if row.children {
            self.toggle();
            self.refresh(world);
            return Reply::Done;
        }
        Reply::Open(Box::new(Inspector::new("Endpoint", detail::lines(world, row), row.copy())))
    }

    /// Asks before a rule is added, with what it will do.
    fn rule(&self, action: &Action, world: &World<'_>) -> Reply {
        if world.read_only {
            return Reply::Refused("read-only: nothing is changed".to_owned());
        }
        let Some(row) = self.row() else { return Reply::Ignored };
        match rules::preview(action, row, world) {
            Ok((title, lines, command)) => {
                Reply::Open(Box::new(Confirm::new(title, lines, Action::Send(command))))
            }
            Err(why) => Reply::Refused(why.to_owned()),
        }
    }

    fn draw_tree(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let rows = &self.forest.rows;
        let branch = |index: usize| {
            let row = rows.get(index);
            Branch {
                depth: row.map_or(0, |row| row.depth),
                parent: row.is_some_and(|row| row.children),
                open: row.is_some_and(|row| row.open),
            }
        };
        let parent = |index: usize| rows.get(index).and_then(|row| row.parent);
        let glyphs = canvas.look.glyphs;
        let name = |index: usize| rows.get(index).map(|row| name(world, row, glyphs)).unwrap_or_default();
        let cell = |index: usize, column: usize| {
            rows.get(index).map(|row| cell(world, row, column)).unwrap_or_default()
        };
        Tree {
            columns: COLUMNS,
            order: self.order,
            list: &self.list,
            len: rows.len(),
            branch: &branch,
            parent: &parent,
            name: &name,
            cell: &cell,
        }
        .draw(canvas, area);
    }
}

/// The name of a row: parameters and methods have their own colours; drift stands behind it.
fn name(world: &World<'_>, row: &Row, glyphs: &Glyphs) -> Vec<Cell> {
    let mut name = bare_name(world, row);
    match endpoint(world, row) {
        Some(endpoint) => {
            name.extend(mark::of(endpoint, glyphs));
            if world.is_endpoint_blocked(endpoint) {
                name.push(Cell::new(" blocked", Role::ServerError));
            }
        }
        None if row.kind == Kind::Service || !row.open => name.extend(mark::sums(&row.sums, glyphs)),
        None => {}
    }
    name
}

fn bare_name(world: &World<'_>, row: &Row) -> Vec<Cell> {
    match &row.kind {
        Kind::Service => vec![Cell { role: Some(Role::Strong), ..workload(world, &row.service) }],
        Kind::Method(_) => leaf(&row.label),
        Kind::Path => pieces(&row.label),
    }
}

/// A method in its colour, and the operation below it.
fn leaf(label: &str) -> Vec<Cell> {
    let (method, operation) = label.split_once(' ').unwrap_or((label, ""));
    let method = Cell::new(escape(method), method_role(method));
    if operation.is_empty() {
        return vec![method];
    }
    vec![method, Cell::new(format!(" {}", escape(operation)), Role::Text)]
}

/// A path cut where parameters begin and end.
fn pieces(path: &str) -> Vec<Cell> {
    let piece = |(at, text): (usize, &str)| {
        if at == 0 {
            vec![Cell::new(escape(text), Role::Text)]
        } else if let Some((parameter, literal)) = text.split_once('}') {
            let parameter = Cell::new(format!("{{{}}}", escape(parameter)), Role::Parameter);
            vec![parameter, Cell::new(escape(literal), Role::Text)]
        } else {
            vec![Cell::new(format!("{{{}", escape(text)), Role::Text)]
        }
    };
    path.split('{').enumerate().flat_map(piece).filter(|cell| !cell.text.is_empty()).collect()
}

/// The endpoint behind a row that is one.
fn endpoint<'a>(world: &World<'a>, row: &Row) -> Option<&'a EndpointView> {
    match row.kind {
        Kind::Method(at) => world.snapshot.endpoints.get(at),
        _ => None,
    }
}

fn cell(world: &World<'_>, row: &Row, column: usize) -> Cell {
    let sums = &row.sums;
    match column {
        1 => count(sums.calls).into(),
        2 => rate(sums.rate).into(),
        3 => Cell::new(share(sums.errors, sums.calls), Role::ServerError),
        4 => endpoint(world, row).map_or_else(Cell::default, |endpoint| micros(endpoint.p50_us).into()),
        5 => Cell::new(
            micros(sums.p99_us),
            if endpoint(world, row).is_some() { Role::Text } else { Role::Dim },
        ),
        6 => endpoint(world, row).map_or_else(Cell::default, |endpoint| count(endpoint.caller_count).into()),
        _ => endpoint(world, row).map_or_else(Cell::default, |own| Cell::new(holds(own), Role::Masked)),
    }
}

/// The sensitive classes that it carries, in either direction.
fn holds(own: &EndpointView) -> String {
    let mut classes: Vec<String> = carried(own).map(|(_, class, _)| class).collect();
    classes.sort();
    classes.dedup();
    escape(&classes.join(" ")).into_owned()
}

#[cfg(test)]
mod tests;
