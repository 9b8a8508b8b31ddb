//! Why a finding shall not be shown, and for how long: `load test 2h`.

use super::{Layer, LayerReply};
use crate::action::Action;
use crate::canvas::{Canvas, Viewport};
use crate::theme::Role;
use crate::view::World;
use crate::widget::input::Line;
use apisec_engine::command::Command;
use apisec_engine::finding::State;
use ratatui::layout::Rect;

const SECOND: u64 = 1_000_000_000;
/// Without a time a finding is muted for a day: nothing is forgotten by accident.
const DEFAULT: u64 = 24 * 3_600 * SECOND;

/// The dialog, one line at the bottom of the screen.
pub struct Mute {
    finding: String,
    now: u64,
    line: Line,
    missing: bool,
}

impl Mute {
    /// Asks about the finding with this id.
    #[must_use]
    pub fn new(finding: String, now: u64) -> Self {
        Self { finding, now, line: Line::default(), missing: false }
    }
}

impl Layer for Mute {
    fn context(&self) -> &'static str {
        "input"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Accept, Action::Close, Action::EraseLine]
    }

    fn update(&mut self, action: &Action, _world: &World<'_>) -> LayerReply {
        match action {
            Action::Accept => match parse(self.line.text(), self.now) {
                Some(state) => {
                    let finding = self.finding.clone();
                    LayerReply::Close(vec![Action::Send(Command::Handle { finding, state })])
                }
                None => {
                    self.missing = true;
                    LayerReply::Stay
                }
            },
            Action::Close => LayerReply::Close(Vec::new()),
            _ => {
                self.missing &= !self.line.edit(action);
                LayerReply::Stay
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let line = Rect { y: area.y + area.height.saturating_sub(1), height: area.height.min(1), ..area };
        let end = self.line.draw(canvas, line, "mute, why and for how long (2h, 3d, forever): ");
        if self.missing {
            canvas.put(line, end + 2, 0, "say why", Role::InputError);
        }
    }

    fn drawn(&mut self, _viewport: Viewport) {}
}

/// A reason with a time as its last word.
fn parse(text: &str, now: u64) -> Option<State> {
    let text = text.trim();
    let (words, last) = text.rsplit_once(' ').unwrap_or((text, ""));
    let (reason, until) = match duration(last) {
        Some(0) => (words, 0),
        Some(long) => (words, now.saturating_add(long)),
        None => (text, now.saturating_add(DEFAULT)),
    };
    let reason = reason.trim().to_owned();
    (!reason.is_empty() && duration(&reason).is_none()).then_some(State::Muted { reason, until })
}

/// Nanoseconds, 0 for ever.
fn duration(word: &str) -> Option<u64> {
    if word == "forever" {
        return Some(0);
    }
    let unit = match word.chars().last()? {
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return None,
    };
    let number: u64 = word.get(..word.len() - 1)?.parse().ok()?;
    number.checked_mul(unit * SECOND).filter(|long| *long > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_a_time() {
        let muted = |reason: &str, until| Some(State::Muted { reason: reason.into(), until });
        assert_eq!(parse("load test 2h", 5), muted("load test", 5 + 7_200 * SECOND));
        assert_eq!(parse("known", 5), muted("known", 5 + DEFAULT));
        assert_eq!(parse("by design forever", 5), muted("by design", 0));
        assert_eq!(parse("2h", 5), None);
        assert_eq!(parse("  ", 5), None);
        assert_eq!(parse("x 99999999999999999d", 5).map(|state| state.is_open()), Some(false));
    }
}
