//! Keyed hashes of what must not be kept: the same secret gives the same number under one key, and nothing
//! about it to whoever does not hold the key.
//!
//! HMAC-SHA256 names identities. SipHash-2-4 is for what changes with every call (trace ids) and for looking up
//! a secret without keeping it. Both are fixed functions, so that nodes that share a key agree.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Hashes under one key.
pub(crate) struct KeyedHash {
    mac: Hmac<Sha256>,
    sip: [u64; 2],
}

impl KeyedHash {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        // A MAC key shorter than a block is padded with zeros (RFC 2104 §2).
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        let mac = Hmac::new(&block.into());
        let mut keyed = Self { mac, sip: [0; 2] };
        keyed.sip = [keyed.mac(&[b"sip", b"0"]), keyed.mac(&[b"sip", b"1"])];
        keyed
    }

    /// The first 8 bytes of the HMAC of the parts, each with its length in front.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> u64 {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// SipHash-2-4 of `bytes`, distinct for each `purpose`.
    pub(crate) fn quick(&self, purpose: u64, bytes: &[u8]) -> u64 {
        let [k0, k1] = self.sip;
        sip24(k0 ^ purpose, k1, bytes)
    }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
fn sip24(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks();
    let mut last = (bytes.len() as u64) << 56;
    for (i, byte) in rest.iter().enumerate() {
        last |= u64::from(*byte) << (8 * i);
    }
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]) {
        let [v0, v1, v2, v3] = state;
        let [v0, v1, v2, v3] = round(round([v0, v1, v2, v3 ^ word]));
        state = [v0 ^ word, v1, v2, v3];
    }
    let [v0, v1, v2, v3] = state;
    let [v0, v1, v2, v3] = round(round(round(round([v0, v1, v2 ^ 0xff, v3]))));
    v0 ^ v1 ^ v2 ^ v3
}

const fn round([mut v0, mut v1, mut v2, mut v3]: [u64; 4]) -> [u64; 4] {
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    [v0, v1, v2, v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_agrees_with_its_authors() {
        // The example of the paper's appendix: key 00..0f, input 00..0e.
        let key = |from: u8| u64::from_le_bytes(std::array::from_fn(|i| from + i as u8));
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(sip24(key(0), key(8), &input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn mac_is_hmac_sha256() {
        // Parts are prefixed by their length, so the text here is that of one empty part.
        let hash = KeyedHash::new(&[0x0b; 32]);
        let mut plain = Hmac::<Sha256>::new_from_slice(&[0x0b; 32]).unwrap();
        plain.update(&[0; 8]);
        let want: [u8; 32] = plain.finalize().into_bytes().into();
        assert_eq!(hash.mac(&[b""]).to_be_bytes(), want[..8]);
    }

    #[test]
    fn keys_purposes_and_borders_matter() {
        let (one, two) = (KeyedHash::new(&[1; 32]), KeyedHash::new(&[2; 32]));
        assert_ne!(one.mac(&[b"a"]), two.mac(&[b"a"]));
        assert_ne!(one.mac(&[b"ab", b"c"]), one.mac(&[b"a", b"bc"]));
        assert_ne!(one.quick(1, b"a"), one.quick(2, b"a"));
        assert_eq!(one.quick(1, b"a"), KeyedHash::new(&[1; 32]).quick(1, b"a"));
    }
}
