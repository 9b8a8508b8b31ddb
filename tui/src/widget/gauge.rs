//! A share as a short bar, so that a column of numbers can be compared at a glance.

use crate::canvas::Canvas;
use crate::theme::Role;
use ratatui::layout::Rect;

/// Draws `part` of `whole` over the width of `area`; nothing in plain mode, where the number stands beside it.
pub fn gauge(canvas: &mut Canvas<'_>, area: Rect, part: u64, whole: u64, role: Role) {
    if canvas.look.plain {
        return;
    }
    let filled = cells(part, whole, area.width);
    let [full, empty] = canvas.look.glyphs.gauge;
    for x in 0..area.width {
        let (glyph, role) = if x < filled { (full, role) } else { (empty, Role::Rule) };
        canvas.put(area, x, 0, glyph, role);
    }
}

/// Filled cells: at least one for anything but 0, all only for all.
fn cells(part: u64, whole: u64, width: u16) -> u16 {
    if part == 0 || whole == 0 {
        return 0;
    }
    let scaled = u128::from(part.min(whole)) * u128::from(width) / u128::from(whole);
    (scaled as u16).max(1).min(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_cells() {
        assert_eq!(cells(0, 10, 8), 0);
        assert_eq!(cells(1, 1_000, 8), 1);
        assert_eq!(cells(5, 10, 8), 4);
        assert_eq!(cells(99, 100, 8), 7);
        assert_eq!(cells(u64::MAX, u64::MAX, 8), 8);
        assert_eq!(cells(20, 10, 8), 8);
    }
}
