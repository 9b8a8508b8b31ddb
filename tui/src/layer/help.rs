//! What the keys do here, computed from what can be done now, and what a filter can say.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::fit::Align;
use crate::widget::list::List;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 72;
/// Width of the column of keys.
const KEYS: u16 = 18;

/// Filters that show all that a filter can say.
const FILTERS: [(&str, &str); 10] = [
    ("Filters:", ""),
    ("cart", "the text anywhere; \"in quotes\" with blanks"),
    ("src:web dst:cart", "caller and callee; terms side by side all hold"),
    ("path:/api/*", "the whole path has this form; path=/x is it exactly"),
    ("path~^/v[12]/", "a regular expression, in quotes with blanks"),
    ("status>=400", "also status:404 status:5xx status:none"),
    ("slow>50ms", "took longer; of endpoints and edges the p99"),
    ("drift:shadow", "also method: proto: auth: host: note: owner: id:"),
    ("!src:web", "not; ( ) groups"),
    ("src:a | src:b", "either"),
];

/// The dialog.
pub struct Help {
    title: String,
    /// Keys and what they do.
    entries: Vec<(String, String)>,
    list: List,
}

impl Help {
    /// Shows `entries`: keys, and what they do.
    #[must_use]
    pub fn new(view: &str, entries: Vec<(String, String)>) -> Self {
        let filters = FILTERS.map(|(filter, what)| (filter.to_owned(), what.to_owned()));
        let entries = entries.into_iter().chain([Default::default()]).chain(filters).collect();
        Self { title: format!("Keys in {view}"), entries, list: List::default() }
    }
}

impl Layer for Help {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Close, Action::Up, Action::Down, Action::PageUp, Action::PageDown]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        if matches!(action, Action::Close | Action::Open) {
            return LayerReply::Close(Vec::new());
        }
        self.list.motion(action, self.entries.len());
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let height = self.entries.len() as u16 + 2;
        let inner = dialog(canvas, area, &self.title, WIDTH, height.min(area.height.saturating_sub(2)));
        let visible = self.list.visible(self.entries.len(), usize::from(inner.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(inner.height) });
        for (y, index) in (0u16..).zip(visible) {
            let Some((keys, what)) = self.entries.get(index) else { continue };
            let here = row(inner, y);
            canvas.cell(
                Rect { width: KEYS.min(here.width), ..here },
                keys,
                Align::Left,
                canvas.style(Role::KeyCap),
            );
            canvas.put(here, KEYS + 1, 0, what, Role::Text);
            if self.entries.len() > usize::from(inner.height) && index == self.list.index {
                canvas.paint(here, Role::SelectedIdle);
            }
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}
