//! What a view draws on: cells, a theme and the glyphs of the terminal, and what the reducer must learn from it.
//!
//! Drawing changes nothing but the buffer and the report.

use crate::action::Action;
use crate::theme::{Role, Theme};
use crate::widget::fit::{Align, clip, fit};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

/// The shapes that a terminal can show.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// End of a text that was cut.
    pub cut: &'static str,
    /// Horizontal rule.
    pub rule: &'static str,
    /// Vertical rule.
    pub side: &'static str,
    /// Corners: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// Line pieces by the bits up 1, down 2, left 4, right 8.
    pub lines: [&'static str; 16],
    /// Line pieces of a dashed line, horizontal and vertical.
    pub dashes: [&'static str; 2],
    /// Arrow heads: right, left.
    pub heads: [&'static str; 2],
    /// Levels of a sparkline, lowest first.
    pub levels: [&'static str; 8],
    /// A full and an empty cell of a gauge.
    pub gauge: [&'static str; 2],
    /// Marks of a sorted column: descending, ascending.
    pub sort: [&'static str; 2],
    /// Marks of a tree node: closed, open, leaf.
    pub tree: [&'static str; 3],
    /// Between the members of a chain.
    pub arrow: &'static str,
    /// Between words of a line.
    pub dot: &'static str,
    /// Marks of drift: active, shadow, zombie, orphan, unconfirmed.
    pub drift: [&'static str; 5],
    /// Marks of flags: deprecated in use, schema drift.
    pub flags: [&'static str; 2],
    /// Mark of the selected row in plain mode.
    pub cursor: &'static str,
}

/// Unicode box drawing and blocks.
pub const UNICODE: Glyphs = Glyphs {
    cut: "…",
    rule: "─",
    side: "│",
    corners: ["╭", "╮", "╰", "╯"],
    lines: [" ", "╵", "╷", "│", "╴", "╯", "╮", "┤", "╶", "╰", "╭", "├", "─", "┴", "┬", "┼"],
    dashes: ["╌", "╎"],
    heads: ["▶", "◀"],
    levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    gauge: ["━", "╌"],
    sort: ["▾", "▴"],
    tree: ["▸ ", "▾ ", "  "],
    arrow: "→",
    dot: "·",
    drift: ["✓", "◆", "◐", "○", "?"],
    flags: ["†", "≠"],
    cursor: "",
};

/// ASCII only.
pub const ASCII: Glyphs = Glyphs {
    cut: "~",
    rule: "-",
    side: "|",
    corners: ["+", "+", "+", "+"],
    lines: [" ", "|", "|", "|", "-", "+", "+", "+", "-", "+", "+", "+", "-", "+", "+", "+"],
    dashes: [".", ":"],
    heads: [">", "<"],
    levels: ["_", ".", "-", "=", "+", "*", "%", "#"],
    gauge: ["=", "."],
    sort: ["v", "^"],
    tree: ["+ ", "- ", "  "],
    arrow: "->",
    dot: "-",
    drift: ["+", "!", "z", "o", "?"],
    flags: ["d", "#"],
    cursor: "> ",
};

/// How things look on this terminal.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Colours.
    pub theme: &'a Theme,
    /// Shapes.
    pub glyphs: &'static Glyphs,
    /// For screen readers: linear text, no decoration.
    pub plain: bool,
}

/// What of a list is visible; the reducer pages and scrolls by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewport {
    /// First visible row.
    pub offset: usize,
    /// Visible rows.
    pub page: usize,
}

/// What the reducer learns from a drawing: where the mouse hits what, and what was visible.
#[derive(Debug, Default)]
pub struct Report {
    hits: Vec<(Rect, Option<Action>)>,
    /// The list of the focused view or dialog.
    pub viewport: Option<Viewport>,
    /// Where the terminal's cursor stands.
    pub cursor: Option<Position>,
}

impl Report {
    /// What a click at this cell means: the topmost hit wins.
    #[must_use]
    pub fn at(&self, column: u16, row: u16) -> Option<&Action> {
        let here = Position::new(column, row);
        self.hits.iter().rev().find(|(area, _)| area.contains(here)).and_then(|(_, action)| action.as_ref())
    }

    /// Says that a click into `area` means `action`.
    pub fn hit(&mut self, area: Rect, action: Action) {
        self.hits.push((area, Some(action)));
    }

    /// Says that a click into `area` means nothing, whatever lies below.
    pub fn shield(&mut self, area: Rect) {
        self.hits.push((area, None));
    }
}

/// A buffer with a look.
pub struct Canvas<'a> {
    /// The cells.
    pub buffer: &'a mut Buffer,
    /// How things look.
    pub look: Look<'a>,
    /// What the reducer will learn.
    pub report: Report,
}

impl<'a> Canvas<'a> {
    /// A canvas over all of `buffer`.
    pub fn new(buffer: &'a mut Buffer, look: Look<'a>) -> Self {
        Self { buffer, look, report: Report::default() }
    }

    /// The style of `role`.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.look.theme.style(role)
    }

    /// Writes `text` at the start of the row `y` of `area`, from column `x` on, cut at its right edge. Returns the next column.
    pub fn put(&mut self, area: Rect, x: u16, y: u16, text: &str, role: Role) -> u16 {
        self.put_styled(area, x, y, text, self.style(role))
    }

    /// As [`put`](Self::put), in a style.
    pub fn put_styled(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
        let area = area.intersection(self.buffer.area);
        let Some(room) = area.width.checked_sub(x).filter(|room| *room > 0 && y < area.height) else {
            return x;
        };
        let shown = clip(text, usize::from(room), self.look.glyphs.cut);
        self.buffer.set_stringn(area.x + x, area.y + y, &shown, usize::from(room), style);
        x + (shown.width() as u16).min(room)
    }

    /// Writes `text` in a cell of exactly `width` columns.
    pub fn cell(&mut self, area: Rect, text: &str, align: Align, style: Style) {
        let area = area.intersection(self.buffer.area);
        if area.width > 0 && area.height > 0 {
            let shown = fit(text, usize::from(area.width), align, self.look.glyphs.cut);
            self.buffer.set_stringn(area.x, area.y, shown, usize::from(area.width), style);
        }
    }

    /// Repeats `glyph` along the row.
    pub fn fill(&mut self, area: Rect, glyph: &str, role: Role) {
        let style = self.style(role);
        for x in 0..area.width {
            self.put_styled(area, x, 0, glyph, style);
        }
    }

    /// Gives all cells of `area` this style, keeping their text.
    pub fn paint(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Empties `area` and paints it.
    pub fn clear(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        for position in area.intersection(self.buffer.area).positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }
}

/// The row `y` of `area`.
#[must_use]
pub fn row(area: Rect, y: u16) -> Rect {
    Rect { y: area.y.saturating_add(y), height: u16::from(y < area.height), ..area }
}

/// Splits `rows` rows off the top.
#[must_use]
pub fn split_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (Rect { height: rows, ..area }, Rect { y: area.y + rows, height: area.height - rows, ..area })
}

/// Splits `columns` columns off the left.
#[must_use]
pub fn split_left(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    (Rect { width: columns, ..area }, Rect { x: area.x + columns, width: area.width - columns, ..area })
}

/// `area` without `columns` columns on both sides.
#[must_use]
pub fn inset(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width / 2);
    Rect { x: area.x + columns, width: area.width - 2 * columns, ..area }
}
