//! Values of JSON documents, found by their keys without reading the document: names and signs, no amounts.

use crate::call::Notes;
use memchr::memmem;

/// Keys of amounts, of which less than nothing makes no sense.
const AMOUNTS: [&[u8]; 7] = [b"quantity", b"qty", b"amount", b"price", b"total", b"cents", b"count"];
/// Keys of what the server ought to know by itself.
const PRICES: [&[u8]; 3] = [b"price", b"discount", b"unit_cost"];
/// Longest key that is looked at.
const MAX_KEY: usize = 48;

/// What a JSON body says about amounts.
pub(super) fn amounts(body: &[u8]) -> Notes {
    let mut notes = Notes::default();
    for at in memchr::memchr_iter(b':', body) {
        let (before, after) = body.split_at_checked(at).unwrap_or_default();
        let Some(key) = key_before(before) else { continue };
        let value = after.get(1..).unwrap_or_default().trim_ascii_start();
        let is_number = value.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
        if !is_number {
            continue;
        }
        if value.first() == Some(&b'-') && holds(key, &AMOUNTS) {
            notes.add(Notes::NEGATIVE_AMOUNT);
        }
        if holds(key, &PRICES) {
            notes.add(Notes::NAMES_PRICE);
        }
    }
    notes
}

/// The key whose closing quote `before` ends with.
fn key_before(before: &[u8]) -> Option<&[u8]> {
    let inner = before.trim_ascii_end().strip_suffix(b"\"")?;
    let begin = inner.len().saturating_sub(MAX_KEY);
    let near = inner.get(begin..)?;
    near.get(memchr::memrchr(b'"', near)? + 1..)
}

fn holds(key: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| key.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// The value of the first `key` (with its quotes) of a document, as it stands there.
pub(super) fn of<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(body, key)? + key.len();
    let rest = body.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted && depth <= 1 => return rest.get(..at + usize::from(depth == 1)),
            b'}' | b']' if !quoted => depth -= 1,
            b',' if !quoted && depth == 0 => return rest.get(..at),
            _ => {}
        }
    }
    Some(rest)
}

/// What a browser would run, in a document that should hold data.
pub(super) fn is_markup(body: &[u8]) -> bool {
    [&b"<script"[..], b"javascript:", b"\\u003cscript"]
        .iter()
        .any(|markup| memmem::find(body, markup).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_told_by_key_and_sign() {
        assert!(amounts(br#"{"sku":"a","quantity": -3}"#).any(Notes::NEGATIVE_AMOUNT));
        assert!(!amounts(br#"{"temperature":-3,"quantity":3}"#).any(Notes::NEGATIVE_AMOUNT));
        assert!(amounts(br#"{"price_cents":1}"#).any(Notes::NAMES_PRICE));
        assert!(!amounts(br#"{"sort":"price","at":"12:-1"}"#).any(Notes::NAMES_PRICE));
    }

    #[test]
    fn a_value_ends_where_it_ends() {
        let body = br#"{"params":{"arguments":{"q":"}\"{","n":[1]},"name":"x"}}"#;
        assert_eq!(of(body, b"\"arguments\"").unwrap(), br#"{"q":"}\"{","n":[1]}"#);
        assert_eq!(of(br#"{"a": 1, "b": 2}"#, b"\"a\"").unwrap(), b"1");
        assert_eq!(of(br#"{"a":1}"#, b"\"a\"").unwrap(), b"1");
        assert_eq!(of(b"{}", b"\"a\""), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..200), json in "[a:\"{}\\[\\],\\\\-]{0,60}") {
            for body in [&body[..], json.as_bytes()] {
                amounts(body);
                of(body, b"\"a\"");
                is_markup(body);
            }
        }
    }
}
