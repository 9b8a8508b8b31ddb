//! Columns of text, aligned by what a terminal shows, cut to its width where it has one.

use crate::widget::escape::escape;
use crate::widget::fit::{Align, fit};
use std::io;
use unicode_width::UnicodeWidthStr;

/// Columns of a cell in a narrow terminal below which it is not cut further: `/a…` still says something.
const NARROWEST: usize = 8;

/// Space between two columns.
const GUTTER: usize = 2;

/// A table under construction.
pub(super) struct Columns {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A table with these columns: text on the left may be cut, numbers on the right never are.
    pub(super) fn new(heads: &[(&'static str, Align)]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells are made harmless here, so that no caller can forget it.
    pub(super) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        self.rows.push(cells.iter().map(|cell| escape(cell).into_owned()).collect());
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
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.heads) {
            line.push_str("  ");
            line.push_str(&fit(cell, *width, *align, "…"));
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
            let texts = widths.iter_mut().zip(&self.heads).filter(|(_, (_, align))| *align == Align::Left);
            let Some(widest) = texts.map(|(width, _)| width).max().filter(|width| **width > NARROWEST) else {
                return;
            };
            *widest = widest.saturating_sub(1);
            excess = excess.saturating_sub(1);
        }
    }
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
        let mut columns = Columns::new(&[("path", Align::Left), ("calls", Align::Right)]);
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
    fn what_a_terminal_would_obey_is_escaped() {
        let mut columns = Columns::new(&[("path", Align::Left)]);
        columns.row(&["a\u{1b}[31m\u{202e}b\n".into()]);
        assert!(printed(&columns, None).ends_with("  a\\x1b[31m\\u{202e}b\\x0a\n"));
    }
}
