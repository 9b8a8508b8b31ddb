//! Policies: what is in force, for how long, and what it does; what was, and who did it.

use super::{MOTIONS, Reply, View, World};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, split_top};
use crate::format::{SECOND, clock, count, span};
use crate::layer::block::Block;
use crate::layer::confirm::Confirm;
use crate::layer::inspector::{Inspector, Line};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Table};
use apisec_engine::command::Command;
use apisec_engine::policy::Ttl;
use apisec_engine::policy::measure::When;
use apisec_engine::policy::order::Order;
use apisec_engine::policy::standing::{HistoryView, PolicyView, State};
use apisec_engine::snapshot::Snapshot;
use ratatui::layout::Rect;

const COLUMNS: &[Column] = &[
    Column::number("ID", 4, 0),
    Column::word("STATE", 8, 0),
    Column::word("ENDS IN", 8, 0),
    Column::text("WHAT", 24, 3, 0),
    Column::text("EFFECT", 36, 1, 0),
    Column::text("NAME", 14, 1, 3),
    Column::text("REASON", 12, 1, 4),
];

const HISTORY: &[Column] = &[
    Column::word("TIME", 9, 0),
    Column::number("ID", 4, 0),
    Column::word("WHAT", 9, 0),
    Column::text("BY", 14, 1, 2),
    Column::text("DETAILS", 30, 4, 0),
];

/// The view.
#[derive(Default)]
pub(super) struct Policies {
    /// The journal is shown, not the policies.
    history: bool,
    list: List,
    selected: u32,
}

impl View for Policies {
    fn refresh(&mut self, world: &World<'_>) {
        let rows = self.len(world.snapshot);
        if !self.history {
            let place = world.snapshot.policies.iter().position(|policy| policy.id == self.selected);
            self.list.index = place.unwrap_or(self.list.index);
        }
        self.list.index = self.list.index.min(rows.saturating_sub(1));
        self.remember(world);
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        let mut can = vec![Action::Table];
        if let Some(policy) = self.policy(world) {
            can.insert(0, Action::Open);
            if !world.read_only && policy.state.is_open() {
                can.extend([
                    Action::UndoPolicy,
                    Action::Edit,
                    Action::Extend,
                    Action::Shorten,
                    Action::Permanent,
                ]);
            }
            can.push(Action::Copy);
        }
        if !world.read_only && world.snapshot.policies.iter().any(|policy| policy.state.is_open()) {
            can.push(Action::UndoAll);
        }
        if self.len(world.snapshot) > 0 {
            can.extend_from_slice(MOTIONS);
        }
        can
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Table => {
                self.history = !self.history;
                self.list = List::default();
                self.refresh(world);
                Reply::Done
            }
            Action::UndoPolicy
            | Action::Edit
            | Action::Extend
            | Action::Shorten
            | Action::Permanent
            | Action::UndoAll
                if world.read_only =>
            {
                Reply::Refused("read-only: nothing is changed".to_owned())
            }
            Action::UndoAll => ask_all(world.snapshot),
            _ if self.list.motion(action, self.len(world.snapshot)) => {
                self.remember(world);
                Reply::Done
            }
            _ => self.policy(world).map_or(Reply::Ignored, |policy| about(policy, action, world)),
        }
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let snapshot = world.snapshot;
        let open = snapshot.policies.iter().filter(|policy| policy.state.is_open()).count();
        let note = format!("{open} in force, {} over", snapshot.policies.len() - open);
        let title = if self.history { "Policies: history" } else { "Policies" };
        let body = panel(canvas, area, title, &note, true);
        let (top, body) = split_top(body, 1);
        if let Some(answer) = &snapshot.policy_answer {
            let role = if answer.done { Role::Strong } else { Role::Partial };
            canvas.put(top, 1, 0, &escape(&answer.text), role);
        }
        if self.len(snapshot) == 0 {
            let text = "No policy. The block key on an edge or an endpoint previews one.";
            canvas.put(body, 2, 1.min(body.height.saturating_sub(1)), text, Role::Dim);
            return;
        }
        let len = self.len(snapshot);
        if self.history {
            let cell = |index: usize, column: usize| {
                snapshot.policy_history.get(index).map_or_else(Cell::default, |line| past(line, column))
            };
            let (list, focused) = (&self.list, true);
            Table { columns: HISTORY, order: None, list, len, focused, cell: &cell }.draw(canvas, body);
            return;
        }
        let cell = |index: usize, column: usize| {
            let policy = snapshot.policies.get(index);
            policy.map_or_else(Cell::default, |policy| cell(policy, column, snapshot.window.end_ns))
        };
        Table { columns: COLUMNS, order: None, list: &self.list, len, focused: true, cell: &cell }
            .draw(canvas, body);
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

impl Policies {
    fn len(&self, snapshot: &Snapshot) -> usize {
        if self.history { snapshot.policy_history.len() } else { snapshot.policies.len() }
    }

