//! The line of keys at the bottom: what can be done now, as far as there is room.

use crate::action::Action;
use crate::canvas::Canvas;
use crate::event::Chord;
use crate::theme::Role;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

/// A key, what it does now in a word, and the action behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// The key.
    pub chord: Chord,
    /// The word.
    pub word: String,
    /// The action, for the mouse.
    pub action: Action,
}

/// Draws as many of `hints` as fit; `always` stand at the right end and take their room first.
pub fn footer(canvas: &mut Canvas<'_>, area: Rect, hints: &[Hint], always: &[Hint]) {
    let reserved: u16 = always.iter().map(width).sum();
    let mut x = 1;
    for hint in hints {
        if x + width(hint) + reserved > area.width {
            break;
        }
        x = draw(canvas, area, x, hint);
    }
    x = x.max(area.width.saturating_sub(reserved));
    for hint in always {
        x = draw(canvas, area, x, hint);
    }
}

fn width(hint: &Hint) -> u16 {
    (hint.chord.to_string().width() + 1 + hint.word.width() + 2) as u16
}

fn draw(canvas: &mut Canvas<'_>, area: Rect, x: u16, hint: &Hint) -> u16 {
    let end = canvas.put(area, x, 0, &hint.chord.to_string(), Role::KeyCap);
    let end = canvas.put(area, end + 1, 0, &hint.word, Role::KeyHint);
    canvas.report.hit(Rect { x: area.x + x, width: end.saturating_sub(x), ..area }, hint.action.clone());
    end + 2
}
