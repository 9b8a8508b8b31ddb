//! How a request proves who it is, and who that is, as a keyed hash.
//!
//! Nothing is verified: a token names its subject whether or not it is genuine. Credentials are hashed once and
//! looked up by a keyed hash afterwards; none is kept.

use crate::call::{AuthScheme, IdentityHash};
use crate::keyed_hash::KeyedHash;
use crate::sensitive::is_jwt;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use foldhash::fast::FixedState;
use lru::LruCache;
use serde_json::Value;
use std::num::NonZeroUsize;

/// Credentials whose identity is remembered, so that it is not computed for every call.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Largest token part that is decoded; identity providers stay below 4 KiB.
const MAX_DECODED: usize = 16 * 1024;
/// Shortest cookie value that can be a session.
const MIN_SESSION: usize = 8;

/// What a credential was found to be.
pub(crate) type Identity = (AuthScheme, Option<IdentityHash>);

/// Where a credential stands, by weight: the first that is present counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Authorization,
    KeyField,
    Cookie,
    Query,
}

/// Recognises credentials.
pub(crate) struct Credentials {
    known: LruCache<u64, Identity, FixedState>,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        Self { known: LruCache::with_hasher(REMEMBERED, FixedState::default()) }
    }

    /// Who the credential `value` at `place` stands for. `None`: it is none.
    pub(crate) fn identify(&mut self, hash: &KeyedHash, place: Place, value: &[u8]) -> Option<Identity> {
        let value = match place {
            Place::Cookie => session_cookie(value)?,
            Place::Query => key_parameter(value)?,
            Place::Authorization | Place::KeyField => value.trim_ascii(),
        };
        if value.is_empty() {
            return None;
        }
        let lookup = hash.quick(place as u64, value);
        if let Some(identity) = self.known.get(&lookup) {
            return Some(*identity);
        }
        let identity = match place {
            Place::Authorization => authorization(hash, value),
            Place::KeyField | Place::Query => {
                (AuthScheme::ApiKey, Some(token(hash, value).unwrap_or_else(|| plain(hash, b"key", value))))
            }
            Place::Cookie => (
                AuthScheme::Cookie,
                Some(token(hash, value).unwrap_or_else(|| plain(hash, b"cookie", value))),
            ),
        };
        self.known.put(lookup, identity);
        Some(identity)
    }
}

fn plain(hash: &KeyedHash, kind: &[u8], value: &[u8]) -> IdentityHash {
    IdentityHash(hash.mac(&[kind, value]))
}

/// The value of `Authorization` (RFC 9110 §11.6.2).
fn authorization(hash: &KeyedHash, value: &[u8]) -> Identity {
    let space = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(space).unwrap_or((value, &[]));
    let rest = rest.trim_ascii();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("bearer") {
        match token(hash, rest) {
            Some(identity) => (AuthScheme::Jwt, Some(identity)),
            None => (AuthScheme::Bearer, Some(plain(hash, b"bearer", rest))),
        }
    } else if is("basic") {
        (AuthScheme::Basic, Some(basic(hash, rest)))
    } else if is("negotiate") || is("ntlm") {
        // These change with every handshake: they name nobody.
        (AuthScheme::Other, None)
    } else if let Some(user) = parameter(rest, b"username").or_else(|| parameter(rest, b"Credential")) {
        // Digest names a user, AWS signatures an access key and its scope; the rest of both changes with every call.
        let user = user.split(|byte| *byte == b'/').next().unwrap_or(user);
        (AuthScheme::Other, Some(plain(hash, b"user", user)))
    } else {
        (AuthScheme::Other, Some(plain(hash, b"other", value)))
    }
}

/// The user of `Basic` (RFC 7617), else the credential itself.
fn basic(hash: &KeyedHash, encoded: &[u8]) -> IdentityHash {
    let decoded = encoded.get(..MAX_DECODED).unwrap_or(encoded);
    match STANDARD.decode(decoded) {
        Ok(pair) => plain(hash, b"user", pair.split(|byte| *byte == b':').next().unwrap_or_default()),
        Err(_) => plain(hash, b"basic", encoded),
    }
}

/// `name=value` or `name="value"` in a list of parameters.
fn parameter<'a>(list: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    list.split(|byte| *byte == b',').find_map(|one| {
        let value = one.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// Whom a JWT names: subject and issuer, else the token. `None`: it is not a JWT.
fn token(hash: &KeyedHash, token: &[u8]) -> Option<IdentityHash> {
    if !is_jwt(token) {
        return None;
    }
    let named = token.split(|byte| *byte == b'.').nth(1).and_then(|claims| subject(hash, claims));
    Some(named.unwrap_or_else(|| plain(hash, b"jwt", token)))
}

