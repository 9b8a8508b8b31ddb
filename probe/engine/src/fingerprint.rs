//! A 64-bit hash that is the same on every node and in every version: for sketches and for matching
//! legs of proxied calls. Not keyed and not for hash tables: whoever writes the path can make it collide.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of `bytes`, equal on every machine.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    let mut state = MULTIPLIER ^ (bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut tail = 0_u64;
    for byte in rest {
        tail = (tail << 8) | u64::from(*byte);
    }
    finish(mix(state, tail))
}

/// Hash of two hashes, in order.
#[must_use]
pub fn pair(first: u64, second: u64) -> u64 {
    finish(mix(first, second))
}

const fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER)
}

/// The finaliser of MurmurHash3: every input bit reaches every output bit.
const fn finish(mut state: u64) -> u64 {
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn is_the_same_for_ever() {
        assert_ne!(of(b""), of(b"\0"));
        assert_ne!(of(b"a"), of(b"b"));
        assert_eq!(
            of(b"/users/17"),
            3_778_073_760_404_717_600,
            "golden value: a change breaks merging between versions"
        );
    }

    #[test]
    fn spreads_counting_numbers_evenly() {
        let top: BTreeSet<u64> = (0..4096).map(|n: u32| of(n.to_string().as_bytes()) >> 55).collect();
        assert_eq!(top.len(), 512);
    }
}
