//! What a JSON Web Token (RFC 7519) says about itself. Nothing is verified but whether its secret is a known word.

use super::{Facts, MAX_DECODED, weak};
use crate::call::{Credential, IdentityHash, MAX_CLAIMS, Traits};
use crate::keyed_hash::KeyedHash;
use crate::object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compact_str::CompactString;
use serde_json::{Map, Value};

/// Seconds after which a token that is still good is long-lived: five days.
const LONG: u64 = 5 * 24 * 3_600;

/// Claims whose value may be that of an object in a path, the most telling first.
const OWNERS: [&str; 12] = [
    "sub",
    "user_id",
    "uid",
    "userId",
    "account_id",
    "account",
    "customer_id",
    "tenant",
    "tenant_id",
    "org_id",
    "preferred_username",
    "username",
];

/// Fills the credential with what the token says; gives whom it names.
pub(super) fn read(hash: &KeyedHash, token: &[u8], facts: &mut Facts<'_>) -> Option<IdentityHash> {
    let Facts { credential, guesses, claims: kept } = facts;
    let mut parts = token.trim_ascii_end().split(|byte| *byte == b'.');
    let (head, body) = (parts.next()?, parts.next()?);
    let signature = parts.next().unwrap_or_default();
    let algorithm =
        object_of(head).and_then(|head| Some(head.get("alg")?.as_str()?.to_owned())).unwrap_or_default();
    if signature.is_empty() || algorithm.eq_ignore_ascii_case("none") {
        credential.traits.add(Traits::UNSIGNED);
    } else if let Some(bits) = algorithm.strip_prefix("HS") {
        credential.traits.add(Traits::SHARED_SECRET);
        let signed = token.get(..head.len() + 1 + body.len()).unwrap_or_default();
        if weak::signs(bits, signed, signature, guesses) {
            credential.traits.add(Traits::WEAK_SECRET);
        }
    }
    let claims = object_of(body)?;
    times(&claims, credential);
    roles(&claims, credential);
    // Those that the operator named first: there is room for some only.
    let names = kept.iter().map(CompactString::as_str);
    let names = names.chain(OWNERS.into_iter().filter(|name| kept.iter().all(|kept| kept != name)));
    let owners = names.filter_map(|name| Some((name, text(claims.get(name)?)?)));
    let owners = owners.map(|(name, value)| (name.into(), object::hash_of(hash, value.as_bytes())));
    credential.claims.extend(owners.take(MAX_CLAIMS));
    let subject = text(claims.get("sub")?)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    Some(IdentityHash(hash.mac(&[b"subject", issuer.as_bytes(), subject.as_bytes()])))
}

fn times(claims: &Map<String, Value>, credential: &mut Credential) {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map_or(0, |seconds| seconds as u64);
    credential.issued = time("iat").max(time("nbf"));
    credential.expires = time("exp");
    if credential.expires == 0 {
        credential.traits.add(Traits::ENDLESS);
    } else if credential.issued > 0 && credential.expires.saturating_sub(credential.issued) > LONG {
        credential.traits.add(Traits::LONG_LIVED);
    }
}

/// Whether it is a program's, and whether an administrator's.
fn roles(claims: &Map<String, Value>, credential: &mut Credential) {
    let get = |name: &str| claims.get(name).and_then(Value::as_str);
    let client = get("client_id").or_else(|| get("azp"));
    let of_client = client.is_some() && (get("sub").is_none() || get("sub") == client);
    if of_client || get("gty") == Some("client-credentials") {
        credential.traits.add(Traits::OF_SERVICE);
    }
    let says = |value: &Value| match value {
        Value::String(text) => text.split([' ', ',', ':']).any(is_admin),
        Value::Array(all) => {
            all.iter().filter_map(Value::as_str).any(|text| text.split([' ', ':']).any(is_admin))
        }
        Value::Bool(is) => *is,
        _ => false,
    };
    let fields = ["role", "roles", "scope", "scp", "groups", "admin", "is_admin", "isAdmin"];
    if fields.iter().filter_map(|name| claims.get(*name)).any(says) {
        credential.traits.add(Traits::OF_ADMIN);
    }
}

fn is_admin(word: &str) -> bool {
    ["admin", "administrator", "root", "superuser", "sysadmin"]
        .iter()
        .any(|admin| word.eq_ignore_ascii_case(admin))
}

/// A subject, as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn object_of(part: &[u8]) -> Option<Map<String, Value>> {
    if part.len() > MAX_DECODED {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    fn part(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn of(token: &str) -> Credential {
        kept(token, &[], 9)
    }

    fn kept(token: &str, claims: &[CompactString], mut guesses: u32) -> Credential {
        let mut credential = Credential::default();
        let mut facts = Facts { credential: &mut credential, guesses: &mut guesses, claims };
        read(&KeyedHash::new(&[7; 32]), token.as_bytes(), &mut facts);
        credential
    }

    fn signed(secret: &str, claims: &str) -> String {
        let body = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_secret_from_the_list_is_found_and_a_good_one_is_not() {
        let weak = of(&signed("secret", r#"{"sub":"7","exp":9}"#));
        assert!(weak.is(Traits::WEAK_SECRET) && weak.is(Traits::SHARED_SECRET));
        let strong = of(&signed("q8Zr0vX2mW4tK6yB1nJ3hL5pD7sF9gAc", r#"{"sub":"7"}"#));
        assert!(!strong.is(Traits::WEAK_SECRET) && strong.is(Traits::ENDLESS));
        let none_left = kept(&signed("secret", "{}"), &[], 0);
        assert!(!none_left.is(Traits::WEAK_SECRET));
    }

    #[test]
    fn what_it_says() {
        let token = |head: &str, claims: &str, signature: &str| {
            format!("{}.{}.{signature}", part(head), part(claims))
        };
        assert!(of(&token(r#"{"alg":"none"}"#, "{}", "")).is(Traits::UNSIGNED));
        assert!(of(&token(r#"{"alg":"nOnE"}"#, "{}", "xx")).is(Traits::UNSIGNED));
        let rs =
            of(&token(r#"{"alg":"RS256"}"#, r#"{"sub":7,"iat":10,"exp":20,"roles":["user","Admin"]}"#, "xx"));
        assert_eq!((rs.issued, rs.expires, rs.traits), (10, 20, Traits::OF_ADMIN));
        assert_eq!(rs.claims[0].1, object::hash_of(&KeyedHash::new(&[7; 32]), b"7"));
        let service = of(&token(r#"{"alg":"ES256"}"#, r#"{"client_id":"job","sub":"job","exp":20}"#, "xx"));
        assert!(service.is(Traits::OF_SERVICE) && !service.is(Traits::OF_ADMIN));
        assert!(of(&token(r#"{"alg":"RS256"}"#, r#"{"iat":1,"exp":999999}"#, "x")).is(Traits::LONG_LIVED));
        assert_eq!(of("not.a.token").claims.len(), 0);
        let all = r#"{"sub":"1","uid":"2","tenant":"3","account":"4","org_id":"5","shop":"6"}"#;
        let kept = kept(&token(r#"{"alg":"RS256"}"#, all, "x"), &["shop".into(), "uid".into()], 9);
        let names: Vec<&str> = kept.claims.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["shop", "uid", "sub", "account"]);
    }
}
