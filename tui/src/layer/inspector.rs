//! One thing in all its fields: names on the left, values on the right, on as many rows as they need.

use super::{Layer, LayerReply};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::{self, dialog};
use crate::widget::fit::{Align, wrap};
use crate::widget::list::List;
use apisec_engine::policy::Policy;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 100;
/// Widest column of names; longer ones are cut.
const WIDEST_NAME: usize = 28;

/// Columns between a name and its value.
const GAP: usize = 2;

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

    /// Rows that it needs where its value has so many columns.
    fn height(&self, columns: usize) -> usize {
        if self.is_heading() { 1 } else { wrap(&self.value, columns).len() }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, names: u16, values: usize) {
        if self.is_heading() {
            canvas.put(area, 0, 0, &self.name, Role::Title);
            return;
        }
        let name = Rect { width: names.min(area.width), height: 1, ..area };
        canvas.cell(name, &self.name, Align::Left, canvas.style(Role::Dim));
        for (y, part) in (0..area.height).zip(wrap(&self.value, values)) {
            canvas.put(area, names + GAP as u16, y, part, self.role);
        }
    }
}

/// The dialog.
pub struct Inspector {
    title: &'static str,
    lines: Vec<Line>,
    copy: String,
    list: List,
    /// Policies that stop what is shown.
    policies: Vec<Policy>,
}

impl Inspector {
    /// Shows `lines`; `copy` is what the copy action offers.
    #[must_use]
    pub fn new(title: &'static str, lines: Vec<Line>, copy: String) -> Self {
        Self { title, lines, copy, list: List::default(), policies: Vec::new() }
    }

    /// Offers these policies for what is shown.
    #[must_use]
    pub fn blocking(mut self, policies: Vec<Policy>) -> Self {
        self.policies = policies;
        self
    }
}

impl Layer for Inspector {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        let mut can = vec![Action::Close, Action::Copy];
        can.extend((!self.policies.is_empty()).then_some(Action::Block));
        can.extend([Action::Up, Action::Down, Action::PageUp, Action::PageDown]);
        can
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close | Action::Open => LayerReply::Close(Vec::new()),
            Action::Block if !self.policies.is_empty() => {
                LayerReply::Close(vec![Action::Choose(self.policies.clone())])
            }
            Action::Copy => LayerReply::Effect(Effect::Copy(self.copy.clone())),
            _ => {
                self.list.motion(action, self.lines.len());
                LayerReply::Stay
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let values = value_width(&self.lines, dialog::inside(area, WIDTH));
        let height = self.lines.iter().map(|line| line.height(values)).sum::<usize>() + 2;
        let height = (height as u16).min(area.height.saturating_sub(2));
        let inner = dialog(canvas, area, self.title, WIDTH, height);
        draw_lines(canvas, inner, &self.lines, &self.list, true);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

/// Columns for the names of `lines`.
fn name_width(lines: &[Line]) -> usize {
    let names = lines.iter().filter(|line| !line.is_heading()).map(|line| line.name.width());
    names.max().unwrap_or(0).min(WIDEST_NAME)
}

/// Columns that are left for values in `width`.
fn value_width(lines: &[Line], width: u16) -> usize {
    usize::from(width).saturating_sub(name_width(lines) + GAP)
}

/// Draws the fields that are visible; `focused` when the keys go there.
pub fn draw_lines(canvas: &mut Canvas<'_>, area: Rect, lines: &[Line], list: &List, focused: bool) {
    let (names, values) = (name_width(lines) as u16, value_width(lines, area.width));
    let heights: Vec<usize> = lines.iter().map(|line| line.height(values)).collect();
    let visible = list.visible_of(&heights, usize::from(area.height));
    if focused {
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: visible.len() });
    }
    let all = heights.iter().sum::<usize>() <= usize::from(area.height);
    let mut y = 0;
    for index in visible {
        let Some(line) = lines.get(index) else { continue };
        let here = Rect { y: area.y + y, height: (line.height(values) as u16).min(area.height - y), ..area };
        line.draw(canvas, here, names, values);
        if focused && !all && index == list.index {
            canvas.paint(here, Role::SelectedIdle);
        }
        y += here.height;
    }
}
