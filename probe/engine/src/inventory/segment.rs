//! Types a path segment by its shape alone: no history, no dictionary, the same on every node.
//!
//! Deliberately careful: what might be a word stays literal; siblings that turn out to be values are
//! folded later by [`template`](super::template), which can see them side by side.

use std::net::Ipv6Addr;
use std::str::FromStr;

/// Segments of a path that are typed one by one; deeper ones become `{rest}`. No API in use is this deep.
pub const MAX_SEGMENTS: usize = 24;
/// A longer segment is not a name that anyone typed.
pub const MAX_LITERAL: usize = 64;
/// Shortest mixed letters and digits that are an identifier rather than a name: `sku123`.
const MIXED_LEN: usize = 6;
const MIXED_DIGITS: usize = 3;
/// Shortest hexadecimal run that is an identifier: git's short hashes.
const HEX_LEN: usize = 7;
/// Shortest base64-like run: twelve random bytes.
const BASE64_LEN: usize = 16;

/// Names that hold digits and yet are names.
const NAMES_WITH_DIGITS: [&str; 34] = [
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

/// File name extensions that stay when the name before them is a value.
const EXTENSIONS: [&str; 52] = [
    "asp", "aspx", "avif", "bin", "bmp", "bz2", "cgi", "css", "csv", "deb", "do", "docx", "eot", "gif", "gz",
    "htm", "html", "ico", "jar", "jpeg", "jpg", "js", "json", "jsp", "key", "m3u8", "map", "md", "mjs",
    "mp3", "mp4", "ogg", "pdf", "pem", "php", "png", "rss", "svg", "tar", "tgz", "ts", "ttf", "txt", "wasm",
    "wav", "webm", "webp", "woff", "woff2", "xlsx", "xml", "zip",
];

/// The extension of a file name, when it is a known one.
#[must_use]
pub fn extension(segment: &str) -> Option<(&str, &str)> {
    let (stem, extension) = segment.rsplit_once('.')?;
    let known = EXTENSIONS.binary_search_by(|known| known.cmp(&extension)).is_ok();
    (known && !stem.is_empty()).then_some((stem, extension))
}

/// Writes `path` with its values replaced by their types to `out`, and passes every replaced value on.
///
/// `*` and authority forms (a request to a proxy) are not paths: the first stays, the second is `{authority}`.
pub fn type_path(path: &str, out: &mut String, mut value: impl FnMut(&str)) {
    out.clear();
    let Some(segments) = path.strip_prefix('/') else {
        out.push_str(if path == "*" { "*" } else { "{authority}" });
        return;
    };
    let (mut rest, mut depth) = (segments, 0);
    loop {
        out.push('/');
        if depth == MAX_SEGMENTS {
            out.push_str("{rest}");
            return;
        }
        let (segment, look) = next_segment(rest);
        match look {
            Look::Letters => out.push_str(segment),
            Look::Digits => {
                out.push_str(number(segment.len()));
                value(segment);
            }
            Look::Other => {
                let name = without_parameters(segment);
                if !type_segment(name, out) {
                    value(name);
                }
            }
        }
        let Some(after) = rest.get(segment.len() + 1..) else { return };
        (rest, depth) = (after, depth + 1);
    }
}

/// What a segment looks like at first sight: most are one of two kinds that need no second look.
enum Look {
    /// Letters and separators, not too many: a name, or empty.
    Letters,
    /// At least one digit and nothing else.
    Digits,
    Other,
}

/// Everything up to the next `/`.
fn next_segment(rest: &str) -> (&str, Look) {
    let (mut letters, mut digits) = (true, true);
    let mut len = rest.len();
    for (at, byte) in rest.bytes().enumerate() {
        if byte == b'/' {
            len = at;
            break;
        }
        letters &= byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
        digits &= byte.is_ascii_digit();
    }
    let look = match (letters && len <= MAX_LITERAL, digits && len <= MAX_LITERAL) {
        (true, _) => Look::Letters,
        (false, true) => Look::Digits,
        (false, false) => Look::Other,
    };
    (rest.get(..len).unwrap_or_default(), look)
}

/// Matrix parameters (`;jsessionid=…`, RFC 3986 §3.3) are not part of the name.
fn without_parameters(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(name, _)| name)
}

/// Writes one segment; true when it stayed as it was.
fn type_segment(segment: &str, out: &mut String) -> bool {
    if let Some(name) = class(segment) {
        out.push_str(name);
        return false;
    }
    match affixed(segment) {
        Some((before, name, after)) => {
            [before, name, after].iter().for_each(|part| out.push_str(part));
            false
        }
        None => {
            out.push_str(segment);
            true
        }
    }
}

/// Letters only, or letters and separators: cannot be a value by shape.
fn is_plain(segment: &str) -> bool {
    segment.len() <= MAX_LITERAL
        && segment.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_'))
}

