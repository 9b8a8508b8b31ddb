//! Rows under a header: columns that leave when there is no room, a sort mark, a cursor, hits for the mouse.

use super::fit::Align;
use super::list::List;
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row, split_top};
use crate::theme::Role;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns between two columns.
const GAP: u16 = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Header.
    pub title: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// Least width.
    pub width: u16,
    /// Share of the spare width.
    pub grow: u16,
    /// The highest rank leaves first when there is no room; rank 0 stays.
    pub rank: u8,
}

impl Column {
    /// A column of numbers.
    #[must_use]
    pub const fn number(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, align: Align::Right, width, grow: 0, rank }
    }

    /// A column of text that does not grow.
    #[must_use]
    pub const fn word(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, align: Align::Left, width, grow: 0, rank }
    }

    /// A column of text that takes a share of the spare width.
    #[must_use]
    pub const fn text(title: &'static str, width: u16, grow: u16, rank: u8) -> Self {
        Self { title, align: Align::Left, width, grow, rank }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Escaped text.
    pub text: String,
    /// Its colour.
    pub role: Option<Role>,
}

impl Cell {
    /// Text in a role.
    #[must_use]
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role: Some(role) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, role: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), role: None }
    }
}

/// How a table is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which column.
    pub column: usize,
    /// Smallest first.
    pub ascending: bool,
}

impl Order {
    /// Follows `sort`, `sort-reverse` or a click on a header of a table of `columns` columns.
    pub fn change(&mut self, action: &Action, columns: usize) {
        match action {
            Action::Sort => *self = Self { column: (self.column + 1) % columns.max(1), ascending: false },
            Action::SortReverse => self.ascending = !self.ascending,
            Action::SortBy(column) if *column == self.column => self.ascending = !self.ascending,
            Action::SortBy(column) if *column < columns => *self = Self { column: *column, ascending: false },
            _ => {}
        }
    }
}

/// A table to draw.
pub struct Table<'a> {
    /// Columns.
    pub columns: &'a [Column],
    /// How it is sorted; `None` when it cannot be.
    pub order: Option<Order>,
    /// The cursor.
    pub list: &'a List,
    /// All rows.
    pub len: usize,
    /// Whether the keys go here.
    pub focused: bool,
    /// Row and column to cell; asked for visible rows only.
    pub cell: &'a dyn Fn(usize, usize) -> Cell,
}

impl Table<'_> {
    /// Draws header and visible rows.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let (top, body) = split_top(area, 1);
        let mark = if canvas.look.plain { 2 } else { 0 };
        let slots = place(self.columns, area.width.saturating_sub(mark), mark, self.order.is_some());
        head(canvas, top, &slots, self.columns, self.order, self.focused);
        let rows = self.list.visible(self.len, usize::from(body.height));
        if self.focused {
            canvas.report.viewport = Some(Viewport { offset: rows.start, page: usize::from(body.height) });
        }
        for (y, index) in (0u16..).zip(rows) {
            self.row(canvas, row(body, y), index, &slots);
        }
    }

    fn row(&self, canvas: &mut Canvas<'_>, area: Rect, index: usize, slots: &[Slot]) {
        let selected = self.focused && index == self.list.index.min(self.len.saturating_sub(1));
        if selected {
            canvas.paint(area, Role::Selected);
            canvas.put(area, 0, 0, canvas.look.glyphs.cursor, Role::Selected);
            canvas.report.cursor = Some(area.as_position()).filter(|_| canvas.look.plain);
        }
        for slot in slots {
            let Some(column) = self.columns.get(slot.column) else { continue };
            let cell = (self.cell)(index, slot.column);
            let style = cell_style(canvas, cell.role, selected);
            canvas.cell(
                Rect { x: area.x + slot.x, width: slot.width, ..area },
                &cell.text,
                column.align,
                style,
            );
        }
        if self.focused {
            canvas.report.hit(area, Action::Select(index));
        }
    }
}