    fn policy<'a>(&self, world: &World<'a>) -> Option<&'a PolicyView> {
        if self.history {
            return None;
        }
        world.snapshot.policies.get(self.list.index)
    }

    fn remember(&mut self, world: &World<'_>) {
        self.selected = self.policy(world).map_or(self.selected, |policy| policy.id);
    }
}

/// What a key does about one policy: always by a dialog.
fn about(policy: &PolicyView, action: &Action, world: &World<'_>) -> Reply {
    let now = world.snapshot.window.end_ns;
    match action {
        Action::Open => {
            Reply::Open(Box::new(Inspector::new("Policy", lines(policy, now), policy.what.clone())))
        }
        Action::Copy => Reply::Effect(Effect::Copy(policy.what.clone())),
        _ if !policy.state.is_open() => Reply::Refused("it is over".to_owned()),
        Action::UndoPolicy => undo(policy, now),
        Action::Extend => renew(policy, later(policy, now, true)),
        Action::Shorten => renew(policy, later(policy, now, false)),
        Action::Edit => match policy.policy.clone() {
            Some(document) => Reply::Effect(Effect::Edit(policy.id, Box::new(document))),
            None => Reply::Refused("only the journal that knows it can change it".to_owned()),
        },
        Action::Permanent => match policy.policy.clone() {
            // Typed: the preview dialog asks for the name.
            Some(document) => Reply::Open(Box::new(Block::permanent(policy.id, document, world))),
            None => Reply::Refused("only the journal that knows it can change it".to_owned()),
        },
        _ => Reply::Ignored,
    }
}

/// Asks whether a policy shall be taken back.
pub(crate) fn undo(policy: &PolicyView, now: u64) -> Reply {
    let lines = vec![
        format!("Policy {} {} is taken back:", policy.id, escape(&policy.name)),
        format!("  {}", escape(&policy.what)),
        format!("  {}", policy.effect(now)),
        "What it cut is let through again at once; connections that it closed stay closed.".to_owned(),
    ];
    let order = Action::Send(Command::Order(Order::Undo(policy.id)));
    Reply::Open(Box::new(Confirm::new("Undo", lines, order)))
}

fn ask_all(snapshot: &Snapshot) -> Reply {
    let open: Vec<&PolicyView> = snapshot.policies.iter().filter(|policy| policy.state.is_open()).collect();
    if open.is_empty() {
        return Reply::Refused("no policy is in force".to_owned());
    }
    let mut lines = vec![format!("{} policies are taken back:", open.len())];
    lines.extend(open.iter().take(8).map(|policy| format!("  {} {}", policy.id, escape(&policy.what))));
    Reply::Open(Box::new(Confirm::new(
        "Undo everything",
        lines,
        Action::Send(Command::Order(Order::UndoAll)),
    )))
}

fn renew(policy: &PolicyView, ttl: Ttl) -> Reply {
    let lines = vec![
        format!("Policy {} {}:", policy.id, escape(&policy.name)),
        format!("  {}", escape(&policy.what)),
        format!("It lasts {ttl} from now on."),
    ];
    Reply::Open(Box::new(Confirm::new(
        "How long",
        lines,
        Action::Send(Command::Order(Order::Renew(policy.id, ttl))),
    )))
}

