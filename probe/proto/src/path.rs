//! Request targets: taken apart, normalised (RFC 3986 §6.2.2), and freed of what must not be shown.
//!
//! Braces in a path are always ours: those of the wire come out percent-encoded.

use crate::sensitive::{MIN_SUSPECT, MIN_WORDY, Sensitive, classify, is_announced};
use compact_str::CompactString;

/// Longest path that a call shows.
pub const MAX_PATH: usize = 512;
/// What stands for the rest of a path that is too long.
const CUT: &str = "/{cut}";

/// A request target in its parts, as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Host and port of the absolute and the authority form, without user information; else empty.
    pub authority: &'a [u8],
    /// Path, `*`, or empty.
    pub path: &'a [u8],
    /// Query without its `?`.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// Takes a target apart (RFC 9112 §3.2). `tunnel`: it is that of a CONNECT.
    #[must_use]
    pub fn parse(target: &'a [u8], tunnel: bool) -> Self {
        if tunnel {
            return Self { authority: without_user(target), ..Self::default() };
        }
        let target = before(target, b'#').0;
        let (mut path, query) = before(target, b'?');
        let mut authority = &[][..];
        if path.first() != Some(&b'/')
            && let Some(scheme) = path.windows(3).position(|three| three == b"://")
        {
            let rest = path.get(scheme + 3..).unwrap_or_default();
            let slash = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            (authority, path) = rest.split_at_checked(slash).unwrap_or((rest, &[]));
        }
        Self { authority: without_user(authority), path, query }
    }
}

/// Splits at the first `mark`, which belongs to neither part.
fn before(text: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(mark, text).and_then(|at| text.split_at_checked(at)) {
        Some((first, [_, rest @ ..])) => (first, rest),
        _ => (text, &[]),
    }
}

fn without_user(authority: &[u8]) -> &[u8] {
    let at = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    authority.get(at..).unwrap_or_default()
}

/// Writes the normalised path into `out`, with sensitive segments replaced by their class in braces.
/// `scratch` is reused between calls.
pub fn normalise(path: &[u8], scratch: &mut Vec<u8>, out: &mut CompactString) {
    out.clear();
    if is_simple(path) {
        out.push_str(str::from_utf8(path).unwrap_or_default());
        return;
    }
    if path == b"*" {
        out.push('*');
    } else {
        normalise_segments(path, scratch, out);
    }
}

fn normalise_segments(path: &[u8], scratch: &mut Vec<u8>, out: &mut CompactString) {
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(raw) = segments.next() {
        let segment = decode(raw, scratch);
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                if !push_segment(segment, out) {
                    out.push_str(CUT);
                    return;
                }
                continue;
            }
        }
        if last {
            out.push('/');
        }
    }
    if out.is_empty() {
        out.push('/');
    }
}

/// Whether a path is in normal form and every segment too short to be sensitive, as most are.
fn is_simple(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/").filter(|rest| rest.len() < MAX_PATH / 2) else {
        return false;
    };
    let mut run = 0;
    let mut digits = false;
    for byte in segments {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => run += 1,
            b'0'..=b'9' => {
                run += 1;
                digits = true;
            }
            b'.' if run > 0 => run += 1,
            b'/' if run > 0 => (run, digits) = (0, false),
            _ => return false,
        }
        if run >= MIN_SUSPECT && (digits || run >= MIN_WORDY) {
            return false;
        }
    }
    true
}

/// Appends a segment, or its class. Whether it had room.
fn push_segment(segment: &[u8], out: &mut CompactString) -> bool {
    let before = out.rsplit('/').next().unwrap_or_default();
    let class =
        classify(segment).or_else(|| is_announced(before.as_bytes(), segment).then_some(Sensitive::Token));
    let text = match class {
        Some(class) => class.name(),
        None => str::from_utf8(segment).unwrap_or_default(),
    };
    if out.len() + text.len() + 3 + CUT.len() > MAX_PATH {
        return false;
    }
    out.push('/');
    if class.is_some() {
        out.push('{');
        out.push_str(text);
        out.push('}');
    } else {
        out.push_str(text);
    }
    true
}

/// Writes the names of the query's parameters into `out`, at most as many as a call shows.
pub(crate) fn query_names(
    query: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut smallvec::SmallVec<[CompactString; 2]>,
) {
    let mut count = 0;
    let pairs = query.split(|byte| matches!(byte, b'&' | b';')).filter(|pair| !pair.is_empty());
    for pair in pairs.take(MAX_NAMES) {
        let name = decode(before(pair, b'=').0, scratch);
        if out.len() == count {
            out.push(CompactString::default());
        }
        let Some(slot) = out.get_mut(count) else { return };
        slot.clear();
        match classify(name) {
            Some(class) => {
                slot.push('{');
                slot.push_str(class.name());
                slot.push('}');
            }
            None => slot.push_str(str::from_utf8(name.get(..MAX_NAME).unwrap_or(name)).unwrap_or_default()),
        }
        count += 1;
    }
    out.truncate(count);
}

/// Decodes a value of a query or a form: percent-encoding, and a plus sign for a blank.
pub fn decode_form<'s>(text: &[u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    scratch.clear();
    let mut rest = text;
    while let Some((byte, after)) = form_byte(rest) {
        scratch.push(byte);
        rest = after;
    }
    scratch
}