/// Draws the titles of the columns, the sorted one marked.
pub(crate) fn head(
    canvas: &mut Canvas<'_>,
    area: Rect,
    slots: &[Slot],
    columns: &[Column],
    order: Option<Order>,
    focused: bool,
) {
    for slot in slots {
        let Some(column) = columns.get(slot.column) else { continue };
        let sorted = order.filter(|order| order.column == slot.column);
        let cell = Rect { x: area.x + slot.x, width: slot.width, ..area };
        let mark =
            sorted.and_then(|order| canvas.look.glyphs.sort.get(usize::from(order.ascending)).copied());
        let text = match (mark, column.align) {
            (None, _) => column.title.to_owned(),
            (Some(mark), Align::Right) => format!("{mark}{}", column.title),
            (Some(mark), Align::Left) => format!("{}{mark}", column.title),
        };
        let role = if sorted.is_some() { Role::HeadSorted } else { Role::Head };
        canvas.cell(cell, &text, column.align, canvas.style(role));
        if order.is_some() && focused {
            canvas.report.hit(cell, Action::SortBy(slot.column));
        }
    }
}

/// The colour of the text, on the ground of the cursor where it stands; a cursor that reverses keeps its own colours.
pub(crate) fn cell_style(canvas: &Canvas<'_>, role: Option<Role>, selected: bool) -> Style {
    let own = canvas.style(role.unwrap_or(Role::Text));
    if !selected {
        return own;
    }
    let ground = canvas.style(Role::Selected);
    // What is dim elsewhere could not be read on this ground.
    let fg = if matches!(role, None | Some(Role::Dim)) || own.bg.is_some() {
        ground.fg
    } else {
        own.fg.or(ground.fg)
    };
    let loud = ground.fg.is_some() && ground.add_modifier.contains(ratatui::style::Modifier::BOLD);
    Style { fg: if loud { ground.fg } else { fg }, bg: ground.bg, ..own.patch(ground) }
}

/// Where a column stands.
pub(crate) struct Slot {
    pub(crate) column: usize,
    pub(crate) x: u16,
    pub(crate) width: u16,
}

/// Chooses the columns that fit into `width` and shares out what is left; `sortable` ones have room for their mark.
pub(crate) fn place(columns: &[Column], width: u16, start: u16, sortable: bool) -> Vec<Slot> {
    let least = |column: &Column| column.width.max((column.title.len() + usize::from(sortable)) as u16);
    let mut chosen: Vec<(usize, Column)> =
        columns.iter().map(|column| Column { width: least(column), ..*column }).enumerate().collect();
    while need(&chosen) > width {
        let Some(worst) = chosen.iter().map(|(_, c)| c.rank).max().filter(|rank| *rank > 0) else { break };
        let Some(at) = chosen.iter().rposition(|(_, c)| c.rank == worst) else { break };
        chosen.remove(at);
    }
    let grow: u16 = chosen.iter().map(|(_, c)| c.grow).sum();
    let mut spare = width.saturating_sub(need(&chosen));
    let mut shares = grow;
    let mut x = start;
    let mut slots = Vec::with_capacity(chosen.len());
    for (column, c) in chosen {
        let extra = (u32::from(spare) * u32::from(c.grow)).checked_div(u32::from(shares)).unwrap_or(0) as u16;
        spare -= extra;
        shares -= c.grow;
        let fits = (c.width + extra).min((start + width).saturating_sub(x));
        slots.push(Slot { column, x, width: fits });
        x += fits + GAP;
    }
    slots
}

fn need(columns: &[(usize, Column)]) -> u16 {
    let gaps = GAP * (columns.len().saturating_sub(1)) as u16;
    columns.iter().map(|(_, c)| c.width).sum::<u16>() + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", 10, 1, 0),
        Column::number("CALLS", 7, 0),
        Column::number("P99", 6, 2),
        Column::number("BYTES", 6, 1),
    ];

    fn shown(width: u16) -> Vec<(usize, u16)> {
        place(COLUMNS, width, 0, false).iter().map(|slot| (slot.column, slot.width)).collect()
    }

    #[test]
    fn the_least_wanted_columns_leave_first() {
        assert_eq!(shown(35), [(0, 10), (1, 7), (2, 6), (3, 6)]);
        assert_eq!(shown(34), [(0, 17), (1, 7), (3, 6)]);
        assert_eq!(shown(20), [(0, 11), (1, 7)]);
        assert_eq!(shown(5), [(0, 5), (1, 0)]);
    }

    #[test]
    fn slots_never_leave_the_area() {
        for width in 0..120 {
            assert!(
                place(COLUMNS, width, 0, false)
                    .iter()
                    .all(|slot| slot.width == 0 || slot.x + slot.width <= width)
            );
        }
    }
}
