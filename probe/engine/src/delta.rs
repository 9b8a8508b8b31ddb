//! What one node observed in about one second, as an aggregate that can be added to any other.
//!
//! Its size follows the number of active endpoints and edges, not the request rate; only the log and the
//! legs follow the rate, and both are bounded. Adding is associative and commutative.

use crate::call_log::CallChunk;
use crate::endpoint::{EndpointKey, EndpointStats, Id};
use crate::graph::EdgeKey;
use crate::graph::hop::Legs;
use crate::load::Load;
use crate::rename::Rename;
use crate::tick::Ticks;
use crate::trail::{Trail, TrailKey};
use apisec_proto::call::Workload;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod clock;
mod division;
mod names;
mod trust;

/// A workload's description with the last call that it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The workload's id, shared with the keys.
    pub id: Id,
    /// Unix nanoseconds of that call.
    pub at: u64,
    /// The description.
    pub workload: Arc<Workload>,
}

impl Described {
    /// Keeps the better of two descriptions: the fuller, then the newer, then the greater. True when the
    /// text changed, not just the time.
    pub fn merge(&mut self, other: &Self) -> bool {
        if other.rank() <= self.rank() {
            return false;
        }
        let changed = !Arc::ptr_eq(&self.workload, &other.workload) && self.workload != other.workload;
        *self = other.clone();
        changed
    }

    /// A total order, so that the best of many does not depend on the order of merging.
    fn rank(&self) -> impl PartialOrd + use<'_> {
        let known = &*self.workload;
        let texts = [
            &known.name,
            &known.exe,
            &known.command,
            &known.user,
            &known.unit,
            &known.container,
            &known.runtime,
            &known.pod_uid,
            &known.address,
            &known.owner,
        ];
        let filled = texts.iter().filter(|text| !text.is_empty()).count()
            + usize::from(known.pid != 0)
            + usize::from(known.netns != 0);
        (filled, self.at, known.pid, known.netns, known.kind, texts)
    }
}

/// A mergeable aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Start, Unix nanoseconds; 0 when it holds nothing yet.
    pub from: u64,
    /// End, Unix nanoseconds.
    pub to: u64,
    /// The workloads that the calls name.
    pub workloads: Vec<Described>,
    /// Endpoints with at least one call.
    pub endpoints: Vec<(EndpointKey, EndpointStats)>,
    /// Edges with at least one call.
    pub edges: Vec<(EdgeKey, Load)>,
    /// Totals by second.
    pub ticks: Ticks,
    /// Legs of calls that may have gone through a proxy.
    pub legs: Vec<Arc<Legs>>,
    /// The calls themselves.
    pub log: Vec<Arc<CallChunk>>,
    /// Workloads whose ids were refined.
    pub renames: Vec<Rename>,
    /// What was left behind, by whom, in which epoch: the features of the detectors.
    pub trails: Vec<(TrailKey, u32, Trail)>,
    /// Calls whose trail could not be told from others' because a bound of the node was reached.
    pub crowded: u64,
    /// Calls that were counted in an `{overflow}` row because a bound of the node was reached.
    pub overflowed: u64,
    /// Calls that a proxy may have passed on and that were not followed because a bound was reached.
    pub unfollowed: u64,
}

impl Delta {
    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: Self) {
        self.from = if self.to == 0 { other.from } else { self.from.min(other.from) };
        self.to = self.to.max(other.to);
        self.workloads.extend(other.workloads);
        self.endpoints.extend(other.endpoints);
        self.edges.extend(other.edges);
        self.trails.extend(other.trails);
        self.unite();
        self.ticks.merge(&other.ticks);
        self.legs.extend(other.legs);
        self.log.extend(other.log);
        self.renames.extend(other.renames);
        unite(&mut self.renames, Ord::cmp, |_, _| ());
        self.crowded = self.crowded.saturating_add(other.crowded);
        self.overflowed = self.overflowed.saturating_add(other.overflowed);
        self.unfollowed = self.unfollowed.saturating_add(other.unfollowed);
    }

    /// Adds up rows with equal keys.
    fn unite(&mut self) {
        unite(
            &mut self.workloads,
            |a, b| a.id.cmp(&b.id),
            |ours, theirs| {
                ours.merge(theirs);
            },
        );
        unite(&mut self.endpoints, |a, b| a.0.cmp(&b.0), |ours, theirs| ours.1.merge(&theirs.1));
        unite(&mut self.edges, |a, b| a.0.cmp(&b.0), |ours, theirs| ours.1.merge(&theirs.1));
        unite(&mut self.trails, |a, b| (&a.0, a.1).cmp(&(&b.0, b.1)), |ours, theirs| ours.2.merge(&theirs.2));
    }

    /// Calls that it counts.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.edges.iter().fold(0, |sum, (_, load)| sum.saturating_add(load.calls))
    }
}

/// Sorts `rows` and merges those with equal keys.
fn unite<T>(rows: &mut Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering, merge: impl Fn(&mut T, &T)) {
    rows.sort_by(&order);
    rows.dedup_by(|later, earlier| {
        let same = order(earlier, later).is_eq();
        if same {
            merge(earlier, later);
        }
        same
    });
}
