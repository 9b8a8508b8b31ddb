//! Whether a segment is a value as a whole, and of which type: by the kinds of its bytes.

use super::{MAX_LITERAL, extension};
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Shortest mixed letters and digits that are an identifier rather than a name: `sku123`.
const MIXED_LEN: usize = 6;
const MIXED_DIGITS: usize = 3;
/// Shortest hexadecimal run that is an identifier: git's short hashes.
const HEX_LEN: usize = 7;
/// Shortest base64-like run: twelve random bytes.
const BASE64_LEN: usize = 16;

/// Names that hold digits and yet are names.
pub(super) const NAMES_WITH_DIGITS: [&str; 34] = [
    "amd64",
    "arm64",
    "base32",
    "base58",
    "base64",
    "ed25519",
    "error404",
    "es256",
    "h264",
    "h265",
    "hs256",
    "hs512",
    "http2",
    "http3",
    "iso3166",
    "iso4217",
    "iso8601",
    "latin1",
    "mp3",
    "mp4",
    "oauth2",
    "p256",
    "pkcs12",
    "rs256",
    "s3",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "utf16",
    "utf8",
    "windows10",
    "x509",
    "x86_64",
];

/// How many bytes of each kind a segment has.
#[derive(Default)]
struct Shape {
    digits: usize,
    lower: usize,
    upper: usize,
    hex_letters: usize,
    dashes: usize,
    other: usize,
}

impl Shape {
    fn of(segment: &str) -> Self {
        let mut shape = Self::default();
        for byte in segment.bytes() {
            match byte {
                b'0'..=b'9' => shape.digits += 1,
                b'a'..=b'z' => shape.lower += 1,
                b'A'..=b'Z' => shape.upper += 1,
                b'-' | b'_' => shape.dashes += 1,
                _ => shape.other += 1,
            }
            shape.hex_letters += usize::from(matches!(byte, b'a'..=b'f' | b'A'..=b'F'));
        }
        shape
    }

    const fn letters(&self) -> usize {
        self.lower + self.upper
    }
}

/// The name of the type of a segment that is a value as a whole; `None` when it may be a name.
pub(super) fn class(segment: &str) -> Option<&'static str> {
    if segment.starts_with('{') {
        return Some(placeholder(segment));
    }
    if segment.len() > MAX_LITERAL {
        return Some(if segment.bytes().all(is_base64) && is_unpronounceable(segment) {
            "{id:b64}"
        } else {
            "{text}"
        });
    }
    let shape = Shape::of(segment);
    if shape.digits == segment.len() && !segment.is_empty() {
        return Some(number(segment.len()));
    }
    if shape.other == 0 && shape.digits > 0 {
        return compact(segment, &shape);
    }
    if shape.other > 0 {
        return punctuated(segment, &shape);
    }
    None
}

/// Digits only. A number has at most twenty; more of them are a hexadecimal identifier that has no letter by chance.
pub(super) const fn number(len: usize) -> &'static str {
    match len {
        24 => "{id:oid}",
        32 | 40 | 64 => "{id:hex}",
        _ => "{id:int}",
    }
}

/// Letters, digits, `-` and `_`, with at least one digit.
fn compact(segment: &str, shape: &Shape) -> Option<&'static str> {
    let len = segment.len();
    if is_version(segment) || NAMES_WITH_DIGITS.binary_search_by(|name| name.cmp(&segment)).is_ok() {
        return None;
    }
    if shape.dashes > 0
        && let Some(name) = dashed(segment, shape)
    {
        return Some(name);
    }
    if shape.dashes == 0 && shape.letters() == shape.hex_letters && len >= HEX_LEN {
        return Some(if len == 24 { "{id:oid}" } else { "{id:hex}" });
    }
    if is_ulid(segment, shape) {
        return Some("{id:ulid}");
    }
    if len >= BASE64_LEN && shape.lower > 0 && shape.upper > 0 && is_unpronounceable(segment) {
        return Some("{id:b64}");
    }
    let mixed = len >= MIXED_LEN && shape.digits >= MIXED_DIGITS && shape.letters() > 0;
    (mixed && !is_title(segment)).then_some("{id:mixed}")
}

/// Forms whose dashes have fixed places.
fn dashed(segment: &str, shape: &Shape) -> Option<&'static str> {
    let dash_at = |places: &[usize]| places.iter().all(|place| segment.as_bytes().get(*place) == Some(&b'-'));
    if segment.len() == 36
        && shape.dashes == 4
        && shape.digits + shape.hex_letters == 32
        && dash_at(&[8, 13, 18, 23])
    {
        return Some("{id:uuid}");
    }
    if segment.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) {
        return Some("{id:int}");
    }
    if is_date(segment) {
        return Some("{date}");
    }
    (shape.letters() == 0 && shape.digits >= 5).then_some("{id:digits}")
}

