//! How many calls are let through: a token bucket that fills evenly.

use super::name::shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Most calls in one unit of time: what no single service of ours answers.
const MAX: u32 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// So many calls in a second, a minute or an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", description = "Calls per second, minute or hour: `10/s`, `600/m`, `20/h`.")]
pub struct RateLimit {
    /// Calls.
    pub calls: u32,
    /// In this time.
    pub unit: Unit,
}

/// In which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// In a second.
    Second,
    /// In a minute.
    Minute,
    /// In an hour.
    Hour,
}

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RateError {
    /// Not a rate.
    #[error("`{0}` is no rate: calls per second, minute or hour, such as 10/s, 600/m or 20/h, at most {MAX}")]
    Rate(String),
    /// Not a burst.
    #[error("a burst is 1 to {MAX} calls")]
    Burst,
}

impl RateLimit {
    /// Reads it.
    ///
    /// # Errors
    /// It is no rate, or beyond the bounds.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let unit = |word: &str| match word {
            "s" => Some(Unit::Second),
            "m" => Some(Unit::Minute),
            "h" => Some(Unit::Hour),
            _ => None,
        };
        let parts = text.split_once('/').and_then(|(calls, per)| Some((calls.parse().ok()?, unit(per)?)));
        match parts {
            Some((calls, unit)) if (1..=MAX).contains(&calls) => Ok(Self { calls, unit }),
            _ => Err(RateError::Rate(shown(text))),
        }
    }

    /// Nanoseconds in which the bucket gets one more token.
    #[must_use]
    pub const fn interval(self) -> u64 {
        let all = match self.unit {
            Unit::Second => SECOND,
            Unit::Minute => 60 * SECOND,
            Unit::Hour => 3_600 * SECOND,
        };
        all / self.calls as u64
    }

    /// What the bucket holds when nobody said: the calls of a second, at least one.
    #[must_use]
    pub const fn burst(self) -> u32 {
        let in_a_second = match self.unit {
            Unit::Second => self.calls,
            Unit::Minute => self.calls / 60,
            Unit::Hour => self.calls / 3_600,
        };
        if in_a_second == 0 { 1 } else { in_a_second }
    }
}

impl TryFrom<String> for RateLimit {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        Self::parse(&text)
    }
}

impl From<RateLimit> for String {
    fn from(rate: RateLimit) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(out, "{}/{unit}", self.calls)
    }
}

/// How many calls are let through at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32", extend("minimum" = 1, "maximum" = 1_000_000))]
pub struct Burst(u32);

impl TryFrom<u32> for Burst {
    type Error = RateError;

    fn try_from(calls: u32) -> Result<Self, RateError> {
        if (1..=MAX).contains(&calls) { Ok(Self(calls)) } else { Err(RateError::Burst) }
    }
}

impl From<Burst> for u32 {
    fn from(burst: Burst) -> Self {
        burst.0
    }
}

/// A bucket: the reference for the one in the kernel, and what a preview replays with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    tokens: u32,
    /// When the newest token came.
    at: u64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn full(burst: u32, now: u64) -> Self {
        Self { tokens: burst, at: now }
    }

    /// Takes a token; false when there is none.
    pub fn take(&mut self, interval: u64, burst: u32, now: u64) -> bool {
        let come = now.saturating_sub(self.at) / interval.max(1);
        if come > 0 {
            self.tokens =
                u32::try_from(u64::from(self.tokens).saturating_add(come)).unwrap_or(u32::MAX).min(burst);
            self.at = if self.tokens == burst {
                now
            } else {
                self.at.saturating_add(come.saturating_mul(interval))
            };
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings() {
        for (text, interval, burst) in
            [("10/s", 100_000_000, 10), ("600/m", 100_000_000, 10), ("20/h", 180 * SECOND, 1)]
        {
            let rate = RateLimit::parse(text).unwrap();
            assert_eq!((rate.interval(), rate.burst(), rate.to_string()), (interval, burst, text.to_owned()));
        }
        for text in ["", "10", "/s", "0/s", "10/d", "-1/s", "1000001/s", "1 /s"] {
            assert!(RateLimit::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// In no span of time are more let through than the burst and what came in that time.
        #[test]
        fn no_window_exceeds_the_limit(steps in proptest::collection::vec(0_u64..50_000_000, 1..200), burst in 1_u32..20) {
            let interval = 10_000_000;
            let (mut now, mut passed) = (0, Vec::new());
            let mut bucket = Bucket::full(burst, now);
            for step in steps {
                now += step;
                if bucket.take(interval, burst, now) {
                    passed.push(now);
                }
            }
            for (from, first) in passed.iter().enumerate() {
                for (to, last) in passed.iter().enumerate().skip(from) {
                    prop_assert!((to - from + 1) as u64 <= u64::from(burst) + (last - first) / interval + 1);
                }
            }
        }
    }
}
