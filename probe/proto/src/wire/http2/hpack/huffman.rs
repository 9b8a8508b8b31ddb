//! The Huffman code of HPACK (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: it follows from the lengths alone. Padding that the RFC forbids is refused.

use super::Broken;

/// Bits of every symbol's code, by symbol; the last is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
const EOS: u16 = 256;
/// The shortest and the longest code.
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Level {
    bits: u8,
    /// The last of them, its bits leading in a word that is filled up with ones.
    last: u32,
    /// The first of them, its bits leading in a word that is filled up with zeros.
    first: u32,
    /// Where its symbols begin in [`SYMBOLS`].
    base: u16,
}

/// The symbols in the order of their codes, and the levels in the order of their lengths.
const CODE: ([u16; 257], [Level; LONGEST - SHORTEST + 1]) = code();
static SYMBOLS: [u16; 257] = CODE.0;
static LEVELS: [Level; LONGEST - SHORTEST + 1] = CODE.1;
/// The symbol that eight bits begin with and the length of its code; length 0 when that is longer.
static SHORT: [(u8, u8); 256] = short();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn code() -> ([u16; 257], [Level; LONGEST - SHORTEST + 1]) {
    let mut symbols = [0; 257];
    let mut levels = [Level { bits: 0, last: 0, first: 0, base: 0 }; LONGEST - SHORTEST + 1];
    let (mut length, mut next, mut place) = (SHORTEST, 0u64, 0);
    while length <= LONGEST {
        let (first, base) = (next, place);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                symbols[place] = symbol as u16;
                place += 1;
                next += 1 << (32 - length);
            }
            symbol += 1;
        }
        // A length without codes has no last one: nothing is below it that is not below its predecessor.
        let last = next.saturating_sub(1) as u32;
        levels[length - SHORTEST] =
            Level { bits: length as u8, last, first: first as u32, base: base as u16 };
        length += 1;
    }
    (symbols, levels)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn short() -> [(u8, u8); 256] {
    let (symbols, levels) = CODE;
    let mut short = [(0, 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = (byte as u32) << 24;
        let mut level = 0;
        while level <= 8 - SHORTEST {
            let Level { bits: length, last, first, base } = levels[level];
            if bits <= last && bits >= first {
                let symbol = symbols[base as usize + ((bits - first) >> (32 - length as u32)) as usize];
                short[byte] = (symbol as u8, length);
                break;
            }
            level += 1;
        }
        byte += 1;
    }
    short
}

/// Appends what `bytes` encode.
pub(super) fn decode(mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    // The bits that were taken and not used yet lead; zeros follow them.
    let (mut bits, mut held) = (0u64, 0u32);
    loop {
        if held <= 32 {
            if let Some((word, rest)) = bytes.split_first_chunk() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - held);
                (held, bytes) = (held + 32, rest);
            } else {
                while let Some((byte, rest)) = bytes.split_first().filter(|_| held <= 56) {
                    bits |= u64::from(*byte) << (56 - held);
                    (held, bytes) = (held + 8, rest);
                }
            }
        }
        let (symbol, length) = SHORT.get((bits >> 56) as usize).copied().unwrap_or_default();
        if length != 0 && u32::from(length) <= held {
            out.push(symbol);
            (bits, held) = (bits << length, held - u32::from(length));
            continue;
        }
        let (symbol, length) = long((bits >> 32) as u32);
        if length > held {
            return padding(bits, held);
        }
        out.push(u8::try_from(symbol).map_err(|_| Broken)?);
        (bits, held) = (bits << length, held - length);
    }
}

/// The symbol whose code leads `word`, and its length.
fn long(word: u32) -> (u16, u32) {
    let level = LEVELS.iter().find(|level| word <= level.last);
    let symbol = level.and_then(|level| {
        let place = word.wrapping_sub(level.first) >> (32 - u32::from(level.bits));
        SYMBOLS.get(usize::from(level.base) + place as usize)
    });
    (symbol.copied().unwrap_or(EOS), level.map_or(u32::MAX, |level| u32::from(level.bits)))
}

/// The rest of the last byte: fewer than eight bits, all of them ones.
const fn padding(bits: u64, held: u32) -> Result<(), Broken> {
    if held < 8 && (bits >> 56) as u8 == !(0xff_u8 >> held) { Ok(()) } else { Err(Broken) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What [`decode`] undoes.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let place = SYMBOLS.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            let level = LEVELS
                .iter()
                .rfind(|level| usize::from(level.base) <= place && level.bits == LENGTHS[usize::from(*byte)]);
            let level = level.unwrap();
            let code = (level.first >> (32 - level.bits)) + (place - usize::from(level.base)) as u32;
            bits.extend((0..level.bits).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).ok().map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&host).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0x64, 0x02]).unwrap(), b"302");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn padding_is_short_and_of_ones() {
        assert_eq!(decoded(&[0b0001_1111]).unwrap(), b"a");
        assert_eq!(decoded(&[0b0001_1110]), None, "a zero in the padding");
        assert_eq!(decoded(&[0b0001_1111, 0xff]), None, "a whole byte of padding");
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "EOS");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None, "EOS begins with thirty ones");
    }

    #[test]
    fn the_code_is_complete() {
        let space: u64 = LENGTHS.iter().map(|length| 1 << (32 - u64::from(*length))).sum();
        assert_eq!(space, 1 << 32);
    }
}
