//! One thing in all its fields: names on the left, values on the right.

use super::{Layer, LayerReply};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::fit::Align;
use crate::widget::list::List;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 100;
/// Widest column of names; longer ones are cut.
const WIDEST_NAME: usize = 28;

/// A field to show. The text is escaped.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    name: String,
    value: String,
    role: Role,
}

impl Line {
    /// A field.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), value: value.into(), role }
    }

    /// A heading above further fields.
    #[must_use]
    pub fn heading(text: impl Into<String>) -> Self {
        Self { name: text.into(), value: String::new(), role: Role::Title }
    }

    fn is_heading(&self) -> bool {
        self.role == Role::Title
    }
}

/// The dialog.
pub struct Inspector {
    title: &'static str,
    lines: Vec<Line>,
    copy: String,
    list: List,
}

impl Inspector {
    /// Shows `lines`; `copy` is what the copy action offers.
    #[must_use]
    pub fn new(title: &'static str, lines: Vec<Line>, copy: String) -> Self {
        Self { title, lines, copy, list: List::default() }
    }
}

impl Layer for Inspector {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Close, Action::Copy, Action::Up, Action::Down, Action::PageUp, Action::PageDown]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close | Action::Open => LayerReply::Close(Vec::new()),
            Action::Copy => LayerReply::Effect(Effect::Copy(self.copy.clone())),
            _ => {
                self.list.motion(action, self.lines.len());
                LayerReply::Stay
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let height = self.lines.len() as u16 + 2;
        let inner = dialog(canvas, area, self.title, WIDTH, height.min(area.height.saturating_sub(2)));
        draw_lines(canvas, inner, &self.lines, &self.list, true);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

/// Draws the fields that are visible; `focused` when the keys go there.
pub fn draw_lines(canvas: &mut Canvas<'_>, area: Rect, lines: &[Line], list: &List, focused: bool) {
    let names = lines.iter().filter(|line| !line.is_heading()).map(|line| line.name.width());
    let width = names.max().unwrap_or(0).min(WIDEST_NAME) as u16;
    let visible = list.visible(lines.len(), usize::from(area.height));
    if focused {
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(area.height) });
    }
    for (y, index) in (0u16..).zip(visible) {
        let Some(line) = lines.get(index) else { continue };
        let here = row(area, y);
        if line.is_heading() {
            canvas.put(here, 0, 0, &line.name, Role::Title);
            continue;
        }
        let name = Rect { width: width.min(here.width), ..here };
        canvas.cell(name, &line.name, Align::Left, canvas.style(Role::Dim));
        canvas.put(here, width + 2, 0, &line.value, line.role);
        if focused && lines.len() > usize::from(area.height) && index == list.index {
            canvas.paint(here, Role::SelectedIdle);
        }
    }
}
