//! A length of time as typed: `10s`, `1m30s`, `500ms`, or a bare number of seconds.

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let typed = text.trim();
        let with_unit = if typed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            format!("{typed}s")
        } else {
            typed.to_owned()
        };
        let span: jiff::SignedDuration = with_unit
            .parse()
            .map_err(|_why| format!("`{text}` is not a length of time; try 10s, 1m30s or 500ms"))?;
        match Duration::try_from(span) {
            Ok(span) if !span.is_zero() => Ok(Self(span)),
            _ => Err(format!("`{text}` is not longer than zero; try 10s, 1m30s or 500ms")),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(span) => write!(out, "{span:#}"),
            Err(_beyond) => write!(out, "{}s", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        for (text, millis) in [
            ("10s", 10_000),
            ("10", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2h", 7_200_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "ten", "-5s", "0s", "0", "5 parsecs", "1..2"] {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains("10s"), "{text}: {error}");
        }
    }

    #[test]
    fn display_reads_back() {
        for text in ["10s", "1m30s", "500ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse(), Ok(span), "{span}");
        }
    }
}
