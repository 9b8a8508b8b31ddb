//! The state of the terminal and its reducer: events and actions in, effects out. No IO, no clock, no drawing.

mod hold;
mod offer;
mod shown;
#[cfg(test)]
mod tests;

use crate::action::{Action, Effect};
use crate::canvas::Report;
use crate::event::{Chord, Event, Gesture};
use crate::keymap::Keymap;
use crate::label::Labels;
use crate::layer::block::Block;
use crate::layer::exports::Exports;
use crate::layer::filter_input::FilterInput;
use crate::layer::help::Help;
use crate::layer::palette::Palette;
use crate::layer::{Layer, LayerReply};
use crate::theme::{THEMES, Theme};
use crate::view::policies::undo;
use crate::view::{Reply, VIEWS, View};
use apisec_engine::filter::Filter;
use apisec_engine::policy::Policy;
use apisec_engine::policy::guard::Ward;
use apisec_engine::snapshot::Snapshot;
use apisec_probe::pipeline::Sight;
pub use hold::Hold;
use std::sync::Arc;

/// Rows that one turn of the wheel moves.
const WHEEL: usize = 3;
/// Seconds that a message stays.
const MESSAGE_SECONDS: u8 = 5;
/// Actions that one action may cause in turn: ours cause three at most, and a loop must end.
const MAX_CHAIN: usize = 16;

/// What does not change while the terminal runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `LIVE`, or `REPLAY` with what is replayed.
    pub title: String,
    /// Keys.
    pub keymap: Keymap,
    /// Nothing may be changed.
    pub read_only: bool,
    /// For screen readers: linear text.
    pub plain: bool,
    /// ASCII shapes only.
    pub ascii: bool,
    /// What must not be cut by accident.
    pub wards: Vec<Ward>,
    /// Policies can be put into force.
    pub enforces: bool,
}

/// The state.
pub struct App {
    /// What does not change.
    pub setup: Setup,
    /// Colours.
    pub theme: Theme,
    theme_fixed: bool,
    hold: Hold,
    labels: Labels,
    filter: Filter,
    views: Vec<Box<dyn View>>,
    focus: usize,
    layers: Vec<Box<dyn Layer>>,
    report: Report,
    message: Option<(String, u8)>,
    ended: bool,
    size: (u16, u16),
}

impl App {
    /// A terminal without a snapshot. A `fixed` theme is what the terminal can show at most and cannot be changed.
    #[must_use]
    pub fn new(setup: Setup, theme: Theme, fixed: bool, size: (u16, u16)) -> Self {
        let mut app = Self {
            setup,
            theme,
            theme_fixed: fixed,
            hold: Hold::default(),
            labels: Labels::default(),
            filter: Filter::default(),
            views: VIEWS.iter().map(|entry| (entry.new)()).collect(),
            focus: 0,
            layers: Vec::new(),
            report: Report::default(),
            message: None,
            ended: false,
            size,
        };
        app.refresh();
        app
    }

    /// Hears `event`. True when the picture may have changed.
    pub fn handle(&mut self, event: Event) -> (bool, Vec<Effect>) {
        match event {
            Event::Key(chord) => self.key(chord),
            Event::Mouse { gesture, column, row } => self.mouse(gesture, column, row),
            Event::Paste(text) => self.paste(&text),
            Event::Resize(columns, rows) => {
                self.size = (columns, rows);
                (true, Vec::new())
            }
            Event::Snapshot(snapshot) => (self.observe(snapshot), Vec::new()),
            Event::Ended => (!std::mem::replace(&mut self.ended, true), Vec::new()),
            Event::Second => (self.second(), Vec::new()),
        }
    }

