//! Some of the calls behind a finding: the earliest of each outcome, redacted as calls are.

use super::Outcome;
use apisec_proto::call::Call;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Calls that are kept of each outcome: enough to see the pattern, and the log has the others.
const KEPT: usize = 3;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sample {
    /// When, Unix nanoseconds.
    pub at: u64,
    /// Path as called, sensitive segments replaced by their class.
    pub path: String,
    /// Status, 0 when unanswered.
    pub status: u16,
    /// What became of it.
    pub outcome: Outcome,
    /// Method, as the call has it.
    pub method: CompactString,
}

impl Sample {
    /// All but the outcome, as samples are ordered.
    fn what(&self) -> (u64, &str, u16, &str) {
        (self.at, &self.path, self.status, &self.method)
    }
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Sample>", into = "Vec<Sample>")]
pub struct Samples {
    /// In order; those behind `used` are memory for later ones.
    kept: Vec<Sample>,
    used: usize,
}

impl Samples {
    /// Adds a call, if it is among the earliest.
    pub(super) fn add(&mut self, call: &Call, outcome: Outcome) {
        self.offer((call.at, &call.path, call.status.unwrap_or(0), &call.method), outcome);
    }

    /// The calls, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.kept.iter().take(self.used)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|sample| self.offer(sample.what(), sample.outcome));
    }

    pub(super) const fn clear(&mut self) {
        self.used = 0;
    }

    fn offer(&mut self, what: (u64, &str, u16, &str), outcome: Outcome) {
        let mut last = None;
        let mut like = 0;
        for (place, sample) in self.iter().enumerate().filter(|(_, sample)| sample.outcome == outcome) {
            (last, like) = (Some(place), like + 1);
            if sample.what() == what {
                return;
            }
        }
        let mut free = self.used;
        if like >= KEPT {
            let Some((place, sample)) = last.and_then(|place| Some((place, self.kept.get(place)?))) else {
                return;
            };
            if sample.what() < what {
                return;
            }
            free = place;
        } else if self.kept.len() == self.used {
            let (method, path) = Default::default();
            self.kept.push(Sample { at: 0, method, path, status: 0, outcome });
        }
        self.used += usize::from(free == self.used);
        if let Some(sample) = self.kept.get_mut(free) {
            let (at, path, status, method) = what;
            (sample.at, sample.status, sample.outcome) = (at, status, outcome);
            sample.method.clear();
            sample.method.push_str(method);
            sample.path.clear();
            sample.path.push_str(path);
        }
        self.kept.get_mut(..self.used).into_iter().for_each(<[Sample]>::sort_unstable);
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Samples {}

impl From<Vec<Sample>> for Samples {
    /// Accepts anything, within the bounds that samples promise.
    fn from(samples: Vec<Sample>) -> Self {
        let mut kept = Self::default();
        for mut sample in samples {
            let end = sample.path.floor_char_boundary(512);
            sample.path.truncate(end);
            sample.method.truncate(sample.method.floor_char_boundary(32));
            kept.offer(sample.what(), sample.outcome);
        }
        kept
    }
}

impl From<Samples> for Vec<Sample> {
    fn from(mut samples: Samples) -> Self {
        samples.kept.truncate(samples.used);
        samples.kept
    }
}
