//! A question before something is changed, with what it will change.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 76;

/// The dialog.
pub struct Confirm {
    title: &'static str,
    lines: Vec<String>,
    action: Action,
}

impl Confirm {
    /// Asks whether `action` shall be done; `lines` say what it changes.
    #[must_use]
    pub fn new(title: &'static str, lines: Vec<String>, action: Action) -> Self {
        Self { title, lines, action }
    }
}

impl Layer for Confirm {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Open, Action::Close]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Open => LayerReply::Close(vec![self.action.clone()]),
            Action::Close => LayerReply::Close(Vec::new()),
            _ => LayerReply::Stay,
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let inner = dialog(canvas, area, self.title, WIDTH, self.lines.len() as u16 + 2);
        for (y, line) in (0u16..).zip(&self.lines) {
            canvas.put(row(inner, y), 0, 0, line, Role::Text);
        }
    }

    fn drawn(&mut self, _viewport: Viewport) {}
}