    /// Does `action` and what follows from it.
    pub fn update(&mut self, action: Action) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut queue = std::collections::VecDeque::from([action]);
        for _ in 0..MAX_CHAIN {
            let Some(action) = queue.pop_front() else { break };
            queue.extend(self.step(&action, &mut effects));
        }
        effects
    }

    /// Takes what a drawing found out.
    pub fn drawn(&mut self, report: Report) {
        if let Some(viewport) = report.viewport {
            match self.layers.last_mut() {
                Some(layer) => layer.drawn(viewport),
                None => {
                    if let Some(view) = self.views.get_mut(self.focus) {
                        view.drawn(viewport);
                    }
                }
            }
        }
        self.report = report;
    }

    fn key(&mut self, chord: Chord) -> (bool, Vec<Effect>) {
        let contexts = self.contexts();
        let action = self.setup.keymap.action(&contexts, chord).cloned();
        let typing = contexts.first() == Some(&"input");
        match action.or_else(|| chord.typed().filter(|_| typing).map(Action::Insert)) {
            Some(action) => (true, self.update(action)),
            None => (false, Vec::new()),
        }
    }

    fn mouse(&mut self, gesture: Gesture, column: u16, row: u16) -> (bool, Vec<Effect>) {
        let wheel = |action: Action| std::iter::repeat_n(action, WHEEL);
        let actions: Vec<Action> = match gesture {
            Gesture::Click => self.report.at(column, row).cloned().into_iter().collect(),
            Gesture::WheelUp => wheel(Action::Up).collect(),
            Gesture::WheelDown => wheel(Action::Down).collect(),
        };
        let changed = !actions.is_empty();
        (changed, actions.into_iter().flat_map(|action| self.update(action)).collect())
    }

    fn paste(&mut self, text: &str) -> (bool, Vec<Effect>) {
        if self.contexts().first() != Some(&"input") {
            return (false, Vec::new());
        }
        (true, text.chars().flat_map(|c| self.update(Action::Insert(c))).collect())
    }

    fn observe(&mut self, snapshot: Arc<Snapshot>) -> bool {
        let before = self.hold.newest().policy_answer.as_ref().map_or(0, |answer| answer.number);
        let answer = snapshot.policy_answer.clone().filter(|answer| answer.number > before);
        let shown = self.hold.observe(snapshot);
        if let Some(answer) = answer {
            self.say(crate::widget::escape::escape(&answer.text).into_owned());
        }
        if shown {
            self.refresh();
        }
        // Held: only the count of what has happened since changes.
        true
    }

    /// Some dialog waits for an identity, or shows one.
    #[must_use]
    pub fn looks(&self) -> bool {
        self.layers.iter().any(|layer| layer.looks())
    }

    /// That is the identity that was asked for.
    pub fn see(&mut self, sight: Sight) {
        if let Some(layer) = self.layers.iter_mut().find(|layer| layer.looks()) {
            layer.see(sight);
        }
    }

    fn second(&mut self) -> bool {
        let layers = self.layers.len();
        self.layers.retain_mut(|layer| layer.second());
        self.fade() || self.layers.len() != layers
    }

    fn fade(&mut self) -> bool {
        let Some((_, left)) = &mut self.message else { return false };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.message = None;
            return true;
        }
        false
    }

    /// One action; what it causes in turn is returned.
    fn step(&mut self, action: &Action, effects: &mut Vec<Effect>) -> Vec<Action> {
        if let Action::Approved(key) = action {
            self.effect(Effect::Approve(key.clone()), effects);
            return Vec::new();
        }
        if let Action::Send(command) = action {
            if self.setup.read_only {
                self.say("read-only: nothing is changed".to_owned());
                return Vec::new();
            }
            effects.push(Effect::Send(command.clone()));
            return Vec::new();
        }
        match action {
            Action::Choose(policies) => return self.choose(policies),
            Action::Preview(policy, replaced) => {
                let block = Block::new((**policy).clone(), *replaced, &self.world());
                self.layers.push(Box::new(block));
                return Vec::new();
            }
            _ => {}
        }
        if matches!(action, Action::SetFilter(_)) {
            self.global(action, effects);
            return Vec::new();
        }
        if let Some(mut layer) = self.layers.pop() {
            let (stay, reply) = match layer.update(action, &self.world()) {
                LayerReply::Stay => (true, Vec::new()),
                LayerReply::Act(next) => (true, vec![next]),
                LayerReply::Effect(effect) => {
                    self.effect(effect, effects);
                    (true, Vec::new())
                }
                LayerReply::Close(next) => (false, next),
            };
            if stay {
                self.layers.push(layer);
            }
            return reply;
        }
        self.ask_view(action, effects)
    }

    fn ask_view(&mut self, action: &Action, effects: &mut Vec<Effect>) -> Vec<Action> {
        let mut views = std::mem::take(&mut self.views);
        let reply =
            views.get_mut(self.focus).map_or(Reply::Ignored, |view| view.update(action, &self.world()));
        self.views = views;
        match reply {
            Reply::Ignored => self.global(action, effects),
            Reply::Done => {}
            Reply::Act(next) => return next,
            Reply::Effect(effect) => self.effect(effect, effects),
            Reply::Open(layer) => self.layers.push(layer),
            Reply::Refused(why) => self.say(why),
        }
        Vec::new()
    }

    fn effect(&mut self, effect: Effect, effects: &mut Vec<Effect>) {
        match &effect {
            Effect::Copy(text) => self.say(format!("copied {}", crate::widget::escape::escape(text))),
            Effect::Send(_)
            | Effect::Edit(..)
            | Effect::Approve(_)
            | Effect::UndoApproval
            | Effect::Bind { .. }
                if self.setup.read_only =>
            {
                return self.say("read-only: nothing is changed".to_owned());
            }
            _ => {}
        }
        effects.push(effect);
    }

    /// What every view can do.
    fn global(&mut self, action: &Action, effects: &mut Vec<Effect>) {
        match action {
            Action::Quit => effects.push(Effect::Quit),
            Action::Suspend => effects.push(Effect::Suspend),
            Action::Help => self.layers.push(Box::new(Help::new(self.view_title(), self.help()))),
            Action::Palette => self.layers.push(Box::new(Palette::new(self.commands()))),
            Action::Filter => self.layers.push(Box::new(FilterInput::new(self.filter.text()))),
            Action::ClearFilter => self.set_filter(""),
            Action::SetFilter(text) => self.set_filter(text),
            Action::Freeze
            | Action::Now
            | Action::Back
            | Action::Forward
            | Action::BackFar
            | Action::ForwardFar => {
                if let Err(why) = self.hold.travel(action) {
                    self.say(why.to_owned());
                }
                self.refresh();
            }
            Action::NextView => self.show((self.focus + 1) % VIEWS.len().max(1)),
            Action::PreviousView => self.show((self.focus + VIEWS.len() - 1) % VIEWS.len().max(1)),
            Action::Show(view) => self.show(*view),
            Action::Export => self.layers.push(Box::<Exports>::default()),
            Action::NextTheme => self.next_theme(),
            Action::UndoPolicy => self.undo_policy(),
            _ => {}
        }
    }

    /// Opens what a reply of the world says.
    fn choose(&mut self, policies: &[Policy]) -> Vec<Action> {
        let reply = self.world().block_one_of(policies.to_vec());
        match reply {
            Reply::Open(layer) => self.layers.push(layer),
            Reply::Refused(why) => self.say(why),
            _ => {}
        }
        Vec::new()
    }

    /// Asks whether the policy that was applied last shall be taken back.
    fn undo_policy(&mut self) {
        let world = self.world();
        let open = world.snapshot.policies.iter().find(|policy| policy.state.is_open());
        let reply = match open {
            _ if world.read_only => Reply::Refused("read-only: nothing is changed".to_owned()),
            Some(policy) => undo(policy, world.snapshot.window.end_ns),
            None => Reply::Refused("no policy is in force".to_owned()),
        };
        match reply {
            Reply::Open(layer) => self.layers.push(layer),
            Reply::Refused(why) => self.say(why),
            _ => {}
        }
    }

    fn show(&mut self, view: usize) {
        if view < self.views.len() {
            self.focus = view;
            self.refresh();
        }
    }

    fn set_filter(&mut self, text: &str) {
        match Filter::parse(text) {
            Ok(filter) => {
                self.filter = filter;
                self.refresh();
            }
            Err(error) => self.say(format!("filter: {}", error.message)),
        }
    }

    fn next_theme(&mut self) {
        if self.theme_fixed {
            return self.say(format!("this terminal shows only the theme {}", self.theme.name));
        }
        let at = THEMES.iter().position(|(name, _)| *name == self.theme.name).map_or(0, |at| at + 1);
        let next = THEMES.get(at).or_else(|| THEMES.first()).and_then(|(name, _)| Theme::named(name));
        if let Some(theme) = next {
            self.say(format!("theme {}", theme.name));
            self.theme = theme;
        }
    }

    /// Shows a message at the bottom for some seconds.
    pub fn say(&mut self, text: String) {
        self.message = Some((text, MESSAGE_SECONDS));
    }

    /// Derives what the focused view shows; the others follow when they are focused.
    fn refresh(&mut self) {
        self.labels = Labels::of(self.hold.shown());
        let mut views = std::mem::take(&mut self.views);
        if let Some(view) = views.get_mut(self.focus) {
            view.refresh(&self.world());
        }
        self.views = views;
    }
}
