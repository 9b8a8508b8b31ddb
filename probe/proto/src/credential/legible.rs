//! What an identity is called in plain words, for an operator who asked: a name where the credential holds one, and the
//! credential itself only where nothing else names anybody.

use super::{MAX_DECODED, Place, certificate_subject, key_parameter, parameter, session_cookie};
use crate::secret::Secret;
use crate::sensitive::is_jwt;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

/// What the credential `value` at `place` names; of a token this claim, if there is one.
pub(crate) fn legible(place: Place, value: &[u8], claim: Option<&str>) -> Option<Secret> {
    let value = match place {
        Place::Cookie => session_cookie(value)?.1,
        Place::Query => key_parameter(value)?.1,
        Place::Certificate => certificate_subject(value)?,
        Place::Chosen | Place::KeyField => value.trim_ascii(),
        Place::Authorization => return authorization(value.trim_ascii(), claim),
    };
    Some(named(value, claim).unwrap_or_else(|| Secret::new(value)))
}

fn authorization(value: &[u8], claim: Option<&str>) -> Option<Secret> {
    let (scheme, rest) = value.split_at_checked(memchr::memchr(b' ', value)?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = Zeroizing::new(STANDARD.decode(rest.get(..MAX_DECODED).unwrap_or(rest)).ok()?);
        return pair.split(|byte| *byte == b':').next().map(Secret::new);
    }
    let user = parameter(rest, b"username").or_else(|| parameter(rest, b"Credential"));
    let user = user.and_then(|user| user.split(|byte| *byte == b'/').next()).map(Secret::new);
    user.or_else(|| named(rest, claim)).or_else(|| Some(Secret::new(rest)))
}

/// The claim of a JSON Web Token that names its bearer.
fn named(token: &[u8], claim: Option<&str>) -> Option<Secret> {
    let body = is_jwt(token).then(|| token.split(|byte| *byte == b'.').nth(1)).flatten()?;
    let body = Zeroizing::new(URL_SAFE_NO_PAD.decode(body.get(..MAX_DECODED).unwrap_or(body)).ok()?);
    let claims: Value = serde_json::from_slice(&body).ok()?;
    match claims.get(claim.unwrap_or("sub"))? {
        Value::String(text) => Some(Secret::new(text.as_bytes())),
        Value::Number(number) => Some(Secret::new(number.to_string().as_bytes())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(place: Place, value: &str, claim: Option<&str>) -> Option<String> {
        legible(place, value.as_bytes(), claim).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn names_before_credentials() {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"sub":"ada","tenant":7}"#));
        let token = token.replacen("e30", &URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), 1);
        let bearer = format!("Bearer {token}");
        assert_eq!(read(Place::Authorization, &bearer, None).as_deref(), Some("ada"));
        assert_eq!(read(Place::Authorization, &bearer, Some("tenant")).as_deref(), Some("7"));
        assert_eq!(read(Place::KeyField, &token, None).as_deref(), Some("ada"));
        let basic = format!("Basic {}", STANDARD.encode("ada:secret"));
        assert_eq!(read(Place::Authorization, &basic, None).as_deref(), Some("ada"));
        assert_eq!(
            read(Place::Authorization, "Digest username=\"ada\", nonce=\"1\"", None).as_deref(),
            Some("ada")
        );
        assert_eq!(read(Place::Authorization, "Bearer opaque", None).as_deref(), Some("opaque"));
        assert_eq!(read(Place::KeyField, " key-1 ", None).as_deref(), Some("key-1"));
        assert_eq!(read(Place::Cookie, "a=1; sessionid=0123456789", None).as_deref(), Some("0123456789"));
        assert_eq!(read(Place::Query, "a=1&api_key=k", None).as_deref(), Some("k"));
        assert_eq!(read(Place::Certificate, "CN=web,O=shop", None).as_deref(), Some("CN=web,O=shop"));
        assert_eq!(read(Place::Query, "a=1", None), None);
    }
}
