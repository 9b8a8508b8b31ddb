//! A box over the picture, for help, palette, inspector and confirmation.

use crate::action::Action;
use crate::canvas::{Canvas, inset, split_top};
use crate::theme::Role;
use ratatui::layout::Rect;

/// Draws an empty box of at most `width` × `height` in the middle of `area`; returns its inside. A click beside it closes it.
pub fn dialog(canvas: &mut Canvas<'_>, area: Rect, title: &str, width: u16, height: u16) -> Rect {
    canvas.report.hit(area, Action::Close);
    if canvas.look.plain {
        canvas.clear(area, Role::Dialog);
        canvas.put(area, 0, 0, &format!("{title}:"), Role::DialogTitle);
        return split_top(area, 1).1;
    }
    let outer = centred(area, width, height);
    canvas.clear(outer, Role::Dialog);
    frame(canvas, outer);
    canvas.put(outer, 2, 0, &format!(" {title} "), Role::DialogTitle);
    let inner = inset(outer, 2);
    let inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(2), ..inner };
    canvas.report.shield(outer);
    inner
}

/// Columns inside a box of at most `width` in `area`.
#[must_use]
pub const fn inside(area: Rect, width: u16) -> u16 {
    let room = area.width.saturating_sub(2);
    (if room < width { room } else { width }).saturating_sub(4)
}

/// `width` × `height` in the middle of `area`, with a margin where there is room for one.
fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(area.width.saturating_sub(2));
    let height = height.min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn frame(canvas: &mut Canvas<'_>, area: Rect) {
    let glyphs = canvas.look.glyphs;
    let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
    let (right, bottom) = (area.width.saturating_sub(1), area.height.saturating_sub(1));
    for x in 1..right {
        canvas.put(area, x, 0, glyphs.rule, Role::DialogRule);
        canvas.put(area, x, bottom, glyphs.rule, Role::DialogRule);
    }
    for y in 1..bottom {
        canvas.put(area, 0, y, glyphs.side, Role::DialogRule);
        canvas.put(area, right, y, glyphs.side, Role::DialogRule);
    }
    for (x, y, glyph) in
        [(0, 0, top_left), (right, 0, top_right), (0, bottom, bottom_left), (right, bottom, bottom_right)]
    {
        canvas.put(area, x, y, glyph, Role::DialogRule);
    }
}
