//! How a request proves who it is, and who that is, as a keyed hash.
//!
//! Nothing is verified: a token names its subject whether or not it is genuine. Credentials are hashed once and
//! looked up by a keyed hash afterwards; none is kept.

mod jwt;
mod legible;
mod weak;

use crate::call::{AuthScheme, Credential, IdentityHash, Traits};
use crate::keyed_hash::KeyedHash;
use crate::object;
use crate::sensitive::is_jwt;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compact_str::CompactString;
use foldhash::fast::FixedState;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Arc;
use weak::Guesses;

pub(crate) use legible::legible;

/// Credentials whose identity is remembered, so that it is not computed for every call.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Largest token part that is decoded; identity providers stay below 4 KiB.
const MAX_DECODED: usize = 16 * 1024;
/// Longest name of a field, cookie or parameter that is kept.
const MAX_NAME: usize = 32;
/// Shorter passwords are weak, whatever they are.
const MIN_PASSWORD: usize = 8;
/// Shortest cookie value that can be a session.
const MIN_SESSION: usize = 8;

/// What a credential was found to be.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) scheme: AuthScheme,
    pub(crate) hash: Option<IdentityHash>,
    pub(crate) credential: Arc<Credential>,
}

/// Where a credential stands, by weight: the first that is present counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A field or a cookie that the operator named.
    Chosen,
    Authorization,
    KeyField,
    Cookie,
    Query,
    /// A field in which a proxy says whose certificate it saw.
    Certificate,
}

/// Recognises credentials.
pub(crate) struct Credentials {
    known: LruCache<u64, Identity, FixedState>,
    guesses: Guesses,
    /// Claims that are kept beside the usual ones.
    claims: Vec<CompactString>,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        Self {
            known: LruCache::with_hasher(REMEMBERED, FixedState::default()),
            guesses: Guesses::default(),
            claims: Vec::new(),
        }
    }

    /// These claims are kept too, from now on.
    pub(crate) fn keep_claims(&mut self, claims: Vec<CompactString>) {
        self.claims = claims;
        self.known.clear();
    }

    /// Who the credential `value` of the field `name` at `place` stands for, at `now` (Unix nanoseconds). `None`: it
    /// is none.
    pub(crate) fn identify(
        &mut self,
        hash: &KeyedHash,
        place: Place,
        (name, value): (&[u8], &[u8]),
        now: u64,
    ) -> Option<Identity> {
        let (name, value) = match place {
            Place::Cookie => session_cookie(value)?,
            Place::Query => key_parameter(value)?,
            Place::Certificate => (name, certificate_subject(value)?),
            Place::Chosen | Place::Authorization | Place::KeyField => (name, value.trim_ascii()),
        };
        if value.is_empty() {
            return None;
        }
        let lookup = hash.quick(place as u64, value);
        if let Some(identity) = self.known.get(&lookup) {
            return Some(identity.clone());
        }
        let source = name.get(..MAX_NAME).unwrap_or(name).escape_ascii().to_string().to_ascii_lowercase();
        let mut credential = Credential { source: source.into(), ..Credential::default() };
        let Self { guesses, claims, .. } = self;
        let mut facts = Facts { credential: &mut credential, guesses: guesses.at(now), claims };
        let (scheme, who) = match place {
            Place::Authorization => authorization(hash, value, &mut facts),
            Place::Chosen => match token(hash, value, &mut facts) {
                Some(named) => (AuthScheme::Jwt, Some(named)),
                None => (AuthScheme::Other, Some(plain(hash, b"chosen", value))),
            },
            Place::Certificate => (AuthScheme::Other, Some(plain(hash, b"certificate", value))),
            Place::KeyField | Place::Query => {
                let key = || plain(hash, b"key", value);
                (AuthScheme::ApiKey, Some(token(hash, value, &mut facts).unwrap_or_else(key)))
            }
            Place::Cookie => {
                let session = || plain(hash, b"cookie", value);
                (AuthScheme::Cookie, Some(token(hash, value, &mut facts).unwrap_or_else(session)))
            }
        };
        credential.token = hash.mac(&[b"credential", value]);
        if place == Place::Query {
            credential.traits.add(Traits::IN_URL);
        }
        let identity = Identity { scheme, hash: who, credential: Arc::new(credential) };
        self.known.put(lookup, identity.clone());
        Some(identity)
    }
}

/// What is found out about a credential on the way.
struct Facts<'a> {
    credential: &'a mut Credential,
    guesses: &'a mut u32,
    claims: &'a [CompactString],
}

