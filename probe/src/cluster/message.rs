//! What the two ends say to each other. Enumerations are only ever appended to within a version.

use apisec_engine::command::TemplateRule;
use apisec_engine::delta::Delta;
use apisec_engine::node::Shed;
use apisec_engine::snapshot::Capture;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Seconds between two reports that can be asked for.
pub(crate) const INTERVALS: RangeInclusive<u32> = 1..=5;
/// Addresses that are believed of one node, and of one report.
pub(crate) const MAX_ADDRESSES: usize = 1_024;

/// From whoever watches to an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// The first: watch, this way.
    Watch(Wish),
    /// Somebody is still there; `at` is their time.
    Beat {
        /// Unix nanoseconds.
        at: u64,
    },
    /// Reports up to this one were taken in.
    Taken {
        /// Its number.
        number: u64,
    },
    /// From now on this way.
    Change(Manner),
    /// Detach and end.
    End,
}

/// How an agent shall watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// Time of whoever asks, Unix nanoseconds.
    pub(crate) at: u64,
    /// What the node is called.
    pub(crate) node: String,
    /// Key of the hashes of identities: the same on all nodes.
    pub(crate) key: [u8; 32],
    /// Seconds after which an agent that hears nothing ends.
    pub(crate) patience_s: u32,
    /// The rest, which may change.
    pub(crate) manner: Manner,
}

/// What may change while an agent watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manner {
    /// Seconds between two reports.
    pub(crate) interval_s: u32,
    /// Most calls themselves in a report.
    pub(crate) samples: u32,
    /// Only calls that pass this are samples; empty for all.
    pub(crate) filter: String,
    /// The operator's templating rules.
    pub(crate) rules: Vec<TemplateRule>,
}

/// From an agent to whoever watches.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Say {
    /// It watches.
    Watching(Node),
    /// It cannot, and what to do.
    Refused {
        /// What happened.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// What it observed since the last one.
    Report(Arc<Report>),
    /// An answer to a beat.
    Beat(Echo),
    /// It has detached, for this reason.
    Ended {
        /// Why.
        why: String,
    },
}

/// What an agent says of itself and its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Tells this run of the agent from others.
    pub(crate) run: u64,
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Addresses of the node.
    pub(crate) addresses: Vec<IpAddr>,
    /// What it can do beside watching, by name: `tls`.
    pub(crate) capabilities: Vec<String>,
    /// For the clocks.
    pub(crate) echo: Echo,
}

/// The times of a question and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Echo {
    /// When it was asked, by the asker's clock; Unix nanoseconds, as all of them.
    pub(crate) asked: u64,
    /// When that was heard, by the agent's clock.
    pub(crate) heard: u64,
    /// When it was answered, by the agent's clock.
    pub(crate) answered: u64,
}

impl Echo {
    /// The agent's clock minus the asker's and the time of travel, given when the answer was heard; nanoseconds.
    pub(crate) fn skew(self, now: u64) -> (i64, u64) {
        let there = i128::from(self.heard) - i128::from(self.asked);
        let back = i128::from(self.answered) - i128::from(now);
        let skew = (there + back) / 2;
        let travel = there - back;
        let skew = i64::try_from(skew).unwrap_or(if skew < 0 { i64::MIN } else { i64::MAX });
        (skew, u64::try_from(travel).unwrap_or_default())
    }
}

/// What was observed in one interval.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Counts up from 1 within a run.
    pub(crate) number: u64,
    /// What was observed.
    pub(crate) delta: Delta,
    /// What was captured since the agent's start; absent in parts of a report but the last.
    pub(crate) capture: Option<Box<Capture>>,
    /// Where workloads of this node answered: new or changed since the last report.
    pub(crate) places: Vec<(SocketAddr, String)>,
    /// What is left out to get through.
    pub(crate) shed: Shed,
    /// Sampled calls that were left out, since the start.
    pub(crate) samples_shed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_skew_is_exact_where_both_ways_take_equally_long(
            asked in 1_u64 << 60..1 << 61, skew in -1_000_000_000_000_i64..1_000_000_000_000, way in 0_u64..1 << 40, work in 0_u64..1 << 30
        ) {
            let heard = (asked + way).saturating_add_signed(skew);
            let echo = Echo { asked, heard, answered: heard + work };
            prop_assert_eq!(echo.skew(asked + way + work + way), (skew, 2 * way));
        }

        #[test]
        fn no_clock_is_too_wrong(asked: u64, heard: u64, answered: u64, now: u64) {
            let _any = Echo { asked, heard, answered }.skew(now);
        }
    }
}
