//! What a term compares with: texts with `*`, sets of statuses, magnitudes.

/// A text in lower case, cut at its `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<String>,
    /// The whole text must be the pattern even without `*`.
    whole: bool,
}

impl Pattern {
    pub(super) fn new(text: &str, whole: bool) -> Self {
        let parts: Vec<String> = text.split('*').map(str::to_ascii_lowercase).collect();
        let whole = whole || parts.len() > 1;
        Self { parts, whole }
    }

    /// Contained, or with `*` (or where a word is meant) equal as a whole; ASCII case does not matter.
    pub(super) fn matches(&self, text: &str) -> bool {
        if self.whole { self.covers(text.as_bytes()) } else { self.matches_anywhere(text) }
    }

    /// All parts occur one after another.
    pub(super) fn matches_anywhere(&self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        self.parts.iter().all(|part| match find(rest, part.as_bytes()) {
            Some(at) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }

    fn covers(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| text.eq_ignore_ascii_case(only.as_bytes()));
        };
        let Some((head, rest)) = text.split_at_checked(first.len()) else { return false };
        let Some(tail_at) = rest.len().checked_sub(last.len()) else { return false };
        let Some((mut rest, tail)) = rest.split_at_checked(tail_at) else { return false };
        if !head.eq_ignore_ascii_case(first.as_bytes()) || !tail.eq_ignore_ascii_case(last.as_bytes()) {
            return false;
        }
        middle.iter().all(|part| match find(rest, part.as_bytes()) {
            Some(at) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }
}

/// Where `needle` (in lower case) occurs first, whatever the case of `text`.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    text.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Comparison {
    pub(super) fn holds(self, value: u64, limit: u64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::AtLeast => value >= limit,
            Self::More => value > limit,
        }
    }
}

/// A set of statuses; an unanswered call has status 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    /// `404`, `5xx`, `none`, with a comparison other than `=` only numbers.
    pub(super) fn parse(comparison: Comparison, text: &str) -> Option<Self> {
        if comparison == Comparison::Equal {
            if text.eq_ignore_ascii_case("none") {
                return Some(Self { first: 0, last: 0 });
            }
            if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = text.as_bytes() {
                let first = u16::from(*class - b'0') * 100;
                return Some(Self { first, last: first + 99 });
            }
        }
        let status: u16 = text.parse().ok().filter(|status| (100..1000).contains(status))?;
        let (first, last) = match comparison {
            Comparison::Less => (100, status - 1),
            Comparison::AtMost => (100, status),
            Comparison::Equal => (status, status),
            Comparison::AtLeast => (status, 999),
            Comparison::More => (status + 1, 999),
        };
        Some(Self { first, last })
    }

    pub(super) fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// `50ms`, `1s`, `200us`, `7ns`; a bare number is milliseconds. In nanoseconds.
pub(super) fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let unit = UNITS.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)));
    let (number, scale) = unit.unwrap_or((text, 1e6));
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    number.parse::<f64>().ok().filter(|_| plain).map(|number| (number * scale) as u64)
}
