//! What an agent has told and does not know to be taken in; and what it leaves out when that is too much.
//!
//! A few reports are on their way at most. While there is no room the pipeline adds up, within the bounds that it has
//! anyway, so nothing that was counted is lost: what is shed are bodies, then samples, then the distance of seconds.

use super::message::Report;
use apisec_engine::call_log::CallChunk;
use apisec_engine::delta::Delta;
use apisec_engine::filter::Filter;
use apisec_engine::node::Shed;
use apisec_engine::snapshot::Capture;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Reports on their way: a round trip of some seconds at one a second.
const WINDOW: usize = 4;
/// Reports without waiting after which one step less is shed.
const CALM: u32 = 5;
/// Endpoints and edges of one part of a report: far below what fits a frame at any honest size.
const MAX_ROWS: usize = 4_096;
/// Sampled calls of one part of a report.
const MAX_SAMPLES: usize = 8_192;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    number: u64,
    waiting: VecDeque<Arc<Report>>,
    shed: Shed,
    calm: u32,
    samples_shed: u64,
}

impl Outbox {
    /// Another report may go.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WINDOW
    }

    /// An interval went by in which there was no room.
    pub(super) fn waited(&mut self) {
        self.shed = self.shed.more();
        self.calm = 0;
    }

    /// What is left out at present.
    #[cfg(test)]
    pub(super) fn shed(&self) -> Shed {
        self.shed
    }

    /// Takes in what was observed; returns the reports that shall go now.
    pub(super) fn put(
        &mut self,
        mut delta: Delta,
        capture: Capture,
        places: Vec<(SocketAddr, String)>,
        tail: &Tail,
    ) -> Vec<Arc<Report>> {
        self.calm += 1;
        if self.calm >= CALM {
            (self.calm, self.shed) = (0, self.shed.less());
        }
        tail.choose(&mut delta);
        let most = if self.shed >= Shed::Samples { 0 } else { tail.samples };
        self.samples_shed += if most == 0 { delta.shed_samples() } else { delta.sample(most) };
        if self.shed >= Shed::Bodies {
            delta.shed_details();
        }
        let before = self.waiting.len();
        let parts = divide(delta);
        let last = parts.len().saturating_sub(1);
        let mut rest = Some((Box::new(capture), places));
        for (at, delta) in parts.into_iter().enumerate() {
            let (capture, places) = if at == last { rest.take() } else { None }.unzip();
            self.number += 1;
            self.waiting.push_back(Arc::new(Report {
                number: self.number,
                delta,
                capture,
                places: places.unwrap_or_default(),
                shed: self.shed,
                samples_shed: self.samples_shed,
            }));
        }
        self.waiting.iter().skip(before).cloned().collect()
    }

    /// Everything up to this report was taken in.
    pub(super) fn taken(&mut self, number: u64) {
        while self.waiting.front().is_some_and(|report| report.number <= number) {
            self.waiting.pop_front();
        }
    }

    /// Whatever is not known to be taken in.
    #[cfg(test)]
    fn again(&self) -> impl Iterator<Item = &Report> {
        self.waiting.iter().map(|report| &**report)
    }
}

/// Which calls themselves are wanted.
#[derive(Default)]
pub(super) struct Tail {
    /// At most so many of a report.
    pub(super) samples: usize,
    /// Only those that pass.
    pub(super) filter: Option<Filter>,
}

impl Tail {
    fn choose(&self, delta: &mut Delta) {
        let Some(filter) = &self.filter else { return };
        for chunk in &mut delta.log {
            let whole: Arc<CallChunk> = chunk.clone();
            Arc::make_mut(chunk).rows.retain(|row| filter.row(&whole, row));
        }
    }
}

/// In parts that fit frames.
fn divide(delta: Delta) -> Vec<Delta> {
    let fits = |delta: &Delta| {
        let samples: usize = delta.log.iter().map(|chunk| chunk.rows.len()).sum();
        delta.endpoints.len() + delta.edges.len() + delta.trails.len() <= MAX_ROWS && samples <= MAX_SAMPLES
    };
    let (mut todo, mut done) = (vec![delta], Vec::new());
    while let Some(mut delta) = todo.pop() {
        match if fits(&delta) { None } else { delta.split() } {
            Some(half) => todo.extend([half, delta]),
            None => done.push(delta),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::endpoint::Id;
    use apisec_engine::graph::EdgeKey;
    use apisec_engine::load::Load;
    use apisec_proto::call::{Protocol, Vantage};

    fn delta(edges: usize) -> Delta {
        let edge = |n: usize| {
            let (src, dst) = (Id::from(format!("a{n}")), Id::from("b"));
            let load = Load { calls: 1, ..Load::default() };
            (EdgeKey { src, dst, protocol: Protocol::Http1, vantage: Vantage::Server }, load)
        };
        Delta { edges: (0..edges).map(edge).collect(), ..Delta::default() }
    }

    fn put(outbox: &mut Outbox, edges: usize) -> Vec<u64> {
        let tail = Tail { samples: 10, filter: None };
        let parts = outbox.put(delta(edges), Capture::default(), Vec::new(), &tail);
        parts.iter().map(|report| report.number).collect()
    }

    #[test]
    fn numbers_go_on_and_what_was_taken_in_is_forgotten() {
        let mut outbox = Outbox::default();
        for number in 1..=WINDOW as u64 {
            assert!(outbox.has_room());
            assert_eq!(put(&mut outbox, 1), [number]);
        }
        assert!(!outbox.has_room());
        outbox.taken(2);
        assert!(outbox.has_room());
        assert_eq!(outbox.again().map(|report| report.number).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_large_report_goes_in_parts_and_nothing_is_lost() {
        let mut outbox = Outbox::default();
        assert!(put(&mut outbox, 3 * MAX_ROWS).len() > 3);
        assert_eq!(outbox.again().map(|report| report.delta.calls()).sum::<u64>(), 3 * MAX_ROWS as u64);
        assert_eq!(outbox.again().filter(|report| report.capture.is_some()).count(), 1);
    }

    #[test]
    fn waiting_sheds_step_by_step_and_calm_takes_it_back() {
        let mut outbox = Outbox::default();
        let mut steps = Vec::new();
        for _ in 0..4 {
            outbox.waited();
            steps.push(outbox.shed());
        }
        assert_eq!(steps, [Shed::Bodies, Shed::Samples, Shed::Seconds, Shed::Seconds]);
        for _ in 0..3 * CALM {
            let numbers = put(&mut outbox, 1);
            outbox.taken(numbers[0]);
        }
        assert_eq!(outbox.shed(), Shed::Nothing);
    }
}
