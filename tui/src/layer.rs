//! Dialogs over the view, as a stack: the topmost hears the keys.

pub mod bindings;
pub mod block;
pub mod choice;
pub mod confirm;
pub mod exports;
pub mod filter_input;
pub mod help;
pub mod inspector;
pub mod mute;
pub mod palette;
pub mod reveal;

use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::view::World;
use apisec_probe::pipeline::Sight;
use ratatui::layout::Rect;

/// What a dialog made of an action.
pub enum LayerReply {
    /// Stay open.
    Stay,
    /// Stay open, and this shall follow.
    Act(Action),
    /// Stay open, and the outside world shall do this.
    Effect(Effect),
    /// Close, and these shall follow.
    Close(Vec<Action>),
}

/// A dialog.
pub trait Layer {
    /// The context of its keys: `dialog` or `input`.
    fn context(&self) -> &'static str;

    /// What the operator can do here.
    fn can(&self) -> Vec<Action>;

    /// Does `action`.
    fn update(&mut self, action: &Action, world: &World<'_>) -> LayerReply;

    /// Draws itself over `area`, which is the whole screen.
    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect);

    /// Learns what of its list was visible.
    fn drawn(&mut self, viewport: Viewport);

    /// It waits for an identity, or shows one.
    fn looks(&self) -> bool {
        false
    }

    /// That is the identity.
    fn see(&mut self, _sight: Sight) {}

    /// A second has passed; whether it stays open.
    fn second(&mut self) -> bool {
        true
    }
}
