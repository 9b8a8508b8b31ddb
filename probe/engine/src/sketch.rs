//! Latency sketch: a sparse log-linear histogram of whole microseconds.
//!
//! Values below 64 µs are exact. Above, every power of two is cut into 32 equal buckets, so a bucket is at
//! most 1/32 of its value wide and its middle at most 1/64 (1.6 %) off: relative error α ≤ 2 %.
//! Merging adds counts, so it is exactly associative and commutative, and equal content has equal bytes.
//! One sample takes 4 bytes on the wire (postcard), a busy endpoint about 60 buckets.

use serde::{Deserialize, Serialize};

/// Values below this are their own bucket.
const EXACT: u64 = 64;
/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 5;
/// Buckets that exist: 64 exact ones and 32 for each power of two up to 2^64.
const BUCKETS: u16 = 64 + 58 * 32;
/// Bits of a packed bucket that hold its count: 2.8e14 calls.
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Counts per bucket, in bucket order, each packed as `bucket << 48 | count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Sketch {
    packed: Vec<u64>,
}

impl Sketch {
    /// Counts one value, in nanoseconds.
    pub fn add_ns(&mut self, nanoseconds: u64) {
        self.add(bucket_of(nanoseconds / 1000), 1);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.packed.is_empty() {
            self.packed.extend_from_slice(&other.packed);
            return;
        }
        for packed in &other.packed {
            self.add(bucket(*packed), count(*packed));
        }
    }

    /// Forgets the counts, keeps the memory.
    pub fn clear(&mut self) {
        self.packed.clear();
    }

    /// How many values were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.packed.iter().map(|packed| count(*packed)).sum()
    }

    /// No value was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The values at several quantiles (0 to 1, ascending), in microseconds; 0 when empty.
    #[must_use]
    pub fn quantiles_us<const N: usize>(&self, quantiles: [f64; N]) -> [u64; N] {
        let total = self.len();
        let ranks = quantiles.map(|q| ((q * total as f64).ceil() as u64).clamp(1, total.max(1)));
        let mut values = [0; N];
        let mut below = 0;
        let mut wanted = ranks.iter().zip(values.iter_mut()).peekable();
        for packed in &self.packed {
            below += count(*packed);
            while let Some((_, value)) = wanted.next_if(|(rank, _)| **rank <= below) {
                *value = middle_of(bucket(*packed));
            }
        }
        values
    }

    fn add(&mut self, index: u16, more: u64) {
        let at = self.packed.partition_point(|packed| bucket(*packed) < index);
        match self.packed.get_mut(at) {
            Some(packed) if bucket(*packed) == index => {
                *packed = pack(index, count(*packed).saturating_add(more));
            }
            _ => self.packed.insert(at, pack(index, more)),
        }
    }
}

/// The same histogram with a place for every bucket (15 KiB): for the one place where every call counts.
#[derive(Clone, Debug)]
pub struct DenseSketch(Box<[u64]>);

impl Default for DenseSketch {
    fn default() -> Self {
        Self(vec![0; usize::from(BUCKETS)].into_boxed_slice())
    }
}

impl DenseSketch {
    /// Counts one value, in nanoseconds.
    pub fn add_ns(&mut self, nanoseconds: u64) {
        if let Some(count) = self.0.get_mut(usize::from(bucket_of(nanoseconds / 1000))) {
            *count += 1;
        }
    }

    /// Moves the counts into `sketch`.
    pub fn drain_into(&mut self, sketch: &mut Sketch) {
        for (index, count) in self.0.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            sketch.add(index as u16, std::mem::take(count));
        }
    }
}

impl From<Vec<(u16, u64)>> for Sketch {
    /// Accepts anything: buckets that do not exist are counted in the last one, repeated ones are added.
    fn from(pairs: Vec<(u16, u64)>) -> Self {
        let mut sketch = Self::default();
        for (index, count) in pairs {
            sketch.add(index.min(BUCKETS - 1), count);
        }
        sketch
    }
}

impl From<Sketch> for Vec<(u16, u64)> {
    fn from(sketch: Sketch) -> Self {
        sketch.packed.iter().map(|packed| (bucket(*packed), count(*packed))).collect()
    }
}

const fn bucket(packed: u64) -> u16 {
    (packed >> COUNT_BITS) as u16
}

const fn count(packed: u64) -> u64 {
    packed & COUNT_MASK
}

fn pack(bucket: u16, count: u64) -> u64 {
    (u64::from(bucket) << COUNT_BITS) | count.min(COUNT_MASK)
}

fn bucket_of(value: u64) -> u16 {
    if value < EXACT {
        return value as u16;
    }
    let shift = value.ilog2() - SUB_BITS;
    // `value >> shift` lies in 32..64, and shift starts at 1: the first bucket is number 64.
    (shift * 32) as u16 + (value >> shift) as u16
}

fn middle_of(index: u16) -> u64 {
    let index = u64::from(index);
    if index < EXACT {
        return index;
    }
    let shift = index / 32 - 1;
    let lower = (index - shift * 32) << shift;
    lower + ((1_u64 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|us| sketch.add_ns(us.saturating_mul(1000)));
        sketch
    }

    #[test]
    fn one_sample_is_small_on_the_wire() {
        for us in [0, 63, 1_000, 60_000_000, u64::MAX / 1000] {
            assert!(postcard::to_allocvec(&of(&[us])).unwrap().len() < 10);
        }
    }

    #[test]
    fn buckets_are_contiguous_and_within_range() {
        assert_eq!(bucket_of(63), 63);
        assert_eq!(bucket_of(64), 64);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        for value in 0..100_000_u64 {
            assert!(bucket_of(value + 1) - bucket_of(value) <= 1);
        }
    }

    #[test]
    fn an_empty_sketch_says_zero() {
        assert_eq!(Sketch::default().quantiles_us([0.5, 0.99]), [0, 0]);
    }

    #[test]
    fn hostile_encodings_are_made_harmless() {
        let sketch = Sketch::from(vec![(u16::MAX, u64::MAX), (3, 1), (3, 1), (1, 0)]);
        assert_eq!(sketch.packed.len(), 3);
        let [p0] = sketch.quantiles_us([0.0]);
        assert!(p0 >= 1);
    }

    proptest! {
        #[test]
        fn the_middle_is_within_two_percent(value in 0..u64::MAX / 1000) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) as f64 <= value as f64 * 0.02);
        }

        #[test]
        fn quantiles_are_within_two_percent_of_the_truth(
            mut values in proptest::collection::vec(0_u64..10_000_000, 1..300), q in 0.0..1.0_f64
        ) {
            let sketch = of(&values);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let truth = values[rank - 1];
            let [estimate] = sketch.quantiles_us([q]);
            prop_assert!(estimate.abs_diff(truth) as f64 <= truth as f64 * 0.02 + 0.5);
        }

        #[test]
        fn merging_is_exact_in_any_order(
            a in proptest::collection::vec(any::<u32>(), 0..50),
            b in proptest::collection::vec(any::<u32>(), 0..50),
        ) {
            let (a, b): (Vec<u64>, Vec<u64>) = (a.iter().map(|v| u64::from(*v)).collect(), b.iter().map(|v| u64::from(*v)).collect());
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            let mut dense = DenseSketch::default();
            a.iter().chain(&b).for_each(|us| dense.add_ns(us * 1000));
            let mut drained = Sketch::default();
            dense.drain_into(&mut drained);
            dense.drain_into(&mut drained);
            prop_assert_eq!(&drained, &whole);
            let bytes = postcard::to_allocvec(&whole).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Sketch>(&bytes).unwrap(), whole);
        }
    }
}
