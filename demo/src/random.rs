//! Pseudo-random numbers that repeat from run to run: SplitMix64 over a counter. Never for secrets.

/// Scrambles a counter (SplitMix64 finaliser: Steele, Lea, Flood, «Fast splittable pseudorandom number generators», 2014).
pub(crate) const fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    counter: u64,
}

impl Random {
    /// The stream of `seed`; streams of different seeds do not overlap in practice.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { counter: mix(seed.wrapping_add(1)) }
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.counter)
    }

    /// The next number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Whether the next one of `n` equally likely things happens.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_stream() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_value_below_the_bound_comes_up() {
        let mut random = Random::new(1);
        let seen = (0..200).map(|_| random.below(6)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(seen, (0..6).collect());
        assert_eq!(random.below(0), 0);
    }
}
