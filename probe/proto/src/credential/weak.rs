//! Secrets that everybody knows: whether a token is signed with one of them.
//!
//! This is offline: it needs the token alone, and nobody is asked. It costs some tenths of a millisecond, so it is done
//! once for a token that was not seen before, and for a bounded number of them per second.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// New tokens that are tried per second: who makes up tokens must not keep us busy. An issuer with a weak secret
/// signs all of its tokens with it, so that one of many is enough.
const PER_SECOND: u32 = 8;

/// How many tokens may still be tried in this second.
#[derive(Default)]
pub(super) struct Guesses {
    second: u64,
    left: u32,
}

impl Guesses {
    pub(super) fn at(&mut self, now: u64) -> &mut u32 {
        let second = now / 1_000_000_000 + 1;
        if second != self.second {
            (self.second, self.left) = (second, PER_SECOND);
        }
        &mut self.left
    }
}

/// The words: what tutorials, templates and people in a hurry use.
const WORDS: [&str; 96] = [
    "secret",
    "secretkey",
    "secret_key",
    "secret-key",
    "SECRET_KEY",
    "secret123",
    "mysecret",
    "my-secret",
    "mysecretkey",
    "my-secret-key",
    "supersecret",
    "super-secret",
    "supersecretkey",
    "super-secret-key",
    "topsecret",
    "jwt",
    "jwtsecret",
    "jwt_secret",
    "jwt-secret",
    "JWT_SECRET",
    "jwt_secret_key",
    "jwtkey",
    "jwt-key",
    "token",
    "tokensecret",
    "token-secret",
    "key",
    "apikey",
    "api_key",
    "api-key",
    "privatekey",
    "private-key",
    "private_key",
    "password",
    "Password",
    "password1",
    "password123",
    "passw0rd",
    "P@ssw0rd",
    "pass",
    "pass123",
    "admin",
    "admin123",
    "administrator",
    "root",
    "toor",
    "test",
    "test123",
    "testing",
    "testsecret",
    "test-secret",
    "demo",
    "dev",
    "development",
    "debug",
    "local",
    "localhost",
    "staging",
    "production",
    "default",
    "example",
    "sample",
    "changeme",
    "change-me",
    "change_me",
    "changeit",
    "ChangeMe",
    "letmein",
    "welcome",
    "welcome1",
    "qwerty",
    "qwerty123",
    "abc123",
    "123",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "1234567890",
    "000000",
    "111111",
    "iloveyou",
    "monkey",
    "dragon",
    "hello",
    "helloworld",
    "foo",
    "bar",
    "foobar",
    "auth",
    "authsecret",
    "session",
    "your-256-bit-secret",
    "your-secret-key",
];

/// Whether a word is in the list.
pub(super) fn is_known(word: &[u8]) -> bool {
    WORDS.iter().any(|known| known.as_bytes() == word)
}

/// Whether one of the words signs `signed` so (HS256, HS384, HS512), as long as there are guesses left.
pub(super) fn signs(bits: &str, signed: &[u8], signature: &[u8], guesses: &mut u32) -> bool {
    let Some(left) = guesses.checked_sub(1) else { return false };
    let Ok(wanted) = URL_SAFE_NO_PAD.decode(signature.get(..128).unwrap_or(signature)) else { return false };
    *guesses = left;
    match bits {
        "256" => with::<Hmac<Sha256>>(signed, &wanted),
        "384" => with::<Hmac<Sha384>>(signed, &wanted),
        "512" => with::<Hmac<Sha512>>(signed, &wanted),
        _ => false,
    }
}

fn with<M: Mac + KeyInit>(signed: &[u8], wanted: &[u8]) -> bool {
    let mac =
        |word: &str| <M as KeyInit>::new_from_slice(word.as_bytes()).ok().map(|mac| mac.chain_update(signed));
    WORDS.iter().filter_map(|word| mac(word)).any(|mac| mac.verify_slice(wanted).is_ok())
}