type Who = (AuthScheme, Option<IdentityHash>);

fn plain(hash: &KeyedHash, kind: &[u8], value: &[u8]) -> IdentityHash {
    IdentityHash(hash.mac(&[kind, value]))
}

/// The value of `Authorization` (RFC 9110 §11.6.2).
fn authorization(hash: &KeyedHash, value: &[u8], facts: &mut Facts<'_>) -> Who {
    let space = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(space).unwrap_or((value, &[]));
    let rest = rest.trim_ascii();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("bearer") {
        match token(hash, rest, facts) {
            Some(identity) => (AuthScheme::Jwt, Some(identity)),
            None => (AuthScheme::Bearer, Some(plain(hash, b"bearer", rest))),
        }
    } else if is("basic") {
        (AuthScheme::Basic, Some(basic(hash, rest, facts)))
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
fn basic(hash: &KeyedHash, encoded: &[u8], facts: &mut Facts<'_>) -> IdentityHash {
    let decoded = encoded.get(..MAX_DECODED).unwrap_or(encoded);
    let Ok(pair) = STANDARD.decode(decoded) else { return plain(hash, b"basic", encoded) };
    let colon = memchr::memchr(b':', &pair).unwrap_or(pair.len());
    let (user, password) = pair.split_at_checked(colon).unwrap_or((&pair, &[]));
    let password = password.strip_prefix(b":").unwrap_or_default();
    let credential = &mut *facts.credential;
    if password.len() < MIN_PASSWORD || weak::is_known(password) {
        credential.traits.add(Traits::WEAK_PASSWORD);
    }
    credential.claims.push(("user".into(), object::hash_of(hash, user)));
    plain(hash, b"user", user)
}

/// `name=value` or `name="value"` in a list of parameters.
fn parameter<'a>(list: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    list.split(|byte| *byte == b',').find_map(|one| {
        let value = one.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// Whom a JWT names: subject and issuer, else the token. `None`: it is not a JWT.
fn token(hash: &KeyedHash, token: &[u8], facts: &mut Facts<'_>) -> Option<IdentityHash> {
    if !is_jwt(token) {
        return None;
    }
    let named = jwt::read(hash, token, facts);
    Some(named.unwrap_or_else(|| plain(hash, b"jwt", token)))
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

/// Whether a request field, by its lower-case name, says whose certificate a proxy saw: Envoy's, and those that nginx and its
/// ingress are usually made to set.
pub(crate) fn is_certificate_field(name: &[u8]) -> bool {
    matches!(
        name,
        b"x-forwarded-client-cert" | b"ssl-client-subject-dn" | b"x-ssl-client-s-dn" | b"x-ssl-client-dn"
    )
}

/// The subject within what a proxy says: of Envoy's list (`By=…;Hash=…;Subject="…";URI=…`) the last one's subject, else its URI,
/// which is that of the nearest client.
fn certificate_subject(value: &[u8]) -> Option<&[u8]> {
    let after = |part: &[u8]| memchr::memmem::rfind(value, part).and_then(|at| value.get(at + part.len()..));
    if let Some(rest) = after(b"Subject=\"") {
        return rest.split(|byte| *byte == b'"').next().filter(|subject| !subject.is_empty());
    }
    if let Some(rest) = after(b"URI=") {
        return rest.split(|byte| matches!(byte, b';' | b',')).next().filter(|uri| !uri.is_empty());
    }
    let whole = value.trim_ascii();
    (whole.contains(&b'=') && !whole.starts_with(b"By=") && !whole.starts_with(b"Hash=")).then_some(whole)
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    cookies.split(|byte| *byte == b';').find_map(|cookie| {
        let at = memchr::memchr(b'=', cookie)?;
        (cookie.get(..at)?.trim_ascii() == name).then(|| cookie.get(at + 1..))?.map(<[u8]>::trim_ascii)
    })
}

/// Name and value of the first cookie that looks like a session.
fn session_cookie(cookies: &[u8]) -> Option<(&[u8], &[u8])> {
    cookies.split(|byte| *byte == b';').find_map(|cookie| {
        let at = memchr::memchr(b'=', cookie)?;
        let (name, value) = (cookie.get(..at)?.trim_ascii(), cookie.get(at + 1..)?.trim_ascii());
        (value.len() >= MIN_SESSION && is_session_name(name)).then_some((name, value))
    })
}

fn is_session_name(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    let names_session = has(b"sess") || has(b"auth") || has(b"token") || has(b"jwt") || has(b"identity");
    let is_sid =
        name.len() >= 3 && name.get(name.len() - 3..).is_some_and(|end| end.eq_ignore_ascii_case(b"sid"));
    (names_session || is_sid) && !has(b"csrf") && !has(b"xsrf")
}

/// Name and value of the first query parameter that is a key.
fn key_parameter(query: &[u8]) -> Option<(&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let name = pair.get(..at)?;
        let names = ["api_key", "apikey", "api-key", "access_token", "auth_token", "token"];
        names
            .iter()
            .any(|key| key.as_bytes().eq_ignore_ascii_case(name))
            .then(|| Some((name, pair.get(at + 1..)?)))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn identify(place: Place, value: &str) -> Option<Identity> {
        Credentials::new().identify(&KeyedHash::new(&[7; 32]), place, (b"X-Api-Key", value.as_bytes()), 0)
    }

    fn jwt(claims: &str, signature: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", part(r#"{"alg":"HS256"}"#), part(claims))
    }

    #[test]
    fn schemes() {
        let scheme = |place, value: &str| identify(place, value).map(|found| found.scheme);
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
    fn what_a_proxy_says_of_a_certificate() {
        let envoy = |uri: &str| {
            format!(r#"By=spiffe://a/x;Hash=1;Subject="CN=first";URI=,By=y;Hash=2;Subject="";URI={uri}"#)
        };
        let subject = |text: &str| certificate_subject(text.as_bytes()).map(<[u8]>::to_vec);
        assert_eq!(subject(r#"Hash=2;Subject="CN=web,O=shop";URI=spiffe://x"#).unwrap(), b"CN=web,O=shop");
        assert_eq!(subject("By=a;Hash=1;URI=spiffe://b/ns/shop;DNS=x").unwrap(), b"spiffe://b/ns/shop");
        assert_eq!(subject(&envoy("spiffe://z")), None, "an empty subject names nobody");
        assert_eq!(subject("CN=client,O=shop").unwrap(), b"CN=client,O=shop");
        assert_eq!((subject("By=a;Hash=1"), subject("nonsense")), (None, None));
        let found = identify(Place::Certificate, "CN=client,O=shop").unwrap();
        assert_eq!(found.scheme, AuthScheme::Other);
        assert_eq!(cookie(b"a=1; sid=xyz; b", b"sid"), Some(&b"xyz"[..]));
        assert_eq!(cookie(b"asid=1", b"sid"), None);
    }

    #[test]
    fn a_subject_is_one_identity_whatever_the_token() {
        let who = |claims: &str, signature: &str| {
            identify(Place::Authorization, &format!("Bearer {}", jwt(claims, signature)))
                .unwrap()
                .hash
                .unwrap()
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
        let who = |value: &str| identify(Place::Authorization, value).unwrap().hash;
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
    fn what_a_credential_is_known_by() {
        let key = identify(Place::KeyField, "k").unwrap();
        assert_eq!(key.credential.source, "x-api-key");
        let url = identify(Place::Query, "a=1&Access_Token=xyz").unwrap().credential;
        assert!(url.is(Traits::IN_URL) && url.source == "access_token");
        let basic = |pair: &str| {
            identify(Place::Authorization, &format!("Basic {}", STANDARD.encode(pair))).unwrap().credential
        };
        assert!(
            basic("ada:short").is(Traits::WEAK_PASSWORD) && basic("ada:password1").is(Traits::WEAK_PASSWORD)
        );
        assert!(!basic("ada:correct horse battery").is(Traits::WEAK_PASSWORD));
        assert_ne!(basic("ada:one").token, basic("ada:two").token);
    }

    #[test]
    fn what_was_seen_is_remembered_not_recomputed() {
        let hash = KeyedHash::new(&[7; 32]);
        let mut credentials = Credentials::new();
        let mut who = |value: &[u8]| credentials.identify(&hash, Place::KeyField, (b"k", value), 0).unwrap();
        let (first, again) = (who(b"secret"), who(b"secret"));
        assert!(Arc::ptr_eq(&first.credential, &again.credential) && first.hash == again.hash);
        assert_eq!(credentials.known.len(), 1);
        for i in 0..5000 {
            credentials.identify(&hash, Place::KeyField, (b"k", format!("{i}").as_bytes()), 0);
        }
        assert_eq!(credentials.known.len(), REMEMBERED.get());
    }
}
