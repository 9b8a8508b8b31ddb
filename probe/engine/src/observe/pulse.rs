//! Totals of the current second, which every call adds to.

use super::*;
use crate::sketch::DenseSketch;
use crate::tick::Ticks;

/// The two seconds that calls of one moment fall into.
#[derive(Default)]
pub(super) struct Pulses([Current; 2]);

#[derive(Default)]
struct Current {
    second: u32,
    calls: u64,
    errors: u64,
    latency: DenseSketch,
}

impl Pulses {
    /// Counts a call; a second that is neither of the two goes to `ticks` first.
    pub(super) fn add(&mut self, call: &Call, ticks: &mut Ticks) {
        let second = second_of(call.at);
        let [one, other] = &mut self.0;
        let current = if one.second == second {
            one
        } else if other.second == second {
            other
        } else {
            let older = if one.second < other.second { one } else { other };
            older.drain_into(ticks);
            older.second = second;
            older
        };
        current.calls += 1;
        current.errors += u64::from(call.is_error());
        if !call.is_one_way() {
            current.latency.add_ns(call.duration);
        }
    }

    /// Moves everything to `ticks`.
    pub(super) fn drain_into(&mut self, ticks: &mut Ticks) {
        self.0.iter_mut().for_each(|current| current.drain_into(ticks));
    }
}

impl Current {
    fn drain_into(&mut self, ticks: &mut Ticks) {
        if self.calls > 0 {
            let owned = &mut ticks.beat(self.second).owned;
            owned.calls += std::mem::take(&mut self.calls);
            owned.errors += std::mem::take(&mut self.errors);
            self.latency.drain_into(&mut owned.latency);
            ticks.trim();
        }
    }
}
