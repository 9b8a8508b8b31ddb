//! Tells by its shape whether a word is a secret or personal: an e-mail address, a JWT, a random token.
//!
//! Identifiers that only name an object (numbers, UUID, ULID, digests up to 20 bytes) are not sensitive here:
//! the engine templates them. Shape is evidence, not proof; what looks like prose or a slug is left alone.

pub mod value;

use serde::{Deserialize, Serialize};

/// Shortest word that can be a random token.
const MIN_TOKEN: usize = 20;
/// Shortest token where its neighbour says that one follows.
const MIN_ANNOUNCED: usize = 12;
/// Shortest word with an issuer's mark that is a token.
const MIN_MARKED: usize = 16;
/// No shorter word of letters, digits, `.`, `-` and `_` is sensitive.
pub(crate) const MIN_SUSPECT: usize = MIN_ANNOUNCED;
/// No shorter such word without a digit is sensitive.
pub(crate) const MIN_WORDY: usize = MIN_MARKED;

/// Why a word must not be shown. New classes are only ever appended: sessions hold their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitive {
    /// An e-mail address.
    Email,
    /// A JSON Web Token.
    Jwt,
    /// A long random word, or a key with an issuer's mark.
    Token,
    /// A number of a payment card.
    Card,
    /// A bank account.
    Iban,
    /// A telephone number.
    Phone,
    /// A number by which a state knows a person.
    NationalId,
    /// A private key in PEM.
    PrivateKey,
    /// Of somebody's body and its treatment.
    Health,
}

impl Sensitive {
    /// Every class, in order.
    pub const ALL: [Self; 9] = [
        Self::Email,
        Self::Jwt,
        Self::Token,
        Self::Card,
        Self::Iban,
        Self::Phone,
        Self::NationalId,
        Self::PrivateKey,
        Self::Health,
    ];

    /// Its name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Jwt => "jwt",
            Self::Token => "token",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Phone => "phone",
            Self::NationalId => "national-id",
            Self::PrivateKey => "private-key",
            Self::Health => "health",
        }
    }
}

/// Beginnings by which well-known issuers mark their secrets.
const PREFIXES: [&[u8]; 12] = [
    b"sk_live_",
    b"sk_test_",
    b"rk_live_",
    b"ghp_",
    b"gho_",
    b"ghs_",
    b"github_pat_",
    b"glpat-",
    b"xoxb-",
    b"xoxp-",
    b"AKIA",
    b"AIza",
];

/// Words behind which a secret follows in a path.
const ANNOUNCING: [&[u8]; 18] = [
    b"reset",
    b"reset-password",
    b"password-reset",
    b"verify",
    b"verification",
    b"verify-email",
    b"confirm",
    b"activate",
    b"activation",
    b"invite",
    b"invitation",
    b"invitations",
    b"magic",
    b"magic-link",
    b"token",
    b"tokens",
    b"unsubscribe",
    b"otp",
];

/// The class of a word that stands alone.
#[must_use]
pub fn classify(word: &[u8]) -> Option<Sensitive> {
    if word.len() < MIN_MARKED && !word.iter().any(|byte| matches!(byte, b'@' | b'%')) {
        None
    } else if is_email(word) {
        Some(Sensitive::Email)
    } else if is_jwt(word) {
        Some(Sensitive::Jwt)
    } else if is_token(word) {
        Some(Sensitive::Token)
    } else {
        None
    }
}

/// Whether a path segment is sensitive because of the one before it, such as `reset` in `/reset/9f8a…`.
#[must_use]
pub fn is_announced(before: &[u8], word: &[u8]) -> bool {
    word.len() >= MIN_ANNOUNCED
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().any(u8::is_ascii_alphabetic)
        && ANNOUNCING.iter().any(|announcing| announcing.eq_ignore_ascii_case(before))
}

