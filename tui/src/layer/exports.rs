//! What can be written into a file, to choose from.

use super::{Layer, LayerReply};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, row};
use crate::export::EXPORTS;
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::fit::Align;
use crate::widget::list::List;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 76;
/// Width of the column of names.
const NAMES: u16 = 20;

/// The dialog.
#[derive(Default)]
pub struct Exports {
    list: List,
}

/// Every export with every format, by their places.
fn entries() -> impl Iterator<Item = (usize, usize)> {
    EXPORTS
        .iter()
        .enumerate()
        .flat_map(|(at, export)| (0..export.formats.len()).map(move |format| (at, format)))
}

impl Layer for Exports {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Open, Action::Close, Action::Up, Action::Down, Action::PageUp, Action::PageDown]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close => return LayerReply::Close(Vec::new()),
            Action::Open => {
                if let Some((export, format)) = entries().nth(self.list.index) {
                    return LayerReply::Effect(Effect::Export(export, format));
                }
            }
            _ => drop(self.list.motion(action, entries().count())),
        }
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let count = entries().count();
        let height = (count as u16 + 2).min(area.height.saturating_sub(2));
        let inner = dialog(canvas, area, "Write what is shown into a file here", WIDTH, height);
        let visible = self.list.visible(count, usize::from(inner.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(inner.height) });
        for (y, index) in (0u16..).zip(visible) {
            let Some((export, format)) = entries().nth(index) else { continue };
            let Some(export) = EXPORTS.get(export) else { continue };
            let Some(format) = export.formats.get(format) else { continue };
            let here = row(inner, y);
            let name = format!("{} {}", export.name, format.report.name);
            let names = Rect { width: NAMES.min(here.width), ..here };
            canvas.cell(names, &name, Align::Left, canvas.style(Role::Strong));
            canvas.put(here, NAMES + 1, 0, format.report.about, Role::Dim);
            if index == self.list.index {
                canvas.paint(here, Role::Selected);
            }
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}
