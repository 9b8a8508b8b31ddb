//! Columns of text, aligned by what a terminal shows, cut to its width where it has one.

use std::io;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a cell in a narrow terminal below which it is not cut further: `/a…` still says something.
const NARROWEST: usize = 8;

/// Space between two columns.
const GUTTER: usize = 2;

/// How a column behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Text: aligned left, cut when there is no room.
    Text,
    /// Number: aligned right, never cut.
    Number,
}

/// A table under construction.
pub(super) struct Columns {
    heads: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A table with these columns.
    pub(super) fn new(heads: &[(&'static str, Fit)]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells are made harmless here, so that no caller can forget it.
    pub(super) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        self.rows.push(cells.iter().map(|cell| harmless(cell)).collect());
    }

    /// Prints head and rows, indented by two, within `width` columns if given.
    pub(super) fn write(&self, width: Option<usize>, out: &mut dyn io::Write) -> io::Result<()> {
        let widths = self.widths(width);
        let heads = self.heads.iter().map(|(title, _)| *title);
        self.line(heads, &widths, out)?;
        self.rows.iter().try_for_each(|row| self.line(row.iter().map(String::as_str), &widths, out))
    }

    fn line<'a>(
        &self,
        cells: impl Iterator<Item = &'a str>,
        widths: &[usize],
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), (_, fit)) in cells.zip(widths).zip(&self.heads) {
            line.push_str("  ");
            let cell = cut(cell, *width);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            match fit {
                Fit::Text => line.extend([cell.as_str(), &space]),
                Fit::Number => line.extend([space.as_str(), &cell]),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }

    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(title, _)| title.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(available) = available {
            self.shrink(&mut widths, available);
        }
        widths
    }

    /// Takes from the widest text column, again and again, until the row fits or nothing can give.
    fn shrink(&self, widths: &mut [usize], available: usize) {
        let gutters = widths.len().saturating_mul(GUTTER);
        let mut excess = widths.iter().sum::<usize>().saturating_add(gutters).saturating_sub(available);
        while excess > 0 {
            let texts = widths.iter_mut().zip(&self.heads).filter(|(_, (_, fit))| *fit == Fit::Text);
            let Some(widest) = texts.map(|(width, _)| width).max().filter(|width| **width > NARROWEST) else {
                return;
            };
            *widest = widest.saturating_sub(1);
            excess = excess.saturating_sub(1);
        }
    }
}

/// `text` in at most `width` columns, with an ellipsis where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |character: &char| {
        let needed = character.width().unwrap_or(0);
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}

/// Text from the wire without anything that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    let visible = |character: &char| character.width().is_some_and(|width| width > 0);
    text.chars().map(|character| if visible(&character) { character } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(columns: &Columns, width: Option<usize>) -> String {
        let mut out = Vec::new();
        columns.write(width, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn table() -> Columns {
        let mut columns = Columns::new(&[("path", Fit::Text), ("calls", Fit::Number)]);
        columns.row(&["/a-rather-long-path/with/segments".into(), "12".into()]);
        columns.row(&["/b".into(), "1234567".into()]);
        columns
    }

    #[test]
    fn numbers_stand_right_and_are_never_cut() {
        insta::assert_snapshot!(printed(&table(), Some(30)), @r"
        path                   calls
        /a-rather-long-pat…       12
        /b                   1234567
        ");
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert!(printed(&table(), None).contains("/a-rather-long-path/with/segments"));
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本", 4), "日本");
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(harmless("a\u{1b}[31m\u{202e}b\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
    }
}
