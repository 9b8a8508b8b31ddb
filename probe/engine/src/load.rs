//! What any group of calls adds up to: counts, bytes, latency, the time it spans.

use crate::sketch::Sketch;
use apisec_proto::body::shape::{Classes, Tally};
use apisec_proto::call::{AuthScheme, Call, Notes};
use apisec_proto::sensitive::Sensitive;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Totals of a group of calls. Adding up is exact, in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Calls.
    pub calls: u64,
    /// Calls that failed: answered 4xx or 5xx, not at all, or with a failure by the word of the application.
    pub errors: u64,
    /// Calls that were not answered.
    pub unanswered: u64,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes.
    pub response_bytes: u64,
    /// Calls that were read from within TLS.
    pub encrypted: u64,
    /// Calls within TLS to which the client showed a certificate of its own.
    pub mutual: u64,
    /// Calls that carried no credential.
    pub anonymous: u64,
    /// Requests and responses that carried a sensitive class, by class, as far as bodies and queries were read.
    pub classes: [Tally; 2],
    /// First call, Unix nanoseconds; `u64::MAX` when there is none.
    pub first: u64,
    /// Last call, Unix nanoseconds.
    pub last: u64,
    /// Total time.
    pub latency: Sketch,
    /// Calls of the newest seconds.
    pub seconds: Seconds,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            calls: 0,
            errors: 0,
            unanswered: 0,
            request_bytes: 0,
            response_bytes: 0,
            encrypted: 0,
            mutual: 0,
            anonymous: 0,
            classes: Default::default(),
            first: u64::MAX,
            last: 0,
            latency: Sketch::default(),
            seconds: Seconds::default(),
        }
    }
}

impl Load {
    /// Counts one call.
    pub fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.errors += u64::from(call.is_error());
        self.unanswered += u64::from(call.is_unanswered());
        self.request_bytes = self.request_bytes.saturating_add(call.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(call.response_bytes);
        self.encrypted += u64::from(call.tls.is_some());
        self.mutual += u64::from(call.notes.any(Notes::CLIENT_CERTIFICATE));
        self.anonymous += u64::from(call.auth == AuthScheme::None);
        if let Some(bodies) = &call.bodies {
            let found = [[&bodies.request, &bodies.query], [&bodies.response, &None]];
            for (classes, parts) in self.classes.iter_mut().zip(found) {
                let mut held = Classes::default();
                let all = parts.into_iter().flatten().flat_map(|body| body.sensitive.iter());
                all.for_each(|(class, _values)| held.insert(class));
                Sensitive::ALL
                    .into_iter()
                    .filter(|class| held.contains(*class))
                    .for_each(|class| classes.add(class));
            }
        }
        self.first = self.first.min(call.at);
        self.last = self.last.max(call.at);
        if !call.is_one_way() {
            self.latency.add_ns(call.duration);
        }
        self.seconds.add(second_of(call.at), 1);
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.encrypted = self.encrypted.saturating_add(other.encrypted);
        self.mutual = self.mutual.saturating_add(other.mutual);
        self.anonymous = self.anonymous.saturating_add(other.anonymous);
        self.classes.iter_mut().zip(&other.classes).for_each(|(ours, theirs)| ours.merge(theirs));
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.latency.merge(&other.latency);
        self.seconds.merge(&other.seconds);
    }

    /// Moves every time to where `moved` says.
    pub fn reset_clock(&mut self, moved: impl Fn(u64) -> u64) {
        if self.first != u64::MAX {
            self.first = moved(self.first);
        }
        self.last = moved(self.last);
        let before = std::mem::take(&mut self.seconds);
        for (second, calls) in before.0.into_iter().filter(|(_, calls)| *calls > 0) {
            self.seconds.add(second_of(moved(u64::from(second) * SECOND)), calls);
        }
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        let mut latency = std::mem::take(&mut self.latency);
        latency.clear();
        *self = Self { latency, ..Self::default() };
    }
}

/// The second in which `at` (Unix nanoseconds) lies, good until 2106.
#[must_use]
pub fn second_of(at: u64) -> u32 {
    u32::try_from(at / SECOND).unwrap_or(u32::MAX)
}

/// Seconds of which the calls are remembered one by one: enough for "the last whole second" while
/// deltas of several nodes arrive up to three seconds apart.
const KEPT: usize = 4;

/// Calls in each of the newest four seconds in which there were any: (second, calls), newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seconds([(u32, u64); KEPT]);

impl Seconds {
    /// Adds `calls` to `second`; what is older than the newest four is forgotten.
    pub fn add(&mut self, second: u32, calls: u64) {
        let mut carried = (second, calls);
        for kept in &mut self.0 {
            if kept.0 == carried.0 {
                kept.1 = kept.1.saturating_add(carried.1);
                return;
            }
            if kept.0 < carried.0 {
                std::mem::swap(kept, &mut carried);
            }
        }
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (second, calls) in other.0 {
            if calls > 0 {
                self.add(second, calls);
            }
        }
    }

    /// Calls in `second`, 0 when it is not among the newest four.
    #[must_use]
    pub fn at(&self, second: u32) -> u64 {
        self.0.iter().find(|(kept, _)| *kept == second).map_or(0, |(_, calls)| *calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(seconds: &[u32]) -> Seconds {
        let mut kept = Seconds::default();
        seconds.iter().for_each(|second| kept.add(*second, 1));
        kept
    }

    proptest! {
        #[test]
        fn the_newest_seconds_are_exact_in_any_order(
            a in proptest::collection::vec(1_u32..12, 0..30), b in proptest::collection::vec(1_u32..12, 0..30)
        ) {
            let mut ab = of(&a);
            ab.merge(&of(&b));
            let mut all = [a, b].concat();
            prop_assert_eq!(ab, of(&all));
            all.sort_unstable();
            let newest = all.last().copied().unwrap_or(0);
            prop_assert_eq!(ab.at(newest), all.iter().filter(|second| **second == newest).count() as u64);
        }
    }
}
