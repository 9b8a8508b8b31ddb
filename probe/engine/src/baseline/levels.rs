//! How high something usually is: a histogram of half powers of two, which forgets and does not follow outliers.

use serde::{Deserialize, Serialize};

/// Samples after which everything counts half: about two weeks of minutes of one actor.
const FULL: u64 = 20_000;
/// Samples after which nothing far above what is known is taken for what it is.
const SETTLED: u64 = 60;
/// How far above what nine of ten samples stay below a sample may be: who wants to move that must make a tenth of them.
const LEAP: u64 = 8;
/// Buckets: two for each power of two.
const BUCKETS: u8 = 128;

/// Samples by bucket: `(bucket, samples)`, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u8, u64)>", into = "Vec<(u8, u64)>")]
pub struct Levels(Vec<(u8, u64)>);

impl Levels {
    /// Learns one; what leaps far above the others counts as just so far above them.
    pub fn learn(&mut self, value: u64) {
        let most =
            if self.len() >= SETTLED { self.quantile(0.9).max(1).saturating_mul(LEAP) } else { u64::MAX };
        self.put(bucket_of(value.min(most)), 1);
        if self.len() > FULL {
            self.halve();
        }
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What one in a hundred samples goes beyond: the upper end of its bucket, at most 1.42 times as much.
    #[must_use]
    pub fn usual_most(&self) -> u64 {
        self.quantile(0.99)
    }

    /// The upper end of the bucket in which a quantile (0 to 1) lies; 0 without samples.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = (quantile * self.len() as f64).ceil().max(1.0) as u64;
        let mut below = 0_u64;
        let found = self.0.iter().find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        });
        found.map_or(0, |(bucket, _)| upper_end(*bucket))
    }

    /// Adds the samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, count)| self.put(*bucket, *count));
        while self.len() > FULL {
            self.halve();
        }
    }

    pub(super) fn halve(&mut self) {
        self.0.iter_mut().for_each(|(_, count)| *count /= 2);
        self.0.retain(|(_, count)| *count > 0);
    }

    fn put(&mut self, bucket: u8, more: u64) {
        match self.0.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => {
                self.0.get_mut(at).into_iter().for_each(|(_, count)| *count = count.saturating_add(more));
            }
            Err(at) => self.0.insert(at, (bucket, more)),
        }
    }
}

impl From<Vec<(u8, u64)>> for Levels {
    /// Accepts anything, within the bounds.
    fn from(pairs: Vec<(u8, u64)>) -> Self {
        let mut levels = Self::default();
        let known = pairs.into_iter().filter(|(bucket, count)| *bucket < BUCKETS && *count > 0);
        known.for_each(|(bucket, count)| levels.put(bucket, count.min(FULL)));
        while levels.len() > FULL {
            levels.halve();
        }
        levels
    }
}

impl From<Levels> for Vec<(u8, u64)> {
    fn from(levels: Levels) -> Self {
        levels.0
    }
}

/// 0 and 1 have one each; from 2 on, every power of two has two: below and above one and a half times it.
fn bucket_of(value: u64) -> u8 {
    if value < 2 {
        return value as u8;
    }
    let power = value.ilog2();
    let upper = (value >> (power - 1)) & 1;
    ((2 * power) as u8).saturating_add(upper as u8).min(BUCKETS - 1)
}

fn upper_end(bucket: u8) -> u64 {
    if bucket < 2 {
        return u64::from(bucket);
    }
    let (power, upper) = (u32::from(bucket / 2), bucket % 2 == 1);
    let low = 1_u64 << power.min(63);
    if upper { low.saturating_mul(2).saturating_sub(1) } else { (low + low / 2).saturating_sub(1).max(low) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_attack_does_not_become_the_norm() {
        let mut levels = Levels::default();
        (0..1_000).for_each(|n| levels.learn(5 + n % 5));
        let before = levels.usual_most();
        (0..100).for_each(|_| levels.learn(1_000_000));
        assert!(levels.usual_most() <= 10 * before, "{} {before}", levels.usual_most());
    }

    #[test]
    fn it_forgets() {
        let mut levels = Levels::default();
        (0..FULL).for_each(|_| levels.learn(1_000));
        (0..5 * FULL).for_each(|_| levels.learn(10));
        assert!(levels.usual_most() < 20 && levels.len() <= FULL);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values(value in any::<u64>()) {
            let end = upper_end(bucket_of(value));
            prop_assert!(end >= value && (value < 2 || end / 2 <= value), "{value} {end}");
        }

        #[test]
        fn anything_is_read(pairs in proptest::collection::vec((any::<u8>(), any::<u64>()), 0..50)) {
            let levels = Levels::from(pairs);
            prop_assert!(levels.len() <= FULL);
            prop_assert_eq!(Levels::from(Vec::from(levels.clone())), levels);
        }
    }
}
