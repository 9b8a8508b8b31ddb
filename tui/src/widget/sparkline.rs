//! One line of history with its newest and highest value. In plain mode: words instead of bars.

use super::fit::Align;
use crate::canvas::{Canvas, split_left};
use crate::theme::Role;
use ratatui::layout::Rect;

/// Width of the label.
const LABEL: u16 = 9;
/// Width of the figures on the right.
const FIGURES: u16 = 22;

/// A series to draw.
pub struct Sparkline<'a> {
    /// What it shows.
    pub label: &'a str,
    /// Values, oldest first, one a second.
    pub values: &'a [u64],
    /// How a value is written.
    pub format: fn(u64) -> String,
    /// Its colour.
    pub role: Role,
}

impl Sparkline<'_> {
    /// Draws it into `area`; more than one row makes the bars higher.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let now = (self.format)(self.values.last().copied().unwrap_or(0));
        if canvas.look.plain {
            let peak = (self.format)(self.values.iter().copied().max().unwrap_or(0));
            canvas.put(
                area,
                0,
                0,
                &format!("{}: now {now}, peak {peak}, {} seconds", self.label, self.values.len()),
                Role::Text,
            );
            return;
        }
        let (label, rest) = split_left(area, LABEL);
        let (bars, figures) = split_left(rest, rest.width.saturating_sub(FIGURES));
        let shown = newest(self.values, usize::from(bars.width));
        let top = shown.iter().copied().max().unwrap_or(0);
        let last = Rect { y: area.y + area.height.saturating_sub(1), height: area.height.min(1), ..label };
        canvas.cell(last, self.label, Align::Left, canvas.style(Role::Dim));
        self.bars(canvas, bars, shown, top);
        let y = area.height.saturating_sub(1);
        let now_cell = Rect { x: figures.x + 1, y: figures.y + y, width: 7.min(figures.width), height: 1 };
        canvas.cell(now_cell, &now, Align::Right, canvas.style(Role::Strong));
        canvas.put(figures, 9, y, &format!("peak {}", (self.format)(top)), Role::Dim);
    }

    fn bars(&self, canvas: &mut Canvas<'_>, area: Rect, shown: &[u64], top: u64) {
        let start = area.x + area.width.saturating_sub(shown.len() as u16);
        let steps = u64::from(area.height) * 8;
        for (x, value) in (start..).zip(shown) {
            let filled = height(*value, top, steps);
            for line in 0..area.height {
                let above = u64::from(area.height - 1 - line) * 8;
                let level = filled.saturating_sub(above).min(8);
                let Some(glyph) =
                    level.checked_sub(1).and_then(|l| canvas.look.glyphs.levels.get(l as usize))
                else {
                    continue;
                };
                canvas.put(Rect { x, y: area.y + line, width: 1, height: 1 }, 0, 0, glyph, self.role);
            }
        }
    }
}

fn newest(values: &[u64], room: usize) -> &[u64] {
    values.get(values.len().saturating_sub(room)..).unwrap_or_default()
}

/// Eighths of `value` when `top` fills `steps`: nothing only for 0, at least one for anything else.
fn height(value: u64, top: u64, steps: u64) -> u64 {
    if value == 0 || top == 0 {
        return 0;
    }
    let scaled = u128::from(value) * u128::from(steps) / u128::from(top);
    (scaled as u64).clamp(1, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_zero_is_seen() {
        assert_eq!(height(0, 100, 8), 0);
        assert_eq!(height(1, 1_000_000, 8), 1);
        assert_eq!(height(100, 100, 8), 8);
        assert_eq!(height(u64::MAX, u64::MAX, 16), 16);
        assert_eq!(height(5, 0, 8), 0);
    }

    #[test]
    fn the_newest_values_are_kept() {
        assert_eq!(newest(&[1, 2, 3], 2), [2, 3]);
        assert_eq!(newest(&[1, 2, 3], 0), [0u64; 0]);
        assert_eq!(newest(&[1], 5), [1]);
    }
}
