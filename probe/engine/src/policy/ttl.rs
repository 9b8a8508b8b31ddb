//! How long a policy lasts: `15m`, `1h30m`, or `forever`, which must be typed.

use super::name::shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// What a policy lasts when nobody said: the first look at an incident.
const DEFAULT: u64 = 15 * 60;
/// Longest time that is no `forever`: a policy that lasts for months belongs into a configuration.
const MAX: u64 = 30 * 86_400;

/// Units, longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// How long a policy lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", description = "How long it lasts: `15m`, `1h30m`, at most `30d`, or `forever`.")]
pub enum Ttl {
    /// So many seconds, at least one.
    Seconds(u32),
    /// Until it is taken back.
    Forever,
}

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no time to live: 90s, 15m, 1h30m, at most 30d, or forever")]
pub struct TtlError(String);

impl Default for Ttl {
    fn default() -> Self {
        Self::Seconds(DEFAULT as u32)
    }
}

impl Ttl {
    /// Reads it.
    ///
    /// # Errors
    /// It is no length of time, zero, or longer than thirty days.
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        seconds(text).filter(|all| (1..=MAX).contains(all)).map_or_else(
            || Err(TtlError(shown(text))),
            |all| Ok(Self::Seconds(u32::try_from(all).unwrap_or(u32::MAX))),
        )
    }

    /// Seconds, `None` for ever.
    #[must_use]
    pub const fn seconds(self) -> Option<u32> {
        match self {
            Self::Seconds(all) => Some(all),
            Self::Forever => None,
        }
    }

    /// When a policy ends that begins at `now` (nanoseconds of any clock); `None` for never.
    #[must_use]
    pub const fn deadline(self, now: u64) -> Option<u64> {
        match self {
            Self::Seconds(all) => Some(now.saturating_add(all as u64 * 1_000_000_000)),
            Self::Forever => None,
        }
    }
}

/// Adds up `1h30m`: numbers with units, each unit once, longest first; a bare number is seconds.
fn seconds(text: &str) -> Option<u64> {
    let (mut all, mut number, mut digits, mut last) = (0_u64, 0_u64, 0_u32, usize::MAX);
    for one in text.chars() {
        if let Some(digit) = one.to_digit(10) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
            continue;
        }
        let at = UNITS.iter().position(|(unit, _)| *unit == one)?;
        let (_, worth) = UNITS.get(at)?;
        if digits == 0 || (last != usize::MAX && at <= last) {
            return None;
        }
        all = all.checked_add(number.checked_mul(*worth)?)?;
        (number, digits, last) = (0, 0, at);
    }
    match (digits, last) {
        (0, usize::MAX) => None,
        (0, _) => Some(all),
        (_, usize::MAX) => Some(number),
        _ => None,
    }
}

impl TryFrom<String> for Ttl {
    type Error = TtlError;

    fn try_from(text: String) -> Result<Self, TtlError> {
        Self::parse(&text)
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> Self {
        ttl.to_string()
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Seconds(all) = self else { return out.write_str("forever") };
        let mut rest = u64::from(*all);
        for (unit, worth) in UNITS {
            if rest >= worth {
                write!(out, "{}{unit}", rest / worth)?;
                rest %= worth;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings() {
        for (text, want) in [
            ("15m", 900),
            ("90s", 90),
            ("90", 90),
            ("1h30m", 5_400),
            ("30d", 2_592_000),
            ("1d1h1m1s", 90_061),
        ] {
            assert_eq!(Ttl::parse(text), Ok(Ttl::Seconds(want)), "{text}");
        }
        assert_eq!(Ttl::parse("forever"), Ok(Ttl::Forever));
        for text in [
            "",
            "0",
            "0s",
            "m",
            "31d",
            "1m1h",
            "1m2m",
            "1h5",
            "-1s",
            "1.5h",
            "99999999999999999999d",
            "Forever",
        ] {
            assert!(Ttl::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(all in 1_u32..2_592_000) {
            let ttl = Ttl::Seconds(all);
            prop_assert_eq!(Ttl::parse(&ttl.to_string()), Ok(ttl));
        }
    }
}
