//! A line of text that is typed: an edit model fed by actions, and how it is drawn.

use super::escape::escape;
use crate::action::Action;
use crate::canvas::Canvas;
use crate::theme::Role;
use ratatui::layout::{Position, Rect};
use tui_input::{Input, InputRequest};
use unicode_width::UnicodeWidthStr as _;

/// Longest input, in characters: longer than any filter that a person types.
const LONGEST: usize = 512;

/// A line being typed.
#[derive(Clone, Debug, Default)]
pub struct Line {
    input: Input,
}

impl Line {
    /// A line that holds `text`, the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { input: Input::new(text.to_owned()) }
    }

    /// What has been typed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Edits by `action`. False when it is not an edit.
    pub fn edit(&mut self, action: &Action) -> bool {
        let request = match action {
            Action::Insert(c) if self.input.value().chars().count() < LONGEST && !c.is_control() => {
                InputRequest::InsertChar(*c)
            }
            Action::Erase => InputRequest::DeletePrevChar,
            Action::EraseNext => InputRequest::DeleteNextChar,
            Action::EraseWord => InputRequest::DeletePrevWord,
            Action::EraseLine => InputRequest::DeleteLine,
            Action::CursorLeft => InputRequest::GoToPrevChar,
            Action::CursorRight => InputRequest::GoToNextChar,
            Action::CursorStart => InputRequest::GoToStart,
            Action::CursorEnd => InputRequest::GoToEnd,
            _ => return false,
        };
        self.input.handle(request);
        true
    }

    /// Draws `prompt`, the text and the cursor into one row. Returns the column behind the text.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, prompt: &str) -> u16 {
        canvas.clear(area, Role::Input);
        let start = canvas.put(area, 0, 0, prompt, Role::KeyCap);
        let before: String = self.text().chars().take(self.input.cursor()).collect();
        let room = usize::from(area.width.saturating_sub(start + 1));
        let shown = escape(self.text());
        let column = escape(&before).width();
        let skip = column.saturating_sub(room);
        let visible = skip_columns(&shown, skip);
        let end = canvas.put(area, start, 0, visible, Role::Input);
        let x = area.x + start + (column - skip).min(room) as u16;
        canvas.report.cursor = Some(Position::new(x, area.y));
        end
    }
}

fn skip_columns(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        if used >= columns {
            return text.get(at..).unwrap_or_default();
        }
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
    }
    if columns == 0 { text } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits() {
        let mut line = Line::new("status");
        for action in [
            Action::Insert('>'),
            Action::Insert('4'),
            Action::Erase,
            Action::CursorStart,
            Action::Insert('!'),
        ] {
            assert!(line.edit(&action));
        }
        assert_eq!(line.text(), "!status>");
        assert!(line.edit(&Action::EraseLine));
        assert_eq!(line.text(), "");
        assert!(!line.edit(&Action::Up));
    }

    #[test]
    fn length_is_bounded_and_controls_are_refused() {
        let mut line = Line::default();
        for _ in 0..LONGEST + 50 {
            line.edit(&Action::Insert('x'));
        }
        assert_eq!(line.text().len(), LONGEST);
        let mut line = Line::default();
        line.edit(&Action::Insert('\u{1b}'));
        assert_eq!(line.text(), "");
    }
}
