//! What can be done now, and by which keys: the footer, the help and the palette are made of it.

use super::App;
use crate::action::Action;
use crate::layer::palette::Entry;
use crate::view::VIEWS;
use crate::widget::footer::Hint;

impl App {
    /// The contexts whose keys count now, nearest first.
    #[must_use]
    pub fn contexts(&self) -> Vec<&'static str> {
        match self.layers.last() {
            Some(layer) => vec![layer.context()],
            None => vec![VIEWS.get(self.focus).map_or("", |view| view.name), "list", "global"],
        }
    }

    /// What can be done now, most useful first.
    #[must_use]
    pub fn possible(&self) -> Vec<Action> {
        if let Some(layer) = self.layers.last() {
            return layer.can();
        }
        let mut can = self.views.get(self.focus).map(|view| view.can(&self.world())).unwrap_or_default();
        can.push(Action::Filter);
        if !self.filter.is_empty() {
            can.push(Action::ClearFilter);
        }
        can.extend(self.hold.can());
        if !self.setup.read_only && self.hold.shown().policies.iter().any(|policy| policy.state.is_open()) {
            can.retain(|action| *action != Action::UndoPolicy);
            can.push(Action::UndoPolicy);
        }
        can.extend([Action::Palette, Action::NextView, Action::PreviousView]);
        can.extend((0..VIEWS.len()).filter(|view| *view != self.focus).map(Action::Show));
        can.push(Action::Export);
        if !self.theme_fixed {
            can.push(Action::NextTheme);
        }
        can.extend([Action::Suspend, Action::Help, Action::Quit]);
        can
    }

    /// The keys of the footer.
    #[must_use]
    pub fn hints(&self, actions: &[Action]) -> Vec<Hint> {
        let contexts = self.contexts();
        let hint = |action: &Action| {
            let chord = self.setup.keymap.chord(&contexts, action)?;
            let word =
                if *action == Action::Freeze && self.hold.is_held() { "go on" } else { action.short() };
            Some(Hint { chord, word: word.to_owned(), action: action.clone() })
        };
        actions.iter().filter_map(hint).collect()
    }

    pub(super) fn help(&self) -> Vec<(String, String)> {
        let contexts = self.contexts();
        let keys = |action: &Action| {
            self.setup.keymap.chords(&contexts, action).map(|chord| chord.to_string()).collect::<Vec<_>>()
        };
        let lines = self.possible().into_iter().map(|action| (keys(&action).join(" "), action.title()));
        lines.filter(|(keys, _)| !keys.is_empty()).collect()
    }

    pub(super) fn commands(&self) -> Vec<Entry> {
        let hints = self.hints(&self.possible());
        let keys = |action: &Action| {
            hints.iter().find(|hint| hint.action == *action).map(|hint| hint.chord.to_string())
        };
        let entry = |action: Action| {
            Some(Entry {
                name: action.name()?,
                title: action.title(),
                keys: keys(&action).unwrap_or_default(),
                action,
            })
        };
        self.possible().into_iter().filter_map(entry).collect()
    }
}
