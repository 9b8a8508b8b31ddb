//! A titled rule above a part of the screen. No box: a line less to look at, two columns more to use.

use crate::canvas::{Canvas, row, split_top};
use crate::theme::Role;
use ratatui::layout::Rect;

/// Draws the title over a rule in the first row of `area`, a note at its right end; returns what is below.
pub fn panel(canvas: &mut Canvas<'_>, area: Rect, title: &str, note: &str, focused: bool) -> Rect {
    let (head, body) = split_top(area, 1);
    let role = if focused { Role::TitleFocus } else { Role::Title };
    if canvas.look.plain {
        let text = if note.is_empty() { format!("{title}:") } else { format!("{title} ({note}):") };
        canvas.put(head, 0, 0, &text, role);
        return body;
    }
    canvas.fill(head, canvas.look.glyphs.rule, Role::Rule);
    let inner = Rect { width: head.width.saturating_sub(1), ..row(head, 0) };
    let end = canvas.put(inner, 1, 0, &format!(" {title} "), role);
    if !note.is_empty() {
        let text = format!(" {note} ");
        let width = unicode_width::UnicodeWidthStr::width(text.as_str()) as u16;
        if let Some(x) = inner.width.checked_sub(width).filter(|x| *x > end) {
            canvas.put(inner, x, 0, &text, Role::Dim);
        }
    }
    body
}
