//! The shop's bearer tokens: JSON Web Tokens (RFC 7519) with every classic mistake.
//!
//! Insecure on purpose: the HMAC secret is a dictionary word, `alg: none` is accepted, the expiry is never checked, and a
//! token may stand in the URL.

use crate::clock;
use crate::flaw::Flaw;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::sync::atomic::{AtomicU64, Ordering};

/// The signing secret, from the top of every word list.
const SECRET: &[u8] = b"secret";
/// The secret of a shop without that flaw.
const STRONG_SECRET: &[u8] = b"q8Zr0vX2mW4tK6yB1nJ3hL5pD7sF9gAc";
/// How long a token says that it is valid, in seconds.
const LIFETIME: u64 = 900;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Customer,
    Admin,
}

/// What a token says about its bearer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Account number.
    pub(crate) sub: String,
    /// What the account may do.
    pub(crate) role: Role,
    /// When the token was issued, Unix seconds.
    pub(crate) iat: u64,
    /// When the token says that it ends, Unix seconds.
    pub(crate) exp: u64,
    /// Tells it from another token of the same second.
    #[serde(default)]
    pub(crate) jti: u64,
}

/// Tokens that were issued.
static ISSUED: AtomicU64 = AtomicU64::new(0);

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Claims {
    /// The claims of a token issued now for `user`.
    pub(crate) fn new(user: u64, role: Role) -> Self {
        let iat = clock::now().as_secs();
        let jti = ISSUED.fetch_add(1, Ordering::Relaxed);
        Self { sub: user.to_string(), role, iat, exp: iat.saturating_add(LIFETIME), jti }
    }

    /// The same, of which the end is so many seconds from now on, or behind us.
    pub(crate) fn ending_in(self, seconds: i64) -> Self {
        let exp = self.iat.saturating_add_signed(seconds);
        Self { iat: exp.min(self.iat).saturating_sub(LIFETIME), exp, ..self }
    }

    /// The account number.
    pub(crate) fn user(&self) -> u64 {
        self.sub.parse().unwrap_or(0)
    }

    /// Fails with 403 unless the token says administrator.
    pub(crate) fn require_admin(&self) -> Result<(), Problem> {
        if self.role == Role::Admin { Ok(()) } else { Err(Problem::forbidden("administrators only")) }
    }
}

/// Writes a token, signed with HS256.
///
/// # Errors
/// When the claims cannot be written as JSON.
pub(crate) fn issue(claims: &Claims) -> Result<String, Problem> {
    let payload = serde_json::to_vec(claims).map_err(|error| Problem::internal(&error.to_string()))?;
    let signed = format!("{}.{}", BASE64.encode(br#"{"alg":"HS256","typ":"JWT"}"#), BASE64.encode(payload));
    let signature = sign(&signed).ok_or_else(|| Problem::internal("no signature"))?;
    Ok(format!("{signed}.{}", BASE64.encode(signature)))
}

/// Reads a token and believes it: see the module's warning.
pub(crate) fn read(token: &str) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
    let believed = header.alg.eq_ignore_ascii_case("none")
        || (header.alg == "HS256" && BASE64.decode(signature).ok()? == sign(signed)?);
    believed.then_some(serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?)
}

/// A token that nobody signed, for those who would like to be somebody else.
pub(crate) fn unsigned(user: u64, role: Role) -> String {
    let payload = serde_json::to_vec(&Claims::new(user, role)).unwrap_or_default();
    format!("{}.{}.", BASE64.encode(br#"{"alg":"none","typ":"JWT"}"#), BASE64.encode(payload))
}

fn sign(signed: &str) -> Option<Vec<u8>> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(if Flaw::WeakSecret.is_open() { SECRET } else { STRONG_SECRET })
            .ok()?;
    mac.update(signed.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

fn bearer(headers: &HeaderMap) -> Option<Claims> {
    read(headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?)
}

/// For links in letters, and for every log on the way.
fn in_query(query: &str) -> Option<Claims> {
    query.split('&').find_map(|pair| read(pair.strip_prefix("access_token=")?))
}

impl<S: Sync> FromRequestParts<S> for Claims {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let claims = bearer(&parts.headers).or_else(|| parts.uri.query().and_then(in_query));
        claims.ok_or_else(|| Problem::unauthorized("a valid bearer token is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_journey_and_not_a_change() {
        let claims = Claims::new(1007, Role::Customer);
        let token = issue(&claims).unwrap();
        assert_eq!(read(&token), Some(claims));
        assert_eq!(read(&format!("{token}AAAA")), None);
        assert_eq!(read("not.a.token"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn an_unsigned_token_is_believed_because_the_shop_is_insecure() {
        let claims = Claims::new(1001, Role::Admin);
        let payload = BASE64.encode(serde_json::to_vec(&claims).unwrap());
        let forged = format!("{}.{payload}.", BASE64.encode(br#"{"alg":"none"}"#));
        assert_eq!(read(&forged), Some(claims));
    }
}
