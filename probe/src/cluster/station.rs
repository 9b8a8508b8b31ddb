//! One node, as whoever watches it keeps account of it.

use super::message::{Node, Report};
use apisec_engine::node::{NodeState, NodeView, Shed};
use apisec_engine::snapshot::Capture;

/// Reports over which bytes a second are averaged, roughly.
const SMOOTH: f64 = 4.0;
/// A way there and back that is as good as any, nanoseconds.
const FAST: u64 = 1_000_000;
/// Worse measurements after which one is believed again: a minute of beats.
const STALE: u32 = 30;
/// A clock that differs by less is not corrected: the way there and back is not known any better.
const SAME_CLOCK: u64 = 50_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct Station {
    view: NodeView,
    /// Run of the agent that is heard, with the last report that was taken in.
    run: Option<u64>,
    taken: u64,
    /// Its clock minus ours, nanoseconds.
    skew: i64,
    /// Time there and back of the measurement that it rests on, and how many were worse since.
    measured: Option<(u64, u32)>,
    /// What the agents before this one captured and lost.
    earlier: (u64, u64),
    capture: Option<Box<Capture>>,
    /// When it was last heard, Unix nanoseconds; 0 before it was.
    heard: u64,
    reported: u64,
    shed_earlier: u64,
}

impl Station {
    pub(super) fn new(name: String) -> Self {
        Self { view: NodeView { name, ..NodeView::default() }, ..Self::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.view.name
    }

    pub(super) fn state(&self) -> NodeState {
        self.view.state
    }

    pub(super) fn why(&self) -> &str {
        &self.view.why
    }

    /// What its agent captured since it started.
    pub(super) fn capture(&self) -> Option<&Capture> {
        self.capture.as_deref()
    }

    /// An agent answers.
    pub(super) fn watches(&mut self, program: String, node: &Node, now: u64) {
        if self.run != Some(node.run) {
            self.earlier = (self.view.calls, self.view.lost);
            self.shed_earlier = self.view.samples_shed;
            (self.run, self.taken, self.capture) = (Some(node.run), 0, None);
        }
        if self.view.state == NodeState::Lost && self.heard > 0 {
            self.view.unheard_s += now.saturating_sub(self.heard) as f64 / 1e9;
        }
        self.heard = now;
        self.view.state = NodeState::Watching;
        self.view.why.clear();
        self.view.agent = program;
        self.view.kernel = node.kernel.chars().take(64).collect();
        self.measured = None;
        self.clock(node.echo.skew(now));
    }

    /// How its clock differs, with the time there and back.
    ///
    /// The first measurement includes the start of a program; of the later ones a slow way tells less than a fast one
    /// did a short while ago.
    pub(super) fn clock(&mut self, (skew, travel): (i64, u64)) {
        match &mut self.measured {
            Some((best, age)) if travel > (*best).max(FAST).saturating_mul(2) && *age < STALE => {
                *age += 1;
                return;
            }
            known => *known = Some((travel, 0)),
        }
        self.skew = if skew.unsigned_abs() < SAME_CLOCK.max(travel) { 0 } else { skew };
        self.view.skew_us = skew / 1_000;
        self.view.round_trip_us = travel / 1_000;
    }

    /// What has to be added to its times.
    pub(super) fn correction(&self) -> i64 {
        self.skew.saturating_neg()
    }

    /// Bytes came from it.
    pub(super) fn heard(&mut self, bytes: u64, now: u64) {
        self.view.bytes = self.view.bytes.saturating_add(bytes);
        self.heard = now;
    }

    /// Takes a report into account; false when it was counted before.
    pub(super) fn takes(&mut self, report: &mut Report, bytes: u64, now: u64) -> bool {
        if report.number <= self.taken {
            self.view.repeated += 1;
            return false;
        }
        self.taken = report.number;
        self.view.reports += 1;
        if let Some(capture) = report.capture.take() {
            let seconds = now.saturating_sub(self.reported) as f64 / 1e9;
            if self.reported > 0 && seconds > 0.0 {
                let rate = bytes as f64 / seconds;
                self.view.bytes_per_s += (rate - self.view.bytes_per_s) / SMOOTH;
            }
            self.reported = now;
            self.view.calls = self.earlier.0.saturating_add(capture.calls);
            self.view.lost = self.earlier.1.saturating_add(capture.lost);
            self.capture = Some(capture);
        }
        self.view.shed = report.shed;
        self.view.samples_shed = self.shed_earlier.saturating_add(report.samples_shed);
        true
    }

    /// Rows that were dropped.
    pub(super) fn distrusts(&mut self, rows: u64) {
        self.view.distrusted = self.view.distrusted.saturating_add(rows);
    }

    /// It is not heard any more.
    pub(super) fn lost(&mut self, why: String) {
        if self.view.state == NodeState::Watching {
            self.view.losses += 1;
            self.view.state = NodeState::Lost;
        }
        self.view.why = why;
        (self.view.bytes_per_s, self.view.shed) = (0.0, Shed::Nothing);
        self.reported = 0;
    }

    /// It will not be heard any more.
    pub(super) fn ends(&mut self, state: NodeState, why: String) {
        (self.view.state, self.view.why, self.view.bytes_per_s) = (state, why, 0.0);
    }

    /// For the snapshot.
    pub(super) fn view(&self, interval_s: u32, now: u64) -> NodeView {
        let gap = if self.view.state == NodeState::Lost { now.saturating_sub(self.heard) } else { 0 };
        NodeView {
            interval_s: f64::from(interval_s),
            unheard_s: self.view.unheard_s + gap as f64 / 1e9,
            ..self.view.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Echo;
    use super::*;
    use apisec_engine::delta::Delta;

    const SECOND: u64 = 1_000_000_000;

    fn node(run: u64) -> Node {
        let echo = Echo { asked: 100 * SECOND, heard: 103 * SECOND, answered: 103 * SECOND };
        Node { run, kernel: "6.1".into(), addresses: Vec::new(), capabilities: Vec::new(), echo }
    }

    fn report(number: u64, calls: u64) -> Report {
        let capture = Some(Box::new(Capture { calls, lost: 1, ..Capture::default() }));
        let delta = Delta::default();
        Report { number, delta, capture, places: Vec::new(), shed: Shed::Nothing, samples_shed: 0 }
    }

    #[test]
    fn a_report_that_comes_again_is_counted_once() {
        let mut station = Station::new("a".into());
        station.watches("x 1".into(), &node(7), 100 * SECOND);
        assert!(station.takes(&mut report(1, 5), 100, 101 * SECOND));
        assert!(station.takes(&mut report(2, 9), 100, 102 * SECOND));
        station.lost("cut".into());
        station.watches("x 1".into(), &node(7), 110 * SECOND);
        assert!(!station.takes(&mut report(2, 9), 100, 111 * SECOND));
        assert!(station.takes(&mut report(3, 12), 100, 112 * SECOND));
        let view = station.view(1, 112 * SECOND);
        assert_eq!((view.calls, view.repeated, view.losses), (12, 1, 1));
    }

    #[test]
    fn another_agent_of_the_same_node_adds_to_the_one_before() {
        let mut station = Station::new("a".into());
        station.watches("x 1".into(), &node(7), 100 * SECOND);
        station.takes(&mut report(1, 5), 0, 101 * SECOND);
        station.lost("killed".into());
        station.watches("x 1".into(), &node(8), 105 * SECOND);
        assert!(station.takes(&mut report(1, 3), 0, 106 * SECOND));
        let view = station.view(1, 106 * SECOND);
        assert_eq!((view.calls, view.lost), (8, 2));
        assert!(view.unheard_s > 0.0);
    }

    #[test]
    fn a_clock_that_is_three_seconds_ahead_is_put_right_and_a_small_difference_is_left() {
        let mut station = Station::new("a".into());
        station.watches("x 1".into(), &node(7), 100 * SECOND);
        assert_eq!((station.correction(), station.view(1, 0).skew_us), (-3 * SECOND as i64, 3_000_000));
        station.clock((20_000_000, 1_000));
        assert_eq!((station.correction(), station.view(1, 0).skew_us), (0, 20_000));
    }
}
