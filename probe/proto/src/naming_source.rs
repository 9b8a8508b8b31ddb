//! Which part of a request says who calls, where the operator said so: a field, a cookie, or a claim of a token.
//!
//! Without a word of the operator the first credential that is there counts, and of a token its subject.

use compact_str::CompactString;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// Longest name.
const MAX_NAME: usize = 32;
/// The service that stands for all that are not named.
pub const EVERYWHERE: &str = "*";

/// One such part.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamingSource {
    /// The value of a field, by its lower-case name.
    Header(CompactString),
    /// The value of a cookie.
    Cookie(CompactString),
    /// A claim of the JSON Web Token that stands in whichever place.
    Claim(CompactString),
}

impl NamingSource {
    /// Its name, without what it is.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Cookie(name) | Self::Claim(name) => name,
        }
    }
}

impl fmt::Display for NamingSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
            Self::Claim(_) => "claim",
        };
        write!(out, "{kind} {}", self.name())
    }
}

impl FromStr for NamingSource {
    type Err = String;

    /// Reads `header x-user-id`, `cookie sid` or `claim uid`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) =
            text.trim().split_once(' ').ok_or("it is `header NAME`, `cookie NAME` or `claim NAME`")?;
        let name = name.trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
            return Err(format!(
                "a name has 1 to {MAX_NAME} letters, digits or signs such as - and _, and no space"
            ));
        }
        match kind {
            "header" => Ok(Self::Header(name.to_ascii_lowercase().into())),
            "cookie" => Ok(Self::Cookie(name.into())),
            "claim" => Ok(Self::Claim(name.into())),
            _ => Err(format!("`{kind}` is none of header, cookie, claim")),
        }
    }
}

/// What the operator said, by the id of the service; [`EVERYWHERE`] is all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamingSources(pub HashMap<String, NamingSource>);

impl NamingSources {
    /// What names the callers of a service.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<&NamingSource> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(service).or_else(|| self.0.get(EVERYWHERE))
    }

    /// The claims among them, once each.
    pub(crate) fn claims(&self) -> Vec<CompactString> {
        let claims = self.0.values().filter_map(|source| match source {
            NamingSource::Claim(name) => Some(name.clone()),
            _ => None,
        });
        let mut claims: Vec<CompactString> = claims.collect();
        claims.sort();
        claims.dedup();
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_are_written() {
        for text in ["header x-user-id", "cookie SID", "claim https://idp.example/uid"] {
            assert_eq!(text.parse::<NamingSource>().unwrap().to_string(), text);
        }
        assert_eq!("header X-User".parse(), Ok(NamingSource::Header("x-user".into())));
        for text in ["", "header", "header ", "subject x", "cookie a b", "claim \u{1b}[2J"] {
            assert!(text.parse::<NamingSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_service_before_all() {
        let mut sources = NamingSources::default();
        assert_eq!(sources.of("a"), None);
        sources.0.insert(EVERYWHERE.into(), NamingSource::Claim("uid".into()));
        sources.0.insert("a".into(), NamingSource::Cookie("sid".into()));
        assert_eq!(sources.of("a").unwrap().name(), "sid");
        assert_eq!(sources.of("b").unwrap().name(), "uid");
        assert_eq!(sources.claims(), ["uid"]);
    }
}