/// Holds something besides letters, digits, `-` and `_`.
fn punctuated(segment: &str, shape: &Shape) -> Option<&'static str> {
    if is_email(segment) {
        return Some("{email}");
    }
    if shape.letters() == 0
        && let Some(name) = numeric(segment, shape)
    {
        return Some(name);
    }
    if segment.get(10..11) == Some("T") && segment.get(..10).is_some_and(is_date) {
        return Some("{time}");
    }
    if segment.contains(':') && Ipv6Addr::from_str(segment).is_ok() {
        return Some("{ip}");
    }
    if segment.ends_with('=') && segment.len() >= 8 && segment.bytes().all(is_base64) {
        return Some("{id:b64}");
    }
    if extension(segment).is_some() || segment.contains([':', '(', '@', '%', '.']) {
        return None;
    }
    (shape.digits >= MIXED_DIGITS && segment.len() >= MIXED_LEN).then_some("{id:mixed}")
}

/// Digits and punctuation only.
fn numeric(segment: &str, shape: &Shape) -> Option<&'static str> {
    let parts = || segment.split('.');
    let numbers = parts().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if numbers {
        let octets = parts().all(|part| part.parse::<u8>().is_ok());
        return match parts().count() {
            4 if octets => Some("{ip}"),
            // `1.0` and `12.4` are how APIs write versions.
            2 if segment.len() <= 4 => None,
            2 => Some("{id:num}"),
            _ => Some("{version}"),
        };
    }
    if segment.starts_with('+') && shape.digits >= 7 {
        return Some("{phone}");
    }
    if shape.digits >= 4 && segment.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return Some("{time}");
    }
    let unsigned = segment.strip_prefix('-').unwrap_or(segment);
    if shape.digits > 0 && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-')) {
        return Some("{id:num}");
    }
    None
}

/// What stands in braces is the decoder's class of something it took out: braces of the wire come escaped.
fn placeholder(segment: &str) -> &'static str {
    const KNOWN: [&str; 5] = ["{cut}", "{email}", "{jwt}", "{opaque}", "{token}"];
    KNOWN.iter().find(|known| **known == segment).copied().unwrap_or("{text}")
}

/// `my-title-of-2026`: several words and a number; whether it is a value, its siblings will tell.
fn is_title(segment: &str) -> bool {
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_alphabetic());
    segment.split(['-', '_']).filter(word).count() >= 2
}

/// `v1`, `v2.1`, `v1beta2`, `v1alpha1`, `2v`: names of versions stay literal.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix(['v', 'V']) else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest.get(digits..).unwrap_or_default();
    (1..=3).contains(&digits)
        && (after.is_empty() || ["alpha", "beta", "rc", "p"].iter().any(|stage| after.starts_with(stage)))
}

/// `2026-11-22` or `2026-11`.
fn is_date(segment: &str) -> bool {
    let mut parts = segment.split('-');
    let mut number = |len: usize, low: u32, high: u32| {
        parts
            .next()
            .filter(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|part| part.parse().ok())
            .is_some_and(|number: u32| (low..=high).contains(&number))
    };
    let (year, month) = (number(4, 1900, 2199), number(2, 1, 12));
    year && month && (segment.len() == 7 || (segment.len() == 10 && number(2, 1, 31)))
}

/// 26 characters of Crockford's base 32 that start within the 48-bit time.
fn is_ulid(segment: &str, shape: &Shape) -> bool {
    let one_case = shape.lower == 0 || shape.upper == 0;
    segment.len() == 26
        && one_case
        && shape.digits >= 2
        && segment.starts_with(['0', '1', '2', '3', '4', '5', '6', '7'])
        && segment.bytes().all(|b| !matches!(b.to_ascii_lowercase(), b'i' | b'l' | b'o' | b'u' | b'-' | b'_'))
}

fn is_email(segment: &str) -> bool {
    let at = segment.split_once('@').or_else(|| segment.split_once("%40"));
    at.is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.len() >= 4
            && domain.get(1..domain.len() - 2).is_some_and(|inner| inner.contains('.'))
    })
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'+')
}

/// Changes between lower case, upper case and digits more often than words do.
fn is_unpronounceable(segment: &str) -> bool {
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    let changed = |[a, b]: &&[u8; 2]| kind(*a) != kind(*b) && kind(*a) != 3 && kind(*b) != 3;
    let changes = segment.as_bytes().array_windows().filter(changed).count();
    changes * 4 >= segment.len()
}
