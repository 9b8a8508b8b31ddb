//! The preview of a policy, and the question whether it shall be put into force. What must not be cut, and what
//! would last for ever, wants the policy's name to be typed.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::escape::escape;
use crate::widget::input::Line;
use crate::widget::list::List;
use apisec_engine::command::Command;
use apisec_engine::policy::measure::When;
use apisec_engine::policy::order::Order;
use apisec_engine::policy::preview::Preview;
use apisec_engine::policy::{Policy, Ttl};
use ratatui::layout::Rect;

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 110;
/// Lines of the box that do not scroll: the question, the typed name, and a rule between.
const FIXED: u16 = 3;
/// Callers that are named.
const CALLERS: usize = 8;
/// Times to live that the keys go through.
const TTLS: [Ttl; 6] = [
    Ttl::Seconds(60),
    Ttl::Seconds(300),
    Ttl::Seconds(900),
    Ttl::Seconds(3_600),
    Ttl::Seconds(86_400),
    Ttl::Forever,
];

/// The dialog.
pub struct Block {
    policy: Policy,
    preview: Preview,
    lines: Vec<(String, Role)>,
    list: List,
    typed: Option<Line>,
    purpose: Purpose,
}

/// What becomes of the policy.
#[derive(Clone, Copy)]
enum Purpose {
    /// It is put into force.
    Apply,
    /// It takes the place of the one with this number.
    Replace(u32),
    /// It is in force already under this number; only its time changes.
    Renew(u32),
}

impl Block {
    /// Previews `policy` against what is on screen; `replaced` is the number of the one whose place it takes.
    #[must_use]
    pub fn new(policy: Policy, replaced: Option<u32>, world: &World<'_>) -> Self {
        let preview = Preview::of(&policy, world.snapshot, world.wards);
        let (lines, list) = (Vec::new(), List::default());
        let purpose = replaced.map_or(Purpose::Apply, Purpose::Replace);
        let mut block = Self { lines, policy, preview, list, typed: None, purpose };
        block.renew();
        block
    }

    /// Asks whether a policy that is in force shall last until it is taken back.
    #[must_use]
    pub fn permanent(id: u32, mut policy: Policy, world: &World<'_>) -> Self {
        policy.spec.ttl = Ttl::Forever;
        Self { purpose: Purpose::Renew(id), ..Self::new(policy, None, world) }
    }

    /// Whether the name must be typed, and why.
    fn must_type(&self) -> Option<&'static str> {
        if !self.preview.refusals.is_empty() {
            return Some("it cuts what is protected");
        }
        (self.policy.spec.ttl == Ttl::Forever).then_some("it lasts until it is taken back")
    }

    fn renew(&mut self) {
        self.lines = lines(&self.policy, &self.preview);
        self.typed = self.must_type().map(|_| Line::new(""));
    }

    fn change_ttl(&mut self, further: bool) {
        let at = TTLS.iter().position(|ttl| *ttl == self.policy.spec.ttl).unwrap_or(2);
        let next = if further { at + 1 } else { at.saturating_sub(1) };
        self.policy.spec.ttl = TTLS.get(next).copied().unwrap_or(Ttl::Forever);
        self.renew();
    }

    fn apply(&self) -> LayerReply {
        let name = self.policy.metadata.name.as_str();
        if self.typed.as_ref().is_some_and(|line| line.text() != name) {
            return LayerReply::Stay;
        }
        let forced = !self.preview.refusals.is_empty();
        let policy = Box::new(self.policy.clone());
        let order = match self.purpose {
            Purpose::Renew(id) => Order::Renew(id, self.policy.spec.ttl),
            Purpose::Replace(id) => Order::Replace { id, policy, forced },
            Purpose::Apply => Order::Apply { policy, forced },
        };
        LayerReply::Close(vec![Action::Send(Command::Order(order))])
    }
}

