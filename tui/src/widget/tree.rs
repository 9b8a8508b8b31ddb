//! A tree with columns: any number of rows, of which only the visible ones are built, drawn by `tui-tree-widget`.

use super::fit::{Align, fit};
use super::list::List;
use super::table::{Cell, Column, Order, cell_style, head, place};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row, split_top};
use crate::theme::Role;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::StatefulWidget as _;
use std::ops::Range;
use tui_tree_widget::{TreeItem, TreeState};
use unicode_width::UnicodeWidthStr as _;

/// Identifier of a child that only says that there are children.
const SOMETHING: usize = usize::MAX;

/// A row of the tree as it stands below its parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// How many parents it has.
    pub depth: usize,
    /// Whether it has children.
    pub parent: bool,
    /// Whether they are shown.
    pub open: bool,
}

/// A tree to draw. The first column holds the names.
pub struct Tree<'a> {
    /// Columns.
    pub columns: &'a [Column],
    /// How siblings are sorted.
    pub order: Order,
    /// The cursor.
    pub list: &'a List,
    /// Rows that are not hidden below a closed one.
    pub len: usize,
    /// The place of a row.
    pub branch: &'a dyn Fn(usize) -> Branch,
    /// The row above which it hangs.
    pub parent: &'a dyn Fn(usize) -> Option<usize>,
    /// The name of a row, in pieces.
    pub name: &'a dyn Fn(usize) -> Vec<Cell>,
    /// Row and column to cell, from the second column on.
    pub cell: &'a dyn Fn(usize, usize) -> Cell,
}

impl Tree<'_> {
    /// Draws header and visible rows.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let (top, body) = split_top(area, 1);
        let mark = canvas.look.glyphs.cursor.width() as u16;
        let slots = place(self.columns, area.width.saturating_sub(mark), mark, true);
        head(canvas, top, &slots, self.columns, Some(self.order), true);
        let rows = self.list.visible(self.len, usize::from(body.height));
        canvas.report.viewport = Some(Viewport { offset: rows.start, page: usize::from(body.height) });
        let shown: Vec<usize> = self.ancestors(rows.start).into_iter().chain(rows.clone()).collect();
        let widths: Vec<(usize, usize)> =
            slots.iter().map(|slot| (slot.column, usize::from(slot.width))).collect();
        self.marks(canvas, body, &rows);
        self.render(
            canvas,
            Rect { x: body.x + mark, width: body.width.saturating_sub(mark), ..body },
            &shown,
            &widths,
        );
    }

    /// The cursor and the places of the mouse.
    fn marks(&self, canvas: &mut Canvas<'_>, body: Rect, rows: &Range<usize>) {
        for (y, index) in (0u16..).zip(rows.clone()) {
            let here = row(body, y);
            canvas.report.hit(here, Action::Select(index));
            if index == self.list.index {
                canvas.paint(here, Role::Selected);
                canvas.put(here, 0, 0, canvas.look.glyphs.cursor, Role::Selected);
                canvas.report.cursor = Some(here.as_position()).filter(|_| canvas.look.plain);
            }
        }
    }

    /// The parents of the first visible row, outermost first. They are given to the widget and scrolled away.
    fn ancestors(&self, first: usize) -> Vec<usize> {
        let mut chain: Vec<usize> =
            std::iter::successors((self.parent)(first), |at| (self.parent)(*at)).collect();
        chain.reverse();
        chain
    }

    fn render(&self, canvas: &mut Canvas<'_>, area: Rect, shown: &[usize], widths: &[(usize, usize)]) {
        let mut state = TreeState::default();
        let mut path = Vec::new();
        let (items, _) = self.items(canvas, shown, 0, widths, &mut path, &mut state);
        let Ok(tree) = tui_tree_widget::Tree::new(&items) else { return };
        let [closed, open, leaf] = canvas.look.glyphs.tree;
        let tree = tree.node_closed_symbol(closed).node_open_symbol(open).node_no_children_symbol(leaf);
        // The last row in view means that the parents above the first one are out of view.
        tree.render(area, canvas.buffer, &mut state);
    }

    /// The items from `depth` on at the head of `shown`, and how many rows they took. Opens and selects as it goes.
    fn items(
        &self,
        canvas: &Canvas<'_>,
        shown: &[usize],
        depth: usize,
        widths: &[(usize, usize)],
        path: &mut Vec<usize>,
        state: &mut TreeState<usize>,
    ) -> (Vec<TreeItem<'static, usize>>, usize) {
        let mut items = Vec::new();
        let mut taken = 0;
        while let Some(index) = shown.get(taken).copied().filter(|at| (self.branch)(*at).depth >= depth) {
            let branch = (self.branch)(index);
            taken += 1;
            path.push(index);
            let rest = shown.get(taken..).unwrap_or_default();
            let (mut children, used) = self.items(canvas, rest, depth + 1, widths, path, state);
            taken += used;
            if children.is_empty() && branch.parent {
                children.push(TreeItem::new_leaf(SOMETHING, ""));
            }
            if branch.open || used > 0 {
                state.open(path.clone());
            }
            if taken == shown.len() && used == 0 {
                state.select(path.clone());
            }
            path.pop();
            let line = self.line(canvas, index, branch, widths);
            items.extend(TreeItem::new(index, line, children));
        }
        (items, taken)
    }

    /// A row: the name padded to its column whatever its depth, then the numbers.
    fn line(
        &self,
        canvas: &Canvas<'_>,
        index: usize,
        branch: Branch,
        widths: &[(usize, usize)],
    ) -> Line<'static> {
        let selected = index == self.list.index;
        let mark = canvas.look.glyphs.cut;
        let mut spans = Vec::new();
        for (column, width) in widths {
            if *column == 0 {
                let mut room = width.saturating_sub(2 * branch.depth + 2);
                for piece in (self.name)(index) {
                    let text = super::fit::clip(&piece.text, room, mark).into_owned();
                    room -= text.width().min(room);
                    spans.push(Span::styled(text, cell_style(canvas, piece.role, selected)));
                }
                spans.push(Span::raw(" ".repeat(room)));
                continue;
            }
            let cell = (self.cell)(index, *column);
            let align = self.columns.get(*column).map_or(Align::Left, |column| column.align);
            let text = format!("  {}", fit(&cell.text, *width, align, mark));
            spans.push(Span::styled(text, cell_style(canvas, cell.role, selected)));
        }
        Line::from(spans)
    }
}
