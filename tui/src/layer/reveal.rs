//! One identity in plain words, once, for as long as this dialog is open.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::escape::escape;
use apisec_engine::command::Command;
use apisec_probe::pipeline::Sight;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 76;
/// Seconds that it is open at most: who walks away from the screen leaves nothing on it.
const SECONDS: u8 = 30;

/// The dialog.
pub struct Reveal {
    identity: u64,
    name: String,
    sight: Option<Sight>,
    asked: bool,
    left: u8,
}

impl Reveal {
    /// Asks whether the identity with this hash, shown as `name`, shall be revealed.
    #[must_use]
    pub const fn new(identity: u64, name: String) -> Self {
        Self { identity, name, sight: None, asked: false, left: SECONDS }
    }
}

impl Layer for Reveal {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Open, Action::Close]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Open if !self.asked => {
                self.asked = true;
                LayerReply::Act(Action::Send(Command::Reveal(self.identity)))
            }
            Action::Open | Action::Close => LayerReply::Close(Vec::new()),
            _ => LayerReply::Stay,
        }
    }

    fn looks(&self) -> bool {
        self.asked
    }

    fn see(&mut self, sight: Sight) {
        self.sight = Some(sight);
    }

    fn second(&mut self) -> bool {
        self.left = self.left.saturating_sub(u8::from(self.asked));
        self.left > 0
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let (said, role) = match &self.sight {
            _ if !self.asked => ("Enter shows it.".into(), Role::Text),
            None => ("Waiting for the next call under it.".into(), Role::Dim),
            Some(Sight::Seen(secret)) => (escape(secret.expose()), Role::Strong),
            Some(Sight::Refused(why)) => (escape(why), Role::Partial),
        };
        let lines = [
            (escape(&self.name), Role::Text),
            ("".into(), Role::Text),
            (said, role),
            ("".into(), Role::Text),
            ("It goes with this dialog, into no file, log or export.".into(), Role::Dim),
            ("That it was looked at is written down in the audit log.".into(), Role::Dim),
        ];
        let inner = dialog(canvas, area, "Who is this", WIDTH, lines.len() as u16 + 2);
        for (y, (line, role)) in (0u16..).zip(&lines) {
            canvas.put(row(inner, y), 0, 0, line, *role);
        }
    }

    fn drawn(&mut self, _viewport: Viewport) {}
}
