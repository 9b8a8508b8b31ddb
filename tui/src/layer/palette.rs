//! Commands by name: type some of the letters, run the best match.

mod fuzzy;

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row, split_top};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::input::Line;
use crate::widget::list::List;
use apisec_engine::nearest::nearest;
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 76;
/// Height of the box where the terminal has room for it.
const HEIGHT: u16 = 18;

/// A command that can be run now.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it does to the program.
    pub action: Action,
    /// Its name.
    pub name: String,
    /// What it does, in words.
    pub title: String,
    /// Its key, as shown.
    pub keys: String,
}

/// The dialog.
pub struct Palette {
    entries: Vec<Entry>,
    /// Places of the matching entries, best first, with the letters that matched.
    matches: Vec<(usize, Vec<usize>)>,
    line: Line,
    list: List,
}

impl Palette {
    /// Offers `entries`.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut palette = Self { entries, matches: Vec::new(), line: Line::default(), list: List::default() };
        palette.search();
        palette
    }

    fn search(&mut self) {
        let query = self.line.text();
        let mut scored: Vec<_> = (0..)
            .zip(&self.entries)
            .filter_map(|(place, entry)| {
                let by_name = fuzzy::score(query, &entry.name);
                // A word of the description counts too, but less than the name.
                let by_title = fuzzy::score(query, &entry.title).map(|found| (found.score / 2, Vec::new()));
                let best = by_name.map(|found| (found.score, found.letters)).max(by_title)?;
                Some((best.0, place, best.1))
            })
            .collect();
        scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.matches = scored.into_iter().map(|(_, place, letters)| (place, letters)).collect();
        self.list.index = 0;
    }

    fn draw_entry(&self, canvas: &mut Canvas<'_>, here: Rect, index: usize) {
        let Some((entry, letters)) =
            self.matches.get(index).and_then(|(place, letters)| Some((self.entries.get(*place)?, letters)))
        else {
            return;
        };
        if index == self.list.index {
            canvas.paint(here, Role::Selected);
            canvas.put(here, 0, 0, canvas.look.glyphs.cursor, Role::Selected);
        }
        let start = if canvas.look.plain { 2 } else { 1 };
        let ground = canvas.style(if index == self.list.index { Role::Selected } else { Role::Dialog });
        let letter = ground
            .patch(canvas.style(Role::Match))
            .patch(ratatui::style::Style { bg: ground.bg, ..Default::default() });
        let mut x = start;
        for (at, c) in entry.name.chars().enumerate() {
            let style = if letters.contains(&at) { letter } else { ground };
            x = canvas.put_styled(here, x, 0, &c.to_string(), style);
        }
        canvas.put_styled(here, 21, 0, &entry.title, ground);
        let x = here.width.saturating_sub(entry.keys.chars().count() as u16 + 1);
        canvas.put_styled(here, x, 0, &entry.keys, ground);
        canvas.report.hit(here, Action::Select(index));
    }
}

impl Layer for Palette {
    fn context(&self) -> &'static str {
        "input"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Accept, Action::Close, Action::Up, Action::Down]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close => return LayerReply::Close(Vec::new()),
            Action::Accept | Action::Select(_) => {
                self.list.motion(action, self.matches.len());
                let chosen =
                    self.matches.get(self.list.index).and_then(|(place, _)| self.entries.get(*place));
                return LayerReply::Close(chosen.map(|entry| entry.action.clone()).into_iter().collect());
            }
            _ if self.list.motion(action, self.matches.len()) => {}
            _ if self.line.edit(action) => self.search(),
            _ => {}
        }
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let inner = dialog(canvas, area, "Commands", WIDTH, HEIGHT);
        let (input, rest) = split_top(inner, 1);
        self.line.draw(canvas, input, ":");
        let visible = self.list.visible(self.matches.len(), usize::from(rest.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(rest.height) });
        if self.matches.is_empty() {
            let near = nearest(self.line.text(), self.entries.iter().map(|entry| entry.name.as_str()));
            let hint = near.map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
            canvas.put(rest, 1, 0, &format!("No command matches.{hint}"), Role::Dim);
        }
        for (y, index) in (0u16..).zip(visible) {
            self.draw_entry(canvas, row(rest, y), index);
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palette() -> Palette {
        let entry = |action: Action| Entry {
            name: action.name().expect("named"),
            title: action.title(),
            keys: String::new(),
            action,
        };
        Palette::new(Action::all().map(entry).collect())
    }

    fn best(query: &str) -> Option<String> {
        let mut palette = palette();
        for c in query.chars() {
            palette.line.edit(&Action::Insert(c));
        }
        palette.search();
        palette
            .matches
            .first()
            .and_then(|(place, _)| palette.entries.get(*place))
            .map(|entry| entry.name.clone())
    }

    #[test]
    fn letters_find_the_command_a_person_means() {
        for (query, name) in [
            ("qu", "quit"),
            ("fr", "freeze"),
            ("srev", "sort-reverse"),
            ("calls", "show-calls"),
            ("sg", "show-graph"),
        ] {
            assert_eq!(best(query).as_deref(), Some(name), "{query}");
        }
        assert_eq!(best("zzzz"), None);
    }
}
