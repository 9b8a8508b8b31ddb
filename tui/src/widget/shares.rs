//! The parts of a whole as one bar in their colours, and in words beside it.

use crate::canvas::Canvas;
use crate::format::share;
use crate::theme::Role;
use ratatui::layout::Rect;

/// Widest bar: beyond it a bar says no more.
const WIDEST: u16 = 60;
/// Columns of the words of one part: `100% not read`.
const WORDS: u16 = 15;

/// One part.
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// How much of the whole.
    pub size: u64,
    /// Its colour.
    pub role: Role,
}

/// Draws the bar and the words in the row `area`; no bar in plain mode or where there is no room for it.
pub fn shares(canvas: &mut Canvas<'_>, area: Rect, parts: &[Part]) {
    let words = WORDS.saturating_mul(parts.len() as u16);
    let width = area.width.saturating_sub(words).min(WIDEST);
    let whole = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.size));
    let mut x = 0;
    if width > 1 && !canvas.look.plain {
        let [full, empty] = canvas.look.glyphs.gauge;
        for (part, cells) in parts.iter().zip(cells(parts, whole, width)) {
            for _ in 0..cells {
                x = canvas.put(area, x, 0, full, part.role);
            }
        }
        while x < width {
            x = canvas.put(area, x, 0, empty, Role::Rule);
        }
        x += 2;
    }
    for part in parts {
        let text = share(part.size, whole);
        let text = if text.is_empty() { "0%" } else { &text };
        let role = if part.size > 0 { part.role } else { Role::Dim };
        canvas.put(area, x, 0, &format!("{text} {}", part.name), role);
        x += WORDS;
    }
}

/// Cells of each part: they fill the width exactly, and nothing but 0 has none while there is room.
fn cells(parts: &[Part], whole: u64, width: u16) -> Vec<u16> {
    if whole == 0 {
        return vec![0; parts.len()];
    }
    let mut cells: Vec<u16> = parts
        .iter()
        .map(|part| {
            let scaled = (u128::from(part.size) * u128::from(width) / u128::from(whole)) as u16;
            scaled.max(u16::from(part.size > 0)).min(width)
        })
        .collect();
    let sum = |cells: &[u16]| cells.iter().sum::<u16>();
    while sum(&cells) != width {
        let grow = sum(&cells) < width;
        let Some(largest) = cells.iter_mut().max() else { break };
        *largest = if grow { *largest + 1 } else { largest.saturating_sub(1) };
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(sizes: &[u64]) -> Vec<Part> {
        sizes.iter().map(|size| Part { name: "", size: *size, role: Role::Text }).collect()
    }

    #[test]
    fn parts_become_cells() {
        assert_eq!(cells(&of(&[1, 1, 2]), 4, 8), [2, 2, 4]);
        assert_eq!(cells(&of(&[0, 0, 5]), 5, 8), [0, 0, 8]);
        assert_eq!(cells(&of(&[1, 999_999, 1]), 1_000_001, 10), [1, 8, 1]);
        assert_eq!(cells(&of(&[0, 0]), 0, 8), [0, 0]);
    }

    proptest! {
        #[test]
        fn the_bar_is_always_full(a in 0u64..=u64::MAX / 3, b in 0u64..=u64::MAX / 3, c in 0u64..=u64::MAX / 3, width in 3u16..200) {
            let parts = of(&[a, b, c]);
            let whole = a + b + c;
            prop_assume!(whole > 0);
            let cells = cells(&parts, whole, width);
            prop_assert_eq!(cells.iter().sum::<u16>(), width);
            for (part, cells) in parts.iter().zip(cells) {
                prop_assert_eq!(part.size > 0, cells > 0);
            }
        }
    }
}
