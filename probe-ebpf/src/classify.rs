//! What the first payload bytes of a stream are.
//!
//! Works on words instead of bytes: every branch costs the verifier a path, and start-up time with it.

/// Bytes that are looked at.
pub const PREFIX: usize = 16;

/// The verdict on a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An HTTP/1 request line begins here.
    Request,
    /// An HTTP/1 status line begins here.
    Response,
    /// A TLS record.
    Tls,
    /// The HTTP/2 client preface.
    Http2,
    /// Too short to tell; nothing contradicts HTTP/1 so far.
    Undecided,
    /// Something else.
    Other,
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;
const STATUS_LINE: u64 = u64::from_le_bytes(*b"HTTP/1.\0");
const PREFACE: u64 = u64::from_le_bytes(*b"PRI * HT");
const CONNECT: u64 = u64::from_le_bytes(*b"CONNECT ");
/// Characters below 64 that can begin a request target: `% * / ?`.
const TARGET: u64 = 1 << b'%' | 1 << b'*' | 1 << b'/' | 1 << b'?';

/// Classifies the first `len` bytes of a payload (`len` ≤ [`PREFIX`], the rest is zero).
#[inline(always)]
pub fn classify(bytes: &[u8; 2 * PREFIX], len: usize) -> Class {
    let first = word(bytes, 0);
    let present = if len >= 8 { u64::MAX } else { (1u64 << (len as u64 * 8)) - 1 };
    if (0x14..=0x17).contains(&bytes[0]) {
        return tls(bytes, len);
    }
    if first == PREFACE {
        return Class::Http2;
    }
    if is_status_line(first) {
        return Class::Response;
    }
    // An empty line may come before a request line (RFC 9112 §2.2).
    if bytes[0] == b'\r' || bytes[0] == b'\n' || (len < 7 && first == STATUS_LINE & present) {
        return Class::Undecided;
    }
    request(first, word(bytes, 8), present, len)
}

/// Whether these eight bytes, in memory order, begin a status line.
#[inline(always)]
pub fn is_status_line(first: u64) -> bool {
    first << 8 == STATUS_LINE << 8
}

/// Whether these eight bytes begin a frame of a WebSocket that holds text or bytes and ends within `payload`: bodies that
/// look so by chance are shipped in vain.
#[inline(always)]
pub fn is_message(first: u64, payload: u32) -> bool {
    let [kind, second, high, low, ..] = first.to_le_bytes();
    if kind & 0xbf != 0x81 && kind & 0xbf != 0x82 {
        return false;
    }
    let mask = (second >> 7) as u32 * 4;
    match second & 0x7f {
        126 => 4 + mask + u16::from_be_bytes([high, low]) as u32 <= payload,
        127 => high == 0 && low == 0,
        len => 2 + mask + len as u32 <= payload,
    }
}

/// Whether these eight bytes begin a line of a stream of events, or a comment in one.
#[inline(always)]
pub fn is_event(first: u64) -> bool {
    const MARKS: [(u64, u32); 5] = [
        (u64::from_le_bytes(*b"data:\0\0\0"), 5),
        (u64::from_le_bytes(*b"event:\0\0"), 6),
        (u64::from_le_bytes(*b"id:\0\0\0\0\0"), 3),
        (u64::from_le_bytes(*b"retry:\0\0"), 6),
        (u64::from_le_bytes(*b": \0\0\0\0\0\0"), 2),
    ];
    let mut found = false;
    for (mark, len) in MARKS {
        found |= first << (64 - 8 * len) == mark << (64 - 8 * len);
    }
    found
}

/// How many bytes the head of a chunk takes that these eight begin with: up to five digits and the end of the line; else 0.
#[inline(always)]
pub fn chunk_head(first: u64) -> u32 {
    let octets = first.to_le_bytes();
    for digits in 1..6 {
        if !octets[digits - 1].is_ascii_hexdigit() {
            return 0;
        }
        if octets[digits] == b'\r' && octets[digits + 1] == b'\n' {
            return digits as u32 + 2;
        }
    }
    0
}

/// Eight of the first bytes, in memory order.
#[inline(always)]
pub fn word(bytes: &[u8; 2 * PREFIX], at: usize) -> u64 {
    // SAFETY: `at` is 0 or 8.
    unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() }
}

#[inline(always)]
fn tls(bytes: &[u8; 2 * PREFIX], len: usize) -> Class {
    if len < 3 {
        Class::Undecided
    } else if bytes[1] == 3 && bytes[2] <= 4 {
        Class::Tls
    } else {
        Class::Other
    }
}

/// Method token of 3 to 15 capitals, one space, then what can begin a request target: `EHLO x` of SMTP
/// is not one.
#[inline(always)]
fn request(first: u64, second: u64, present: u64, len: usize) -> Class {
    let spaces = spaces(first);
    if spaces != 0 {
        let before = (spaces & spaces.wrapping_neg()) - 1;
        let method = capitals(first) & before == HIGH & before && before > 0x0080_0000;
        return if method { target(first, second, before.wrapping_add(1)) } else { Class::Other };
    }
    if capitals(first) & present != HIGH & present {
        return Class::Other;
    }
    if len <= 8 {
        return Class::Undecided;
    }
    long_method(second, len)
}

/// The method fills the first eight bytes.
#[inline(always)]
fn long_method(second: u64, len: usize) -> Class {
    let spaces = spaces(second);
    if spaces == 0 {
        return if len < PREFIX { Class::Undecided } else { Class::Other };
    }
    let before = (spaces & spaces.wrapping_neg()) - 1;
    if capitals(second) & before != HIGH & before {
        return Class::Other;
    }
    target(second, 0, before.wrapping_add(1))
}

/// Judges the byte after the space, whose marker bit `space` is.
#[inline(always)]
fn target(word: u64, next_word: u64, space: u64) -> Class {
    // `space << 1` is 2^(8·n): dividing by it shifts the byte after the space down; past the last byte of
    // the word it is 0.
    let after = word.checked_div(space << 1).unwrap_or(next_word) & 0xff;
    if after == 0 {
        return Class::Undecided;
    }
    let plausible = (after < 64 && TARGET >> after & 1 == 1) || after | 0x20 == b'h' as u64;
    if plausible || word == CONNECT { Class::Request } else { Class::Other }
}

/// The high bit of every byte that is a capital letter.
#[inline(always)]
pub fn capitals(word: u64) -> u64 {
    let low = word & LOW7;
    let above_z = low + ONES * (0x7f - b'Z' as u64);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    from_a & !above_z & !word & HIGH
}

/// The high bit of the first byte that is a space, perhaps of later bytes too.
#[inline(always)]
pub fn spaces(word: u64) -> u64 {
    let differs = word ^ ONES * b' ' as u64;
    differs.wrapping_sub(ONES) & !differs & HIGH
}
