//! The filter being typed: applied while it is valid, its error shown where it stands.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport};
use crate::theme::Role;
use crate::view::World;
use crate::widget::escape::escape;
use crate::widget::input::Line;
use apisec_engine::filter::{Filter, FilterError};
use ratatui::layout::Rect;

/// The dialog, one line at the bottom of the screen.
pub struct FilterInput {
    line: Line,
    before: String,
    error: Option<FilterError>,
}

impl FilterInput {
    /// Edits `filter`.
    #[must_use]
    pub fn new(filter: &str) -> Self {
        Self { line: Line::new(filter), before: filter.to_owned(), error: None }
    }
}

impl Layer for FilterInput {
    fn context(&self) -> &'static str {
        "input"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Accept, Action::Close, Action::EraseLine]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Accept if self.error.is_none() => LayerReply::Close(Vec::new()),
            Action::Close => LayerReply::Close(vec![Action::SetFilter(self.before.clone())]),
            _ if self.line.edit(action) => {
                self.error = Filter::parse(self.line.text()).err();
                match self.error {
                    None => LayerReply::Act(Action::SetFilter(self.line.text().to_owned())),
                    Some(_) => LayerReply::Stay,
                }
            }
            _ => LayerReply::Stay,
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let line = Rect { y: area.y + area.height.saturating_sub(1), height: area.height.min(1), ..area };
        let end = self.line.draw(canvas, line, "/");
        if let Some(error) = &self.error {
            let column = self.line.text().get(..error.at).map_or(0, |before| before.chars().count()) + 1;
            canvas.put(
                line,
                end + 2,
                0,
                &format!("column {column}: {}", escape(&error.message)),
                Role::InputError,
            );
        }
    }

    fn drawn(&mut self, _viewport: Viewport) {}
}
