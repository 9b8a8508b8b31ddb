//! Several policies that would stop what is selected, to choose from; the preview of the chosen one follows.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::escape::escape;
use crate::widget::fit::Align;
use crate::widget::list::List;
use apisec_engine::policy::Policy;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 100;
/// Width of the column of scopes.
const SCOPES: u16 = 10;

/// The dialog.
pub struct Choice {
    policies: Vec<Policy>,
    list: List,
}

impl Choice {
    /// Offers `policies`, the first one selected.
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        Self { policies, list: List::default() }
    }
}

impl Layer for Choice {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Open, Action::Close, Action::Up, Action::Down]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close => return LayerReply::Close(Vec::new()),
            Action::Open => {
                let chosen = self.policies.get(self.list.index).cloned().map(Box::new);
                return LayerReply::Close(
                    chosen.map(|policy| Action::Preview(policy, None)).into_iter().collect(),
                );
            }
            _ => drop(self.list.motion(action, self.policies.len())),
        }
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let height = (self.policies.len() as u16 + 2).min(area.height.saturating_sub(2));
        let inner = dialog(canvas, area, "What shall be stopped", WIDTH, height);
        let visible = self.list.visible(self.policies.len(), usize::from(inner.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(inner.height) });
        for (y, index) in (0u16..).zip(visible) {
            let Some(policy) = self.policies.get(index) else { continue };
            let here = row(inner, y);
            let scopes = Rect { width: SCOPES.min(here.width), ..here };
            canvas.cell(scopes, policy.spec.scope.word(), Align::Left, canvas.style(Role::Strong));
            canvas.put(here, SCOPES + 1, 0, &escape(&policy.describe()), Role::Text);
            if index == self.list.index {
                canvas.paint(here, Role::Selected);
            }
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}