/// The first byte of such a value, decoded, and what follows it.
pub(crate) fn form_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, tail) = text.split_first()?;
    Some(match (first, tail) {
        (b'+', _) => (b' ', tail),
        (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => (high << 4 | low, after),
            _ => (b'%', tail),
        },
        _ => (*first, tail),
    })
}

/// Parameter names that a call shows, and the longest.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 64;

/// Decodes what need not be encoded, encodes what must be, in upper case; the result is ASCII.
fn decode<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if raw.iter().all(|byte| is_plain(*byte)) {
        return raw;
    }
    scratch.clear();
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    let byte = high << 4 | low;
                    if !is_unreserved(byte) {
                        encode(byte, scratch);
                        continue;
                    }
                    byte
                }
                _ => b'%',
            },
            _ => *first,
        };
        if is_plain(byte) { scratch.push(byte) } else { encode(byte, scratch) }
    }
    scratch
}

fn encode(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| {
        char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit.to_ascii_uppercase() as u8)
    };
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 §3.3 without the percent sign.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> String {
        let mut out = CompactString::default();
        normalise(text.as_bytes(), &mut Vec::new(), &mut out);
        out.into()
    }

    fn names(text: &str) -> Vec<String> {
        let mut out = smallvec::smallvec![CompactString::from("left over"), "b".into(), "c".into()];
        query_names(text.as_bytes(), &mut Vec::new(), &mut out);
        out.iter().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn normal_form() {
        for (raw, want) in [
            ("/", "/"),
            ("", "/"),
            ("*", "*"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2e/b", "/b"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/%7Eada/%41%2fb", "/~ada/A%2Fb"),
            ("/caf%c3%a9/\u{e9}", "/caf%C3%A9/%C3%A9"),
            ("/{id}", "/%7Bid%7D"),
            ("/a%zz%", "/a%25zz%25"),
            ("/a b\"", "/a%20b%22"),
            ("/%00", "/%00"),
        ] {
            assert_eq!(path(raw), want, "{raw}");
        }
    }

    #[test]
    fn sensitive_segments_become_classes() {
        assert_eq!(path("/users/ada@example.com/orders"), "/users/{email}/orders");
        assert_eq!(path("/u/ada%40example.com"), "/u/{email}");
        assert_eq!(path("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"), "/t/{jwt}");
        assert_eq!(path("/reset/550e8400-e29b-41d4-a716-446655440000"), "/reset/{token}");
        assert_eq!(
            path("/x/550e8400-e29b-41d4-a716-446655440000"),
            "/x/550e8400-e29b-41d4-a716-446655440000"
        );
    }

    #[test]
    fn a_long_path_is_cut_between_segments() {
        let long = path(&"/abcdefgh".repeat(100));
        assert!(long.len() <= MAX_PATH && long.ends_with("/abcdefgh/{cut}"), "{long}");
    }

    #[test]
    fn targets() {
        let parse = |text: &'static str, tunnel| {
            let target = Target::parse(text.as_bytes(), tunnel);
            [target.authority, target.path, target.query].map(|part| str::from_utf8(part).unwrap())
        };
        assert_eq!(parse("/a?b=c?d#e", false), ["", "/a", "b=c?d"]);
        assert_eq!(parse("http://u:p@h:80/a?x=http://y", false), ["h:80", "/a", "x=http://y"]);
        assert_eq!(parse("http://h", false), ["h", "", ""]);
        assert_eq!(parse("/r?u=http://h/p", false), ["", "/r", "u=http://h/p"]);
        assert_eq!(parse("/r/http://h/p", false), ["", "/r/http://h/p", ""]);
        assert_eq!(parse("u:p@h:443", true), ["h:443", "", ""]);
        assert_eq!(parse("*", false), ["", "*", ""]);
    }

    #[test]
    fn query_keeps_names_only() {
        assert_eq!(names("a=1&b=secret&&c"), ["a", "b", "c"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"), ["{jwt}"]);
        assert_eq!(names(&"a&".repeat(40)).len(), MAX_NAMES);
        assert_eq!(names(&"a".repeat(100)), ["a".repeat(MAX_NAME)]);
        assert_eq!(names("ids%5B%5D=1"), ["ids%5B%5D"]);
    }

    proptest! {
        /// The quick way gives what the thorough way gives.
        #[test]
        fn simple_paths_are_normal(raw in "(/[a-zA-Z0-9._-]{0,26}){0,5}(/reset/[a-z0-9]{10,14})?/?") {
            if is_simple(raw.as_bytes()) {
                let mut out = CompactString::default();
                normalise_segments(raw.as_bytes(), &mut Vec::new(), &mut out);
                prop_assert_eq!(raw, out);
            }
        }

        /// Bounded, ASCII, and a fixed point: normalising twice changes nothing more.
        #[test]
        fn normalising_is_idempotent(raw in proptest::collection::vec(
            prop_oneof![3 => prop::sample::select(b"/.%2eaf~0A@".to_vec()), 1 => any::<u8>()], 0..700)) {
            let mut once = CompactString::default();
            normalise(&raw, &mut Vec::new(), &mut once);
            prop_assert!(once.len() <= MAX_PATH && once.is_ascii());
            prop_assert!(once.starts_with('/') || once == "*");
            if !once.contains('{') && !once.contains("%25") {
                let mut twice = CompactString::default();
                normalise(once.as_bytes(), &mut Vec::new(), &mut twice);
                prop_assert_eq!(once, twice);
            }
        }
    }
}
