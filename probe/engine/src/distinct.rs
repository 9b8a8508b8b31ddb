//! Distinct counts: exact up to [`EXACT`] values, then a HyperLogLog of 512 registers (standard error 4.6 %).
//!
//! The state is a function of the set of values alone, so merging is exactly associative and commutative
//! down to the bytes. Our own because the crates' sparse forms depend on the order of arrival;
//! `datasketches` is the oracle in the tests. Estimator: O. Ertl, "New cardinality estimation algorithms
//! for HyperLogLog sketches" (2017), algorithm 6.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Distinct values that are counted exactly.
pub const EXACT: usize = 64;
/// Registers, as a power of two: 512 bytes each where more than [`EXACT`] values were seen.
const INDEX_BITS: u32 = 9;
const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that make the rank, and the largest rank.
const RANK_BITS: u32 = 32 - INDEX_BITS;
const MAX_RANK: u8 = RANK_BITS as u8 + 1;

/// A set of hashes of which only the size is of interest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Distinct(State);

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Upper halves of the hashes, ascending.
    Exact(SmallVec<[u32; 2]>),
    Dense(Box<[u8; REGISTERS]>),
}

#[derive(Serialize, Deserialize)]
enum Wire {
    Exact(Vec<u32>),
    Dense(Vec<u8>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self(State::Exact(SmallVec::new()))
    }
}

impl Distinct {
    /// Adds a value by its [`fingerprint`](crate::fingerprint::of).
    pub fn insert(&mut self, fingerprint: u64) {
        self.insert_half((fingerprint >> 32) as u32);
    }

    /// Takes one value for another from now on. Beyond [`EXACT`] both stay counted, which is within the error.
    pub fn replace(&mut self, from: u64, to: u64) {
        if let State::Exact(values) = &mut self.0 {
            values.retain(|value| *value != (from >> 32) as u32);
        }
        self.insert(to);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            State::Exact(values) => values.iter().for_each(|value| self.insert_half(*value)),
            State::Dense(theirs) => {
                let mut ours = self.take_registers();
                ours.iter_mut().zip(theirs.iter()).for_each(|(our, their)| *our = (*our).max(*their));
                self.0 = State::Dense(ours);
            }
        }
    }

    /// How many distinct values were added: exact up to [`EXACT`], then an estimate.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            State::Exact(values) => values.len() as u64,
            State::Dense(registers) => estimate(registers).round() as u64,
        }
    }

    /// Forgets all values, keeps the memory of the exact form.
    pub fn clear(&mut self) {
        match &mut self.0 {
            State::Exact(values) => values.clear(),
            State::Dense(_) => *self = Self::default(),
        }
    }

    fn insert_half(&mut self, value: u32) {
        match &mut self.0 {
            State::Dense(registers) => raise(registers, value),
            State::Exact(values) => {
                let Err(at) = values.binary_search(&value) else { return };
                if values.len() < EXACT {
                    values.insert(at, value);
                } else {
                    let mut registers = self.take_registers();
                    raise(&mut registers, value);
                    self.0 = State::Dense(registers);
                }
            }
        }
    }

    /// The dense form of what was added so far; leaves the set empty.
    fn take_registers(&mut self) -> Box<[u8; REGISTERS]> {
        match std::mem::take(self).0 {
            State::Dense(registers) => registers,
            State::Exact(values) => {
                let mut registers = Box::new([0; REGISTERS]);
                values.iter().for_each(|value| raise(&mut registers, *value));
                registers
            }
        }
    }
}

fn raise(registers: &mut [u8; REGISTERS], value: u32) {
    let rank = ((value << INDEX_BITS).leading_zeros().min(RANK_BITS) + 1) as u8;
    if let Some(register) = registers.get_mut((value >> RANK_BITS) as usize) {
        *register = (*register).max(rank);
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let mut with_rank = [0_u32; MAX_RANK as usize + 1];
    for rank in registers {
        if let Some(count) = with_rank.get_mut(usize::from(*rank)) {
            *count += 1;
        }
    }
    let m = REGISTERS as f64;
    let share = |rank: u8| f64::from(with_rank.get(usize::from(rank)).copied().unwrap_or(0)) / m;
    let mut z = m * tau(1.0 - share(MAX_RANK));
    for rank in (1..MAX_RANK).rev() {
        z = 0.5 * (z + m * share(rank));
    }
    m * m / (2.0 * std::f64::consts::LN_2 * (z + m * sigma(share(0))))
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

impl From<Distinct> for Wire {
    fn from(distinct: Distinct) -> Self {
        match distinct.0 {
            State::Exact(values) => Self::Exact(values.into_vec()),
            State::Dense(registers) => Self::Dense(registers.to_vec()),
        }
    }
}

impl TryFrom<Wire> for Distinct {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let mut distinct = Self::default();
        match wire {
            Wire::Exact(values) => values.iter().for_each(|value| distinct.insert_half(*value)),
            Wire::Dense(bytes) => {
                let registers: Box<[u8; REGISTERS]> =
                    bytes.try_into().map_err(|_| "a sketch has 512 registers")?;
                if registers.iter().any(|rank| *rank > MAX_RANK) {
                    return Err("a rank is beyond its hash");
                }
                distinct.0 = State::Dense(registers);
            }
        }
        Ok(distinct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.into_iter().for_each(|value| distinct.insert(fingerprint::of(&value.to_le_bytes())));
        distinct
    }

    #[test]
    fn is_exact_while_small() {
        assert_eq!(of(0..EXACT as u64).count(), EXACT as u64);
        assert_eq!(of((0..200).map(|n| n % 5)).count(), 5);
    }

    #[test]
    fn is_within_three_standard_errors_and_agrees_with_the_oracle() {
        for n in [65, 100, 500, 1_000, 1_500, 2_500, 10_000, 100_000, 1_000_000] {
            let ours = of(0..n).count() as f64;
            let mut oracle = datasketches::hll::HllSketch::new(9, datasketches::hll::HllType::Hll6).unwrap();
            (0..n).for_each(|value| oracle.update(value));
            assert!((ours / n as f64 - 1.0).abs() < 0.14, "{n}: {ours}");
            assert!((ours / oracle.estimate() - 1.0).abs() < 0.25, "{n}: {ours} {}", oracle.estimate());
        }
    }

    #[test]
    fn damaged_encodings_are_refused() {
        assert!(Distinct::try_from(Wire::Dense(vec![0; 511])).is_err());
        assert!(Distinct::try_from(Wire::Dense(vec![25; 512])).is_err());
        let many = Distinct::try_from(Wire::Exact((0..10_000).map(|n| n << 8).collect())).unwrap();
        assert!(matches!(many.0, State::Dense(_)));
    }

    proptest! {
        #[test]
        fn merging_is_exact_in_any_order(
            a in proptest::collection::vec(0_u64..200, 0..120), b in proptest::collection::vec(0_u64..200, 0..120)
        ) {
            let whole = of(a.iter().chain(&b).copied());
            let (mut ab, mut ba) = (of(a.iter().copied()), of(b.iter().copied()));
            ab.merge(&of(b.iter().copied()));
            ba.merge(&of(a.iter().copied()));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            let bytes = postcard::to_allocvec(&whole).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Distinct>(&bytes).unwrap(), whole);
        }
    }
}