/// Twice or half of what is left, at least a minute.
fn later(policy: &PolicyView, now: u64, longer: bool) -> Ttl {
    let left = policy.deadline_ns.saturating_sub(now) / SECOND;
    let left = if policy.deadline_ns == 0 { 1_800 } else { left };
    let next = if longer { left.saturating_mul(2).max(900) } else { (left / 2).max(60) };
    Ttl::Seconds(u32::try_from(next.min(30 * 86_400)).unwrap_or(900))
}

const fn role(state: State) -> Role {
    match state {
        State::Active => Role::Strong,
        State::Missing | State::Unknown | State::Failed => Role::ServerError,
        State::Expired | State::Undone => Role::Dim,
    }
}

fn cell(policy: &PolicyView, column: usize, now: u64) -> Cell {
    let dim = if policy.state.is_open() { Role::Text } else { Role::Dim };
    match column {
        0 => policy.id.to_string().into(),
        1 => Cell::new(policy.state.word(), role(policy.state)),
        2 => Cell::new(ends(policy, now), dim),
        3 => Cell::new(escape(&policy.what), dim),
        4 => match policy.trouble.first().filter(|_| policy.state.is_open()) {
            Some(trouble) if policy.state != State::Active => Cell::new(escape(trouble), Role::ServerError),
            Some(_) if !policy.is_well() => Cell::new(policy.effect(now), Role::ServerError),
            _ => Cell::new(policy.effect(now), dim),
        },
        5 => Cell::new(escape(&policy.name), Role::Dim),
        _ => Cell::new(escape(&policy.reason), Role::Dim),
    }
}

/// `inline`, or after the fact with the longest delay that was measured.
fn when(policy: &PolicyView) -> String {
    let word = |when: &When| match when {
        When::Inline => "inline".to_owned(),
        When::Reactive if policy.delay_us == 0 => "reactive, nothing to close yet".to_owned(),
        When::Reactive => {
            let ms = policy.delay_us.div_ceil(1_000);
            format!(
                "reactive, {} connections closed, {ms} ms at most after a call began",
                count(policy.closed)
            )
        }
    };
    policy.when.iter().map(word).collect::<Vec<_>>().join("; ")
}

/// The countdown.
fn ends(policy: &PolicyView, now: u64) -> String {
    match policy.deadline_ns {
        _ if !policy.state.is_open() => format!("at {}", clock(policy.deadline_ns)),
        0 => "never".to_owned(),
        at => span(at.saturating_sub(now) / SECOND),
    }
}

fn past(line: &HistoryView, column: usize) -> Cell {
    match column {
        0 => Cell::new(clock(line.at), Role::Dim),
        1 => line.id.to_string().into(),
        2 => Cell::new(escape(&line.event), Role::Strong),
        3 => Cell::new(escape(&line.by), Role::Dim),
        _ => escape(&line.what).into_owned().into(),
    }
}

fn lines(policy: &PolicyView, now: u64) -> Vec<Line> {
    let text = |name: &str, value: &str| Line::new(name, escape(value), Role::Text);
    let mut lines = vec![
        text("number", &policy.id.to_string()),
        text("name", &policy.name),
        Line::new("state", policy.state.word(), role(policy.state)),
        text("what", &policy.what),
        text("backend", &policy.backend),
        text("ends in", &ends(policy, now)),
        text("effect", &policy.effect(now)),
        text("undecided", &count(policy.undecided)),
        text("within its rate", &count(policy.within_rate)),
        text("took", &format!("{} µs from the order", policy.took_us)),
        text("enforced", &when(policy)),
        text("by", &policy.by),
        text("reason", &policy.reason),
        text("finding", &policy.finding),
    ];
    if !policy.callers.is_empty() {
        lines.push(Line::heading("callers"));
        let caller = |one: &apisec_engine::policy::standing::EffectView| {
            Line::new(
                escape(&one.caller),
                format!("blocked {}, passed {} (pid {})", count(one.blocked), count(one.passed), one.pid),
                Role::Text,
            )
        };
        lines.extend(policy.callers.iter().map(caller));
    }
    for trouble in &policy.trouble {
        lines.push(Line::new("trouble", escape(trouble), Role::ServerError));
    }
    lines
}
