//! Some of the calls behind a finding: the earliest of each outcome, redacted as calls are.

use super::Outcome;
use apisec_proto::call::Call;
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
        self.offer(call.at, &call.path, call.status.unwrap_or(0), outcome);
    }

    /// The calls, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.kept.iter().take(self.used)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|sample| self.offer(sample.at, &sample.path, sample.status, sample.outcome));
    }

    pub(super) const fn clear(&mut self) {
        self.used = 0;
    }

    fn offer(&mut self, at: u64, path: &str, status: u16, outcome: Outcome) {
        let mut last = None;
        let mut like = 0;
        for (place, sample) in self.iter().enumerate().filter(|(_, sample)| sample.outcome == outcome) {
            (last, like) = (Some(place), like + 1);
            if (sample.at, sample.path.as_str(), sample.status) == (at, path, status) {
                return;
            }
        }
        let mut free = self.used;
        if like >= KEPT {
            let Some((place, sample)) = last.and_then(|place| Some((place, self.kept.get(place)?))) else {
                return;
            };
            if (sample.at, sample.path.as_str(), sample.status) < (at, path, status) {
                return;
            }
            free = place;
        } else if self.kept.len() == self.used {
            self.kept.push(Sample { at, path: String::new(), status, outcome });
        }
        self.used += usize::from(free == self.used);
        if let Some(sample) = self.kept.get_mut(free) {
            (sample.at, sample.status, sample.outcome) = (at, status, outcome);
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
        for sample in samples {
            let end = sample.path.floor_char_boundary(512);
            kept.offer(sample.at, sample.path.get(..end).unwrap_or_default(), sample.status, sample.outcome);
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
