//! Finds the identifiers that a call names, and those that it was given, and makes keyed hashes of them.
//!
//! An identifier is a word with a digit in it: a number, a UUID, `ord_81`. Words without digits are left alone, except
//! where they are the value of a claim.

use crate::call::{Call, MAX_ASKED, MAX_GIVEN, Objects};
use crate::exchange::{Exchange, Request};
use crate::json::{Text, Token, Tokens};
use crate::keyed_hash::KeyedHash;
use crate::path::Target;

/// Purposes of the quick hash.
const OBJECT: u64 = 80;
const ACCOUNT: u64 = 81;
const PASSWORD: u64 = 82;

/// Longest identifier.
const MAX_ID: usize = 64;
/// Segments of a path that are looked at.
const SEGMENTS: usize = 8;
/// Bytes of an answer that are searched.
const MAX_READ: usize = 8 << 10;
/// Bytes of a request to log in.
const MAX_LOGIN: usize = 4 << 10;

/// Words in the path of an operation by which one gets in.
const LOGIN: [&str; 11] =
    ["login", "signin", "sign-in", "logon", "auth", "oauth", "token", "session", "password", "otp", "verify"];
/// Keys of whose account it is, and of the secret.
const ACCOUNTS: [&[u8]; 9] =
    [b"username", b"user", b"email", b"login", b"account", b"phone", b"user_name", b"userid", b"client_id"];
const PASSWORDS: [&[u8]; 6] = [b"password", b"passwd", b"pass", b"pwd", b"pin", b"otp"];

/// The hash of an identifier, the same wherever it stands.
pub(crate) fn hash_of(hash: &KeyedHash, id: &[u8]) -> u64 {
    hash.quick(OBJECT, id)
}

/// Notes the identifiers of the request.
pub(crate) fn asked(exchange: &Exchange<'_>, target: &Target<'_>, hash: &KeyedHash, call: &mut Call) {
    call.objects.clear();
    let claims = call.credential.as_deref().map(|credential| &credential.claims[..]).unwrap_or_default();
    let objects = &mut call.objects;
    let path = call.path.strip_prefix('/').unwrap_or(&call.path);
    for (place, segment) in path.split('/').enumerate().take(SEGMENTS) {
        let is_id = is_id(segment.as_bytes());
        if !is_id && (claims.is_empty() || segment.is_empty()) {
            continue;
        }
        let id = hash_of(hash, segment.as_bytes());
        for (claim, _) in claims.iter().enumerate().filter(|(_, (_, value))| *value == id) {
            objects.owned |= 1_u32.checked_shl((8 * claim + place) as u32).unwrap_or(0);
        }
        if is_id && objects.asked.len() < MAX_ASKED {
            objects.asked.push(id);
        }
    }
    if !target.query.is_empty() {
        let values = target.query.split(|byte| *byte == b'&').filter_map(|pair| {
            let at = memchr::memchr(b'=', pair)?;
            let (name, value) = (pair.get(..at)?, pair.get(at + 1..)?);
            (names_id(name) && is_id(value)).then_some(value)
        });
        let room = MAX_ASKED.saturating_sub(objects.asked.len());
        objects.asked.extend(values.take(room).map(|value| hash_of(hash, value)));
    }
    if exchange.request.method == b"POST" && is_login(&call.path) {
        log_in(&exchange.request, hash, &mut call.objects);
    }
}

