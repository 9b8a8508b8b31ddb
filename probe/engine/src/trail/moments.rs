//! When things happened: the newest, each with a number that says what.

use serde::{Deserialize, Serialize};

/// Moments that are kept under one mark: what is joined lies some seconds apart, and a burst is a burst by then.
const KEPT: usize = 32;

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// When, Unix nanoseconds.
    pub at: u64,
    /// What, by a keyed hash or a code of the detector.
    pub what: u64,
}

/// The newest moments, oldest first. Which are kept depends on the set of all alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Moment>", into = "Vec<Moment>")]
pub struct Moments(Vec<Moment>);

impl Moments {
    /// Adds one; the oldest makes room.
    pub fn add(&mut self, moment: Moment) {
        let Err(at) = self.0.binary_search(&moment) else { return };
        if self.0.len() < KEPT {
            self.0.insert(at, moment);
        } else if let Some(before) = at.checked_sub(1)
            && let Some(older) = self.0.get_mut(..at)
        {
            older.rotate_left(1);
            self.0.get_mut(before).into_iter().for_each(|place| *place = moment);
        }
    }

    /// Those that are kept, oldest first.
    #[must_use]
    pub fn kept(&self) -> &[Moment] {
        &self.0
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|moment| self.add(*moment));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl From<Vec<Moment>> for Moments {
    /// Accepts anything, and keeps the newest.
    fn from(moments: Vec<Moment>) -> Self {
        let mut kept = Self::default();
        moments.into_iter().for_each(|moment| kept.add(moment));
        kept
    }
}

impl From<Moments> for Vec<Moment> {
    fn from(moments: Moments) -> Self {
        moments.0
    }
}
