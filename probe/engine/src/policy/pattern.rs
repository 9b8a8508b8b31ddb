//! Which paths a policy covers: `/api/admin/{any}`, `/files/{rest*}`.
//!
//! `{x}` is one segment, whatever it is called and typed (`{id:int}`): a server that is lenient with numbers
//! must not open a way around. `{x*}` at the end is the rest, which may be nothing. Empty segments at the end or
//! in between do not count, in the pattern nor in the request.

use super::name::shown;
use super::target::{READINGS, Reading, escaped, segments};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Segments of a pattern; the kernel compares as many.
pub const MAX_SEGMENTS: usize = 16;
/// Bytes of a pattern.
pub const MAX_PATTERN: usize = 512;

/// A set of paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    description = "A path: `{x}` stands for one segment, `{x*}` at the end for the rest."
)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
    rest: bool,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// These bytes, their encoding undone.
    Literal(Vec<u8>),
    /// Any one segment.
    Any,
}

/// Whether a request is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is.
    Match,
    /// It is not.
    Pass,
    /// It cannot be said: the target is no path, or too long.
    Undecided,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is no path.
    #[error("`{0}` is no path: it begins with `/`, without query and fragment")]
    NoPath(String),
    /// It is too long.
    #[error("a path has at most {MAX_SEGMENTS} segments and {MAX_PATTERN} bytes")]
    TooLong,
    /// A brace at a wrong place.
    #[error("`{0}`: a parameter is a whole segment, {{x}} or, at the end, {{x*}}")]
    Parameter(String),
    /// Dot segments.
    #[error("`{0}`: a path to be blocked holds no . or .. segments")]
    Dots(String),
}

impl Default for PathPattern {
    /// All paths.
    fn default() -> Self {
        Self { text: "/{all*}".into(), parts: Vec::new(), rest: true }
    }
}

impl PathPattern {
    /// Reads it.
    ///
    /// # Errors
    /// It is no path, too long, or a parameter is not a whole segment.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let shape = text.strip_prefix('/').filter(|rest| !rest.contains(['?', '#']));
        let Some(inner) = shape.filter(|rest| !rest.chars().any(char::is_control)) else {
            return Err(PatternError::NoPath(shown(text)));
        };
        let (mut parts, mut rest) = (Vec::new(), false);
        for segment in inner.split('/').filter(|segment| !segment.is_empty()) {
            if rest {
                return Err(PatternError::Parameter(shown(segment)));
            }
            match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if name.contains(['{', '}']) || name.is_empty() => {
                    return Err(PatternError::Parameter(shown(segment)));
                }
                Some(name) if name.ends_with('*') => rest = true,
                Some(_) => parts.push(Part::Any),
                None if segment.contains(['{', '}']) => return Err(PatternError::Parameter(shown(segment))),
                None => parts.push(literal(segment)?),
            }
        }
        if parts.len() > MAX_SEGMENTS || text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong);
        }
        Ok(Self { text: text.to_owned(), parts, rest })
    }

    /// The pattern for a path template of the inventory. It covers all that the template does, and may cover more:
    /// a parameter within a segment (`{id}.json`) becomes the whole segment, what the inventory cut off, the rest.
    /// `None` for rows that are no paths (`*`, `{overflow}`).
    #[must_use]
    pub fn of_template(template: &str) -> Option<Self> {
        let inner = template.strip_prefix('/')?;
        let mut text = String::new();
        for segment in inner.split('/') {
            match segment {
                "{rest}" | "{cut}" => {
                    text.push_str("/{rest*}");
                    break;
                }
                _ if segment.contains(['{', '}']) => {
                    let whole = segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1);
                    text.push('/');
                    text.push_str(if whole && !segment.ends_with("*}") { segment } else { "{any}" });
                }
                _ => {
                    text.push('/');
                    text.push_str(segment);
                }
            }
        }
        Self::parse(&text).ok()
    }

    /// Its segments, without the rest.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether anything may follow.
    #[must_use]
    pub const fn has_rest(&self) -> bool {
        self.rest
    }

    /// Whether it covers every path.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.parts.is_empty() && self.rest
    }

    /// Whether a request target is meant, in any way that a server could read it.
    #[must_use]
    pub fn judge(&self, target: &[u8], case_sensitive: bool) -> Verdict {
        if self.is_everything() {
            return Verdict::Match;
        }
        let mut verdict = Verdict::Pass;
        for reading in READINGS {
            match self.judge_as(target, reading, case_sensitive) {
                Verdict::Match => return Verdict::Match,
                Verdict::Undecided => verdict = Verdict::Undecided,
                Verdict::Pass => {}
            }
        }
        verdict
    }

    fn judge_as(&self, target: &[u8], reading: Reading, case_sensitive: bool) -> Verdict {
        // `OPTIONS *` and `CONNECT host:port` ask for no path.
        if target == b"*" {
            return Verdict::Pass;
        }
        let Some(asked) = segments(target, reading, case_sensitive) else { return Verdict::Undecided };
        let long_enough =
            if self.rest { asked.len() >= self.parts.len() } else { asked.len() == self.parts.len() };
        let all = self.parts.iter().zip(&asked).all(|(part, segment)| match part {
            Part::Any => true,
            Part::Literal(literal) if case_sensitive => literal == segment,
            Part::Literal(literal) => literal.eq_ignore_ascii_case(segment),
        });
        if long_enough && all { Verdict::Match } else { Verdict::Pass }
    }
}

/// A literal segment, its encoding undone.
fn literal(segment: &str) -> Result<Part, PatternError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        match escaped(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    match bytes.as_slice() {
        b"." | b".." => Err(PatternError::Dots(shown(segment))),
        _ => Ok(Part::Literal(bytes)),
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