/// Notes the identifiers of an answer's text that were not asked with.
pub(crate) fn given(text: &[u8], hash: &KeyedHash, objects: &mut Objects) {
    let text = text.get(..MAX_READ).unwrap_or(text);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    let mut before = b' ';
    let mut rest = text;
    while !rest.is_empty() && objects.given.len() < MAX_GIVEN {
        let len = rest.iter().take_while(|byte| is_word(byte)).count();
        let (word, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        let next = after.first().copied().unwrap_or(b' ');
        // Not the halves of a fraction, a time or an address.
        if is_id(word) && !b".:".contains(&next) && before != b'.' && before != b'/' {
            let id = hash_of(hash, word);
            if !objects.asked.contains(&id) && !objects.given.contains(&id) {
                objects.given.push(id);
            }
        }
        before = next;
        rest = after.get(1..).unwrap_or_default();
    }
}

/// Whether an operation is one by which somebody gets in.
fn is_login(path: &str) -> bool {
    let mut segments = path.rsplit('/').take(3);
    segments.any(|segment| LOGIN.iter().any(|word| segment.starts_with(word) || segment.ends_with(word)))
}

/// Whether the name of a parameter says that its value is an identifier.
fn names_id(name: &[u8]) -> bool {
    let tail = |len: usize| name.get(name.len().saturating_sub(len)..).unwrap_or_default();
    tail(2).eq_ignore_ascii_case(b"id")
        || [4, 6].iter().any(|len| matches!(tail(*len), b"user" | b"uuid" | b"number"))
}

/// Whether a word is an identifier: short, and with a digit.
fn is_id(word: &[u8]) -> bool {
    (1..=MAX_ID).contains(&word.len())
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte))
}

/// Whose account is tried, with what.
fn log_in(request: &Request<'_>, hash: &KeyedHash, objects: &mut Objects) {
    let body = request.body.get(..MAX_LOGIN).unwrap_or(request.body);
    let mut take = |key: &[u8], value: &[u8]| {
        let is = |known: &&[u8]| known.eq_ignore_ascii_case(key);
        if value.is_empty() {
        } else if objects.account.is_none() && ACCOUNTS.iter().any(&is) {
            objects.account = Some(hash.quick(ACCOUNT, &value.to_ascii_lowercase()));
        } else if objects.password.is_none() && PASSWORDS.iter().any(is) {
            objects.password = Some(hash.quick(PASSWORD, value));
        }
    };
    if body.trim_ascii_start().first() == Some(&b'{') {
        let mut key = &b""[..];
        for token in Tokens::new(body) {
            match token {
                Token::Key(Text { raw, .. }) => key = raw,
                Token::Text(Text { raw, .. }) | Token::Number(raw) => take(key, raw),
                _ => {}
            }
        }
        return;
    }
    for pair in body.split(|byte| *byte == b'&') {
        if let Some(at) = memchr::memchr(b'=', pair) {
            take(pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{exchange, named, named_at};
    use crate::namer::Depth;

    #[test]
    fn identifiers_are_words_with_digits() {
        for (word, expected) in [
            ("7", true),
            ("ord_81", true),
            ("orders", false),
            ("", false),
            ("a b1", false),
            ("8f14e45f-ceea", true),
        ] {
            assert_eq!(is_id(word.as_bytes()), expected, "{word}");
        }
        assert!(names_id(b"userId") && names_id(b"id") && names_id(b"order_number") && !names_id(b"page"));
        assert!(is_login("/api/login") && is_login("/oauth2/token") && !is_login("/orders/7"));
    }

    #[test]
    fn what_was_given_is_not_what_was_asked() {
        let answer = r#"{"order":17,"items":[{"id":81,"price":12.50},{"id":"it-9"}],"at":"10:30"}"#;
        let spec =
            exchange("GET", "/orders/17?page=2&customer_id=5", "", "", 200, "application/json", answer);
        let call = named_at(&spec, Depth::Detail);
        let hash = KeyedHash::new(&[7; 32]);
        let ids =
            |words: &[&str]| words.iter().map(|word| hash_of(&hash, word.as_bytes())).collect::<Vec<_>>();
        assert_eq!(call.objects.asked.to_vec(), ids(&["17", "5"]));
        assert_eq!(call.objects.given, ids(&["81", "it-9", "30"]));
    }

    #[test]
    fn whose_account_is_tried() {
        let login = |body: &'static str| {
            let call = named(&exchange("POST", "/api/login", "application/json", body, 200, "", ""));
            (call.objects.account, call.objects.password)
        };
        let (account, password) = login(r#"{"email":"Ada@example.com","password":"one"}"#);
        assert!(account.is_some() && password.is_some());
        assert_eq!(login(r#"{"password":"two","email":"ada@example.com"}"#).0, account);
        assert_ne!(login("username=bob&password=one").0, account);
        assert_eq!(login("username=bob&password=one").1, password);
        assert_eq!(login(r#"{"a":["#), (None, None));
    }
}
