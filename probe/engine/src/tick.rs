//! Totals second by second, for rates and sparklines.

use crate::endpoint::Id;
use crate::limits::OVERFLOW;
use crate::load::{SECOND, second_of};
use crate::sketch::Sketch;
use apisec_proto::call::Call;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds that are remembered.
pub const SECONDS: usize = 300;
/// Services per second that client-side observations are kept apart by: at one snapshot a node has few
/// distant servers; more of them are summed and always shown.
const CLIENT_SERVICES: usize = 64;

/// Calls, errors and latency of one second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// Calls.
    pub calls: u64,
    /// Errors.
    pub errors: u64,
    /// Total time.
    pub latency: Sketch,
}

impl Pulse {
    /// Counts one call.
    pub fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.errors += u64::from(call.is_error());
        if !call.is_one_way() {
            self.latency.add_ns(call.duration);
        }
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.latency.merge(&other.latency);
    }
}

/// One second: what servers owned, and what only clients saw, by service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Calls observed at the server.
    pub owned: Pulse,
    /// Calls observed at the client, by callee; shown where no probe covers the callee.
    pub distant: BTreeMap<Id, Pulse>,
}

impl Beat {
    /// The counts for calls to `service` that were seen at the client.
    pub fn distant(&mut self, service: &Id) -> &mut Pulse {
        let fits = self.distant.len() < CLIENT_SERVICES || self.distant.contains_key(service);
        self.distant.entry(if fits { service.clone() } else { Id::from(OVERFLOW) }).or_default()
    }

    fn merge(&mut self, other: &Self) {
        self.owned.merge(&other.owned);
        for (service, pulse) in &other.distant {
            self.distant(service).merge(pulse);
        }
    }
}

/// The newest [`SECONDS`] seconds in which there were calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks(BTreeMap<u32, Beat>);

impl Ticks {
    /// The counts of `second`.
    pub fn beat(&mut self, second: u32) -> &mut Beat {
        self.0.entry(second).or_default()
    }

    /// Adds the calls of `other`, keeps the newest seconds.
    pub fn merge(&mut self, other: &Self) {
        for (second, beat) in &other.0 {
            self.beat(*second).merge(beat);
        }
        self.trim();
    }

    /// Moves every second to where `moved` (Unix nanoseconds) says.
    pub fn reset_clock(&mut self, moved: impl Fn(u64) -> u64) {
        for (second, beat) in std::mem::take(&mut self.0) {
            self.beat(second_of(moved(u64::from(second) * SECOND))).merge(&beat);
        }
    }

    /// Gives every callee the id that `name` says.
    pub fn translate(&mut self, mut name: impl FnMut(&Id) -> Id) {
        for beat in self.0.values_mut() {
            for (service, pulse) in std::mem::take(&mut beat.distant) {
                beat.distant(&name(&service)).merge(&pulse);
            }
        }
    }

    /// Keeps the newest seconds only.
    pub fn trim(&mut self) {
        while self.0.len() > SECONDS {
            self.0.pop_first();
        }
    }

    /// Seconds in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Beat)> {
        self.0.iter().map(|(second, beat)| (*second, beat))
    }
}