/// `local@domain.tld`, also with `%40`.
fn is_email(word: &[u8]) -> bool {
    let at = memchr::memchr(b'@', word).map(|at| (at, 1));
    let Some((at, len)) = at.or_else(|| word.windows(3).position(|three| three == b"%40").map(|at| (at, 3)))
    else {
        return false;
    };
    let domain = word.get(at + len..).unwrap_or_default();
    let (Some(dot), true) = (memchr::memrchr(b'.', domain), at > 0) else { return false };
    let label = domain.get(dot + 1..).unwrap_or_default();
    dot > 0 && label.len() >= 2 && label.iter().all(u8::is_ascii_alphanumeric)
}

/// Three base64url parts, the first of which encodes `{"`.
pub(crate) fn is_jwt(word: &[u8]) -> bool {
    word.len() >= 20
        && word.starts_with(b"eyJ")
        && word.iter().filter(|byte| **byte == b'.').count() == 2
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'='))
}

fn is_token(word: &[u8]) -> bool {
    if word.len() >= MIN_MARKED && PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
        return true;
    }
    word.len() >= MIN_TOKEN
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+=:%!*".contains(byte))
        && !is_identifier(word)
        && is_random(word)
}

/// A UUID, a ULID, or hexadecimal of a length that identifiers and short digests have.
fn is_identifier(word: &[u8]) -> bool {
    let hex = word.iter().all(u8::is_ascii_hexdigit);
    let uuid = word.len() == 36
        && word.iter().enumerate().all(|(i, byte)| {
            if matches!(i, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        });
    let ulid = word.len() == 26
        && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z'));
    uuid || ulid || (hex && matches!(word.len(), 24 | 32 | 40))
}

/// Letters and digits alternate as chance does it and words do not.
fn is_random(word: &[u8]) -> bool {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'a'..=b'z' => 3,
        _ => 0u8,
    };
    let (mut pairs, mut changes) = (0usize, 0usize);
    for (one, next) in word.iter().map(kind).zip(word.iter().skip(1).map(kind)) {
        if one > 0 && next > 0 {
            pairs += 1;
            changes += usize::from(one != next);
        }
    }
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    // Random base 36 changes kind at 40 % of its steps, base 62 at 62 %; camel case at up to 30 %.
    let least = if digits >= 2 { 20 } else { 40 };
    pairs >= 12 && changes * 100 >= pairs * least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        for (word, want) in [
            ("ada@example.com", Sensitive::Email),
            ("ada.l%40example.co.uk", Sensitive::Email),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Sensitive::Jwt),
            ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", Sensitive::Token),
            ("AKIAIOSFODNN7EXAMPLE", Sensitive::Token),
            ("dGhpcyBpcyBhIHNlY3JldCB0b2tlbg==", Sensitive::Token),
            ("k3j2h4g5f6d7s8a9p0o1i2u3", Sensitive::Token),
            ("Zx9-Qw3_Rt7yUi1oPa5sDf8gHj", Sensitive::Token),
            ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Sensitive::Token),
        ] {
            assert_eq!(classify(word.as_bytes()), Some(want), "{word}");
        }
    }

    #[test]
    fn names_and_identifiers() {
        for word in [
            "users",
            "42",
            "1234567890123456789",
            "my-long-article-title-about-apis-2024-01-15",
            "release-v2.14.3-beta.1",
            "getUserAccountDetailsByOrganization",
            "550e8400-e29b-41d4-a716-446655440000",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "507f1f77bcf86cd799439011",
            "d41d8cd98f00b204e9800998ecf8427e",
            "@angular",
            "user@host",
            "com.example.service.v1",
            "AuthenticationServiceConfiguration",
            "",
            "a@b",
            "%40%40",
        ] {
            assert_eq!(classify(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn a_neighbour_announces_a_secret() {
        assert!(is_announced(b"Reset", b"550e8400-e29b-41d4-a716-446655440000"));
        assert!(!is_announced(b"users", b"550e8400-e29b-41d4-a716-446655440000"));
        assert!(!is_announced(b"reset", b"password"));
    }
}
