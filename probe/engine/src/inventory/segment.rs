//! Types a path segment by its shape alone: no history, no dictionary, the same on every node.
//!
//! Deliberately careful: what might be a word stays literal; siblings that turn out to be values are
//! folded later by [`template`](super::template), which can see them side by side.

mod value;

use value::{class, number};

/// Segments of a path that are typed one by one; deeper ones become `{rest}`. No API in use is this deep.
pub const MAX_SEGMENTS: usize = 24;
/// A longer segment is not a name that anyone typed.
pub const MAX_LITERAL: usize = 64;

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
        assert!(value::NAMES_WITH_DIGITS.is_sorted());
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