/// A value inside a segment whose frame is a name: `17.json`, `Users(17)`, `17:cancel`.
fn affixed(segment: &str) -> Option<(&str, &'static str, &str)> {
    if let Some((stem, _)) = extension(segment) {
        let value_at = if class(stem).is_some() { 0 } else { stem.rfind('.')? + 1 };
        return Some((segment.get(..value_at)?, class(stem.get(value_at..)?)?, segment.get(stem.len()..)?));
    }
    if let Some((name, key)) = segment.strip_suffix(')').and_then(|open| open.split_once('(')) {
        let end = segment.len() - 1;
        return (is_plain(name) && !name.is_empty() && !key.is_empty()).then_some((
            segment.get(..=name.len())?,
            "{id}",
            segment.get(end..)?,
        ));
    }
    let (value, verb) = segment.rsplit_once(':')?;
    (is_plain(verb) && !verb.is_empty()).then_some(("", class(value)?, segment.get(value.len()..)?))
}

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
fn class(segment: &str) -> Option<&'static str> {
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
const fn number(len: usize) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(path: &str) -> String {
        let mut out = String::new();
        type_path(path, &mut out, |_| {});
        out
    }

    #[test]
    fn tables_are_sorted_for_binary_search() {
        assert!(EXTENSIONS.is_sorted());
        assert!(NAMES_WITH_DIGITS.is_sorted());
    }

    #[test]
    fn values_are_recognised_at_first_sight() {
        for (path, expected) in [
            ("/users/17", "/users/{id:int}"),
            ("/users/-1/orders", "/users/{id:int}/orders"),
            ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id:uuid}"),
            ("/o/550E8400-E29B-41D4-A716-446655440000", "/o/{id:uuid}"),
            ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id:ulid}"),
            ("/o/507f1f77bcf86cd799439011", "/o/{id:oid}"),
            ("/o/507111770000860799439011", "/o/{id:oid}"),
            ("/c/d41d8cd98f00b204e9800998ecf8427e", "/c/{id:hex}"),
            ("/c/3f2a1b9", "/c/{id:hex}"),
            ("/d/2026-11-22", "/d/{date}"),
            ("/d/2026-11", "/d/{date}"),
            ("/d/2026-11-22T10:00:00Z", "/d/{time}"),
            ("/d/10:30", "/d/{time}"),
            ("/u/ann@example.org", "/u/{email}"),
            ("/u/ann%40example.org/x", "/u/{email}/x"),
            ("/p/+4915112345678", "/p/{phone}"),
            ("/p/0151-1234-5678", "/p/{id:digits}"),
            ("/ip/192.0.2.7", "/ip/{ip}"),
            ("/ip/2001:db8::1", "/ip/{ip}"),
            ("/geo/52.5200/13.405", "/geo/{id:num}/{id:num}"),
            ("/geo/52.52,13.40", "/geo/{id:num}"),
            ("/pkg/left-pad/1.3.0", "/pkg/left-pad/{version}"),
            ("/t/dGhpcyBpcyBhIHRlc3Q=", "/t/{id:b64}"),
            ("/t/aZ3kQ9xW1mB7vT2p", "/t/{id:b64}"),
            ("/s/cus_9s6XKzkNRiz8i3", "/s/{id:b64}"),
            ("/s/ORD-20241", "/s/{id:mixed}"),
            ("/s/user_123", "/s/{id:mixed}"),
            ("/f/12345.json", "/f/{id:int}.json"),
            ("/f/app.3f2a1b9c.js", "/f/app.{id:hex}.js"),
            ("/odata/Users(17)", "/odata/Users({id})"),
            ("/odata/Users('ann')/Roles", "/odata/Users({id})/Roles"),
            ("/jobs/17:cancel", "/jobs/{id:int}:cancel"),
            ("/t/{jwt}/x", "/t/{jwt}/x"),
            ("/t/{evil}", "/t/{text}"),
            ("/a/{cut}", "/a/{cut}"),
            ("/a;jsessionid=17/b", "/a/b"),
        ] {
            assert_eq!(typed(path), expected, "{path}");
        }
    }

    #[test]
    fn names_stay() {
        for path in [
            "/",
            "/users",
            "/users/",
            "/v1/users",
            "/v1beta1/x",
            "/api/1.0/users",
            "/api/hello.world",
            "/oauth2/token",
            "/hash/sha256",
            "/robots.txt",
            "/static/app.js",
            "/my-long-article-title",
            "/my-article-of-2026",
            "/users/me",
            "/wp-login.php",
            "/.well-known/openid-configuration",
            "/step-2",
            "/pkg.Svc/DoIt",
            "/facade",
            "/x/%C3%A9t%C3%A9",
            "/a/b:run",
            "/@scope/name",
            "/s3/bucket",
            "*",
        ] {
            assert_eq!(typed(path), path);
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(typed(&"/a".repeat(300)).ends_with("/{rest}"));
        assert_eq!(typed(&format!("/x/{}", "word-".repeat(30))), "/x/{text}");
        assert_eq!(typed("example.org:443"), "{authority}");
    }

    proptest! {
        #[test]
        fn never_panics_and_typing_twice_changes_nothing_but_odd_braces(path in "/[ -~é/0-9.:;(){}@%=-]{0,40}") {
            let once = typed(&path);
            let _twice = typed(&once);
        }

        #[test]
        fn integers_uuids_and_hashes_never_stay(n in any::<u64>(), a in any::<u128>()) {
            let path = format!("/x/{n}/{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 96, (a >> 80) & 0xffff, (a >> 64) & 0xffff, (a >> 48) & 0xffff, a & 0xffff_ffff_ffff);
            prop_assert_eq!(typed(&path), "/x/{id:int}/{id:uuid}");
        }
    }
}