impl Layer for Block {
    fn context(&self) -> &'static str {
        if self.typed.is_some() { "input" } else { "dialog" }
    }

    fn can(&self) -> Vec<Action> {
        let apply = if self.typed.is_some() { Action::Accept } else { Action::Open };
        let mut can = vec![apply, Action::Close];
        if self.typed.is_none() {
            can.extend([Action::Shorten, Action::Extend]);
        }
        can.extend([Action::Up, Action::Down]);
        can
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Close => return LayerReply::Close(Vec::new()),
            Action::Open if self.typed.is_none() => return self.apply(),
            Action::Accept => return self.apply(),
            Action::Extend => self.change_ttl(true),
            Action::Shorten => self.change_ttl(false),
            _ => {
                let edited = self.typed.as_mut().is_some_and(|line| line.edit(action));
                if !edited {
                    self.list.motion(action, self.lines.len());
                }
            }
        }
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let height = (self.lines.len() as u16 + FIXED + 2).min(area.height.saturating_sub(2));
        let inner = dialog(canvas, area, "Block", WIDTH, height);
        let body = Rect { height: inner.height.saturating_sub(FIXED), ..inner };
        let visible = self.list.visible(self.lines.len(), usize::from(body.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(body.height) });
        let below = self.lines.len().saturating_sub(visible.end);
        for (y, index) in (0u16..).zip(visible) {
            if let Some((text, role)) = self.lines.get(index) {
                canvas.put(row(body, y), 0, 0, text, *role);
            }
        }
        let foot = row(inner, body.height + 1);
        if below > 0 {
            canvas.put(row(inner, body.height), 0, 0, &format!("{below} more lines below"), Role::Dim);
        }
        let name = self.policy.metadata.name.as_str();
        match (&self.typed, self.must_type()) {
            (Some(line), Some(why)) => {
                canvas.put(foot, 0, 0, &format!("Type {name} to put it into force: {why}."), Role::Partial);
                line.draw(canvas, row(inner, body.height + 2), "> ");
            }
            _ => {
                let instead = match self.purpose {
                    Purpose::Replace(id) => format!(" in place of policy {id}"),
                    Purpose::Apply | Purpose::Renew(_) => String::new(),
                };
                let text = format!("Put {name} into force{instead} for {}?", self.policy.spec.ttl);
                canvas.put(foot, 0, 0, &text, Role::Strong);
            }
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}

/// What a policy would do, worst first.
fn lines(policy: &Policy, preview: &Preview) -> Vec<(String, Role)> {
    let mut lines = vec![(escape(&policy.describe()).into_owned(), Role::Strong)];
    let mut say = |text: String, role: Role| lines.push((escape(&text).into_owned(), role));
    for refusal in &preview.refusals {
        say(format!("PROTECTED: {} would cut {}", refusal.by, refusal.what), Role::Partial);
    }
    say(format!("It {}.", preview.sentence()), Role::Text);
    for caller in preview.callers.iter().take(CALLERS) {
        let (look, role) = if caller.legitimate {
            ("looks legitimate", Role::Partial)
        } else {
            ("does not look legitimate", Role::Text)
        };
        say(format!("  {}  {} of {} calls, {look}", caller.name, caller.calls, caller.of), role);
        say(format!("    {}", caller.why.join(", ")), Role::Dim);
    }
    if preview.identity_count > 0 {
        say(format!("{} identities would have been cut.", preview.identity_count), Role::Text);
    }
    let also = preview.covered.iter().take(CALLERS).cloned().collect::<Vec<_>>();
    if !also.is_empty() {
        say(format!("Covers {}", also.join(", ")), Role::Dim);
    }
    for measure in &preview.measures {
        let when = if measure.when == When::Inline { "inline" } else { "reactive" };
        say(format!("{when}: {measure}"), Role::Text);
    }
    for limit in &preview.limits {
        say(format!("but {limit}"), Role::Partial);
    }
    for unknown in &preview.unknown {
        say(format!("but nobody was seen who is meant by {unknown}"), Role::Partial);
    }
    lines
}
