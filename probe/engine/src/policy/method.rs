//! Which methods a policy covers.
//!
//! A request may ask for another method than its first line says (`X-HTTP-Method-Override`), so every method
//! that a server could take it for is compared. `GET` covers `HEAD`, which the same code answers.

use super::name::shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Longest method that is compared; the longest one registered has 17.
pub const MAX_METHOD: usize = 24;

/// Header fields by which a request asks for another method, lower case.
pub const OVERRIDE_FIELDS: [&str; 4] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-method"];
/// Query parameter by which it does.
pub const OVERRIDE_PARAMETER: &str = "_method";

/// One method, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", description = "A method such as `GET`, which covers `HEAD`, or `*` for all.")]
pub struct MethodRule(Option<String>);

/// Why a word is no method.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no method: a word such as GET, or * for all")]
pub struct MethodError(String);

impl MethodRule {
    /// All of them.
    #[must_use]
    pub const fn any() -> Self {
        Self(None)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is no token of HTTP, or too long.
    pub fn parse(text: &str) -> Result<Self, MethodError> {
        if text == "*" {
            return Ok(Self(None));
        }
        let fits = (1..=MAX_METHOD).contains(&text.len()) && text.bytes().all(is_token);
        if fits { Ok(Self(Some(text.to_ascii_uppercase()))) } else { Err(MethodError(shown(text))) }
    }

    /// The one method, upper case; `None` for all.
    #[must_use]
    pub fn one(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether it covers a method as received, in any case.
    #[must_use]
    pub fn covers(&self, method: &[u8]) -> bool {
        let Some(wanted) = &self.0 else { return true };
        wanted.as_bytes().eq_ignore_ascii_case(method)
            || (wanted == "GET" && method.eq_ignore_ascii_case(b"HEAD"))
    }

    /// Whether it covers a request whose first line says `method`, and whose fields and query say `others`.
    #[must_use]
    pub fn covers_any<'m>(&self, method: &[u8], others: impl IntoIterator<Item = &'m [u8]>) -> bool {
        self.covers(method) || others.into_iter().any(|other| self.covers(other.trim_ascii()))
    }
}

/// A character of a token (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

impl TryFrom<String> for MethodRule {
    type Error = MethodError;

    fn try_from(text: String) -> Result<Self, MethodError> {
        Self::parse(&text)
    }
}

impl From<MethodRule> for String {
    fn from(rule: MethodRule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for MethodRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.one().unwrap_or("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_covers_head_and_every_spelling() {
        let get = MethodRule::parse("get").unwrap();
        assert!(get.covers(b"GET") && get.covers(b"HEAD") && get.covers(b"gEt") && !get.covers(b"POST"));
        assert!(MethodRule::any().covers(b"PURGE"));
        let delete = MethodRule::parse("DELETE").unwrap();
        assert!(delete.covers_any(b"POST", [&b" delete "[..]]) && !delete.covers_any(b"POST", []));
        assert!(MethodRule::parse("GE T").is_err() && MethodRule::parse("").is_err());
    }
}
