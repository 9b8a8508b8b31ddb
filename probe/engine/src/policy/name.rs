//! Names in a policy: its own, those of workloads, of a credential, and the text that says why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// Longest name of a policy: that of a Kubernetes label's value, so that every backend can carry it.
pub const MAX_NAME: usize = 63;
/// Longest name of a workload.
const MAX_SELECTOR: usize = 256;
/// Longest reason, in bytes.
const MAX_REASON: usize = 512;

/// Why a word is none of these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not the name of a policy.
    #[error(
        "`{0}` is no name: lower-case letters, digits and `-`, at most {MAX_NAME}, such as stop-enumeration"
    )]
    Name(String),
    /// Not the name of a workload.
    #[error(
        "a workload is named by its name, its id, an address or address:port, in at most {MAX_SELECTOR} printable characters"
    )]
    Selector,
    /// Not a hash.
    #[error("`{0}` is no identity: sixteen hexadecimal digits, as calls and findings show it")]
    Hash(String),
    /// Too long.
    #[error("the reason is at most {MAX_REASON} bytes of printable text in one line")]
    Reason,
}

macro_rules! text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl $name {
            /// As it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

/// The name of a policy: lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 63, "pattern" = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
pub struct Name(String);

text!(Name);

impl Name {
    /// Reads it.
    ///
    /// # Errors
    /// It holds something else, or is too long.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError::Name(shown(text))) }
    }

    /// The nearest name to any text: `GET /api/{id}` is `get-api-id`.
    #[must_use]
    pub fn near(text: &str) -> Self {
        let mut name = String::new();
        for byte in text.bytes() {
            match byte.to_ascii_lowercase() {
                byte @ (b'a'..=b'z' | b'0'..=b'9') if name.len() < MAX_NAME => name.push(char::from(byte)),
                _ if name.len() < MAX_NAME && !name.is_empty() && !name.ends_with('-') => name.push('-'),
                _ => {}
            }
        }
        let name = name.trim_end_matches('-');
        Self(if name.is_empty() { "policy" } else { name }.to_owned())
    }
}

/// Whom a policy is about: the name or the id of a workload, an address, or address:port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 256))]
pub struct Selector(String);

text!(Selector);

impl Selector {
    /// Reads it.
    ///
    /// # Errors
    /// It is empty, too long, or holds what cannot be printed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        let fits = (1..=MAX_SELECTOR).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError::Selector) }
    }

    /// The address and port that it is, with the brackets of IPv6.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.0.parse().ok()
    }

    /// The address without a port that it is.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether it means the workload of this id and name: it is one of them, or the id without its kind and port
    /// (`process:orders:8080` is meant by `orders`, `orders:8080` and `process:orders`).
    #[must_use]
    pub fn means(&self, id: &str, name: &str) -> bool {
        let wanted = self.0.as_str();
        if wanted == id || wanted == name {
            return true;
        }
        let bare = id.split_once(':').map_or(id, |(_kind, rest)| rest);
        let portless = |text: &str| {
            text.rsplit_once(':')
                .filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
                .map(|(rest, _)| rest.to_owned())
        };
        wanted == bare
            || portless(bare).is_some_and(|bare| bare == wanted)
            || portless(id).is_some_and(|id| id == wanted)
    }
}

/// The keyed hash of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9a-fA-F]{16}$"))]
pub struct Hash(pub u64);

impl TryFrom<String> for Hash {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(hash) if digits => Ok(Self(hash)),
            _ => Err(NameError::Hash(shown(&text))),
        }
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// Why a policy is there, in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 512))]
pub struct Reason(String);

text!(Reason);

impl Reason {
    /// Reads it.
    ///
    /// # Errors
    /// It is too long, or holds what cannot be printed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = text.len() <= MAX_REASON && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError::Reason) }
    }

    /// Whether nobody said why.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As much of a text as an error shows.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(40).map(|one| if one.is_control() { '?' } else { one }).collect()
}