fn subject(hash: &KeyedHash, encoded: &[u8]) -> Option<IdentityHash> {
    let encoded = encoded.trim_ascii_end();
    if encoded.len() > MAX_DECODED {
        return None;
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
    let number;
    let subject = match claims.get("sub")? {
        Value::String(text) if !text.is_empty() => text,
        Value::Number(value) => {
            number = value.to_string();
            &number
        }
        _ => return None,
    };
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    Some(IdentityHash(hash.mac(&[b"subject", issuer.as_bytes(), subject.as_bytes()])))
}

/// Whether a request field, by its lower-case name, carries an API key.
pub(crate) fn is_key_field(name: &[u8]) -> bool {
    matches!(
        name,
        b"x-api-key"
            | b"api-key"
            | b"apikey"
            | b"x-apikey"
            | b"x-api-token"
            | b"x-auth-token"
            | b"x-access-token"
            | b"private-token"
            | b"x-goog-api-key"
            | b"ocp-apim-subscription-key"
            | b"x-functions-key"
            | b"x-vault-token"
    )
}

/// The value of the first cookie that looks like a session.
fn session_cookie(cookies: &[u8]) -> Option<&[u8]> {
    cookies.split(|byte| *byte == b';').find_map(|cookie| {
        let at = memchr::memchr(b'=', cookie)?;
        let (name, value) = (cookie.get(..at)?.trim_ascii(), cookie.get(at + 1..)?.trim_ascii());
        (value.len() >= MIN_SESSION && is_session_name(name)).then_some(value)
    })
}

fn is_session_name(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    let names_session = has(b"sess") || has(b"auth") || has(b"token") || has(b"jwt") || has(b"identity");
    let is_sid =
        name.len() >= 3 && name.get(name.len() - 3..).is_some_and(|end| end.eq_ignore_ascii_case(b"sid"));
    (names_session || is_sid) && !has(b"csrf") && !has(b"xsrf")
}

/// The value of the first query parameter that is a key.
fn key_parameter(query: &[u8]) -> Option<&[u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let name = pair.get(..at)?;
        let names = ["api_key", "apikey", "api-key", "access_token", "auth_token", "token"];
        names
            .iter()
            .any(|key| key.as_bytes().eq_ignore_ascii_case(name))
            .then(|| pair.get(at + 1..))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(place: Place, value: &str) -> Option<Identity> {
        Credentials::new().identify(&KeyedHash::new(&[7; 32]), place, value.as_bytes())
    }

    fn jwt(claims: &str, signature: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", part(r#"{"alg":"HS256"}"#), part(claims))
    }

    #[test]
    fn schemes() {
        let scheme = |place, value: &str| identify(place, value).map(|found| found.0);
        assert_eq!(scheme(Place::Authorization, "Bearer abcdef"), Some(AuthScheme::Bearer));
        assert_eq!(scheme(Place::Authorization, "Basic YWRhOnB3"), Some(AuthScheme::Basic));
        assert_eq!(
            scheme(Place::Authorization, "Digest username=\"ada\", nonce=\"1\""),
            Some(AuthScheme::Other)
        );
        assert_eq!(
            scheme(Place::Authorization, &format!("bearer {}", jwt("{}", "x"))),
            Some(AuthScheme::Jwt)
        );
        assert_eq!(scheme(Place::KeyField, "k"), Some(AuthScheme::ApiKey));
        assert_eq!(scheme(Place::Cookie, "theme=dark; JSESSIONID=0123456789"), Some(AuthScheme::Cookie));
        assert_eq!(scheme(Place::Cookie, "theme=dark; csrftoken=0123456789"), None);
        assert_eq!(scheme(Place::Query, "a=1&access_token=xyz"), Some(AuthScheme::ApiKey));
        assert_eq!(scheme(Place::Query, "a=1"), None);
        assert_eq!(scheme(Place::Authorization, " "), None);
    }

    #[test]
    fn a_subject_is_one_identity_whatever_the_token() {
        let who = |claims: &str, signature: &str| {
            identify(Place::Authorization, &format!("Bearer {}", jwt(claims, signature))).unwrap().1.unwrap()
        };
        let ada = who(r#"{"sub":"ada","iss":"idp","exp":1}"#, "sig1");
        assert_eq!(ada, who(r#"{"iss":"idp","exp":2,"sub":"ada"}"#, "sig2"));
        assert_ne!(ada, who(r#"{"sub":"bob","iss":"idp"}"#, "sig1"));
        assert_ne!(ada, who(r#"{"sub":"ada","iss":"other"}"#, "sig1"));
        assert_eq!(who(r#"{"sub":7}"#, "a"), who(r#"{"sub":7,"x":1}"#, "b"));
        assert_ne!(who(r#"{"a":1}"#, "a"), who(r#"{"a":1}"#, "b"));
        assert_ne!(who("not json", "a"), ada);
    }

    #[test]
    fn users_are_named_without_their_secrets() {
        let who = |value: &str| identify(Place::Authorization, value).unwrap().1;
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(who(&basic("ada:one")), who(&basic("ada:two")));
        assert_ne!(who(&basic("ada:one")), who(&basic("bob:one")));
        let aws = |id: &str, sig: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature={sig}"
            )
        };
        assert_eq!(who(&aws("AKIA1", "x")), who(&aws("AKIA1", "y")));
        assert_ne!(who(&aws("AKIA1", "x")), who(&aws("AKIA2", "x")));
        assert_eq!(who("Negotiate abc"), None);
    }

    #[test]
    fn what_was_seen_is_remembered_not_recomputed() {
        let hash = KeyedHash::new(&[7; 32]);
        let mut credentials = Credentials::new();
        let first = credentials.identify(&hash, Place::KeyField, b"secret");
        assert_eq!(credentials.known.len(), 1);
        assert_eq!(credentials.identify(&hash, Place::KeyField, b"secret"), first);
        assert_eq!(credentials.known.len(), 1);
        for i in 0..5000 {
            credentials.identify(&hash, Place::KeyField, format!("{i}").as_bytes());
        }
        assert_eq!(credentials.known.len(), REMEMBERED.get());
    }
}
