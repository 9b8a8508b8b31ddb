//! Which header values may be shown, and what stands for the others: their class and length.
//!
//! Allowed are only fields whose values describe the message, not the caller. An allowed value is still masked
//! when a part of it looks sensitive.

use crate::call::{Detail, ShownField};
use crate::exchange::Fields;
use crate::sensitive::{classify, is_jwt};
use compact_str::{CompactString, format_compact};

/// Fields of one message that are shown.
const MAX_SHOWN: usize = 64;
/// Longest name and value that are shown.
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 256;

/// Fields whose values may be shown, sorted.
const ALLOWED: [&str; 60] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "alt-svc",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "expect",
    "expires",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-status",
    "grpc-timeout",
    "host",
    "if-modified-since",
    "keep-alive",
    "last-modified",
    "origin",
    "pragma",
    "range",
    "referrer-policy",
    "retry-after",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "server",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-content-type-options",
    "x-frame-options",
    "x-powered-by",
    "x-requested-with",
];

/// Fills what the inspector shows of the two heads.
pub(crate) fn detail(request: &dyn Fields, response: Option<&dyn Fields>, detail: &mut Detail) {
    show_all(request, &mut detail.request_fields);
    detail.response_fields.clear();
    if let Some(response) = response {
        show_all(response, &mut detail.response_fields);
    }
}

fn show_all(fields: &dyn Fields, shown: &mut Vec<ShownField>) {
    shown.clear();
    fields.each(&mut |name, value| {
        if shown.len() < MAX_SHOWN {
            let name = printable(name, MAX_NAME).to_ascii_lowercase();
            let value = show(&name, value);
            shown.push(ShownField { name, value });
        }
    });
}

/// What may be shown of the value of the field `name` (lower case).
#[must_use]
pub fn show(name: &str, value: &[u8]) -> CompactString {
    let harmless =
        ALLOWED.binary_search(&name).is_ok() && !value.split(is_border).any(|word| classify(word).is_some());
    if harmless { printable(value, MAX_VALUE) } else { class(name, value) }
}

/// What ends a word in a header value.
const fn is_border(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b';' | b',' | b'(' | b')' | b'"' | b'\'' | b'<' | b'>' | b'/')
}

/// Class and length of a value, such as `<bearer 40 B>`.
fn class(name: &str, value: &[u8]) -> CompactString {
    let value = value.trim_ascii();
    let len = value.len();
    if name == "cookie" {
        let names = value.split(|byte| *byte == b';').filter(|one| !one.trim_ascii().is_empty()).count();
        return format_compact!("<cookie {names} name{}>", if names == 1 { "" } else { "s" });
    }
    let kind = match name {
        "authorization" | "proxy-authorization" => {
            let (kind, secret) = scheme(value);
            return format_compact!("<{kind} {secret} B>");
        }
        "set-cookie" => "cookie",
        "location" | "referer" | "content-location" | "link" => "url",
        _ => match classify(value) {
            Some(class) => class.name(),
            None if len > 0 && value.iter().all(u8::is_ascii_digit) => "number",
            None => "text",
        },
    };
    format_compact!("<{kind} {len} B>")
}

/// The kind of an `Authorization` value and the length of its secret.
fn scheme(value: &[u8]) -> (&'static str, usize) {
    let space = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, secret) = value.split_at_checked(space).unwrap_or((value, &[]));
    let secret = secret.trim_ascii();
    let known = ["bearer", "basic", "digest", "negotiate", "ntlm", "token", "apikey", "dpop", "hawk"];
    let kind = known.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(scheme));
    match kind {
        Some("bearer") if is_jwt(secret) => ("jwt", secret.len()),
        Some(kind) => (kind, secret.len()),
        None => ("credential", value.len()),
    }
}

/// At most `max` bytes as text, with a question mark for what is not printable ASCII.
fn printable(value: &[u8], max: usize) -> CompactString {
    let shown = value.get(..max).unwrap_or(value);
    shown
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(ALLOWED.is_sorted());
    }

    #[test]
    fn values() {
        for (name, value, want) in [
            ("content-type", "application/json; charset=utf-8", "application/json; charset=utf-8"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0",
                "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0",
            ),
            ("user-agent", "bot (ada@example.com)", "<text 21 B>"),
            ("authorization", "Bearer 0123456789", "<bearer 10 B>"),
            ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "<jwt 41 B>"),
            ("authorization", "Basic YWRhOnB3", "<basic 8 B>"),
            ("authorization", "sekrit", "<credential 6 B>"),
            ("cookie", "a=1; b=2", "<cookie 2 names>"),
            ("set-cookie", "sid=abc; HttpOnly", "<cookie 17 B>"),
            ("location", "/reset?t=1", "<url 10 B>"),
            ("x-forwarded-for", "192.0.2.1", "<text 9 B>"),
            ("x-customer", "12345", "<number 5 B>"),
            ("x-mail", "ada@example.com", "<email 15 B>"),
            ("x-unknown", "", "<text 0 B>"),
            ("server", "ng\u{1b}[31mx", "ng?[31mx"),
        ] {
            assert_eq!(show(name, value.as_bytes()), want, "{name}: {value}");
        }
    }

    proptest! {
        #[test]
        fn only_bounded_printable_text_comes_out(name in "[a-z-]{0,20}", value in proptest::collection::vec(any::<u8>(), 0..600)) {
            let shown = show(&name, &value);
            prop_assert!(shown.len() <= MAX_VALUE);
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
        }
    }
}
