//! A baseline as one document, to be carried from a healthy environment to another.

use super::{Baseline, NORMS, Norm, NormKey};
use crate::endpoint::Id;
use serde::{Deserialize, Serialize};

/// What the document says that it is.
pub const FORMAT: &str = "apisec-top-baseline/1";
/// Longest name that is believed.
const MAX_NAME: usize = 1_024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// When it was made, Unix nanoseconds.
    pub made: u64,
    /// The norms.
    pub norms: Vec<Entry>,
}

/// One norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose.
    #[serde(flatten)]
    pub key: NormKey,
    /// What.
    pub norm: Norm,
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DocumentError {
    /// It is something else.
    #[error("it is no baseline of this program: its format is `{0}`, not `{FORMAT}`")]
    Format(String),
    /// It holds more than can be kept.
    #[error("it has {0} norms, and {NORMS} can be kept")]
    TooMany(usize),
    /// A name is too long.
    #[error("norm {0} has a name of more than {MAX_NAME} bytes")]
    Name(usize),
    /// A time is impossible.
    #[error("norm {0} was learnt after the document was made")]
    Time(usize),
}

impl Document {
    /// All of a baseline.
    #[must_use]
    pub fn of(baseline: &Baseline, made: u64) -> Self {
        let norms =
            baseline.iter().map(|(key, norm)| Entry { key: key.clone(), norm: norm.clone() }).collect();
        Self { format: FORMAT.to_owned(), made, norms }
    }

    /// The norms, if they make sense; those of a service that has another name here under that one.
    ///
    /// # Errors
    /// They do not: which, and why.
    pub fn norms(self, here: impl Fn(&Id) -> Id) -> Result<Vec<(NormKey, Norm)>, DocumentError> {
        if self.format != FORMAT {
            return Err(DocumentError::Format(self.format.chars().take(64).collect()));
        }
        if self.norms.len() > NORMS {
            return Err(DocumentError::TooMany(self.norms.len()));
        }
        let mut norms = Vec::with_capacity(self.norms.len());
        for (number, Entry { mut key, norm }) in self.norms.into_iter().enumerate() {
            let names =
                [&*key.service, &*key.caller, key.method.as_str(), &*key.path, key.operation.as_str()];
            let sets =
                norm.callers.iter().chain(&norm.properties).chain(norm.before.keys()).map(String::as_str);
            if key.service.is_empty() || names.into_iter().chain(sets).any(|name| name.len() > MAX_NAME) {
                return Err(DocumentError::Name(number));
            }
            if norm.last > self.made || norm.halved > self.made {
                return Err(DocumentError::Time(number));
            }
            key.service = here(&key.service);
            // Adding keeps the bounds.
            let mut bounded = Norm::default();
            bounded.merge(&norm);
            norms.push((key, bounded));
        }
        Ok(norms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MINUTE, Minute};
    use super::*;

    #[test]
    fn what_is_carried_over_is_what_was_learnt() {
        let mut baseline = Baseline::default();
        let key = NormKey { service: "process:a".into(), path: "/x".into(), ..NormKey::default() };
        let minute = Minute { calls: 7, ..Minute::default() };
        (1..50).for_each(|n| baseline.learning(&key).unwrap().learn(n * MINUTE, minute));
        let text = serde_json::to_string(&Document::of(&baseline, 60 * MINUTE)).unwrap();
        let document: Document = serde_json::from_str(&text).unwrap();
        let norms = document.clone().norms(|_| "process:b".into()).unwrap();
        assert_eq!((&*norms[0].0.service, &norms[0].1), ("process:b", baseline.get(&key).unwrap()));
        let same = |id: &Id| id.clone();
        let wrong = Document { format: "x".into(), ..document.clone() };
        assert!(matches!(wrong.norms(same), Err(DocumentError::Format(_))));
        let early = Document { made: 3, ..document.clone() };
        assert_eq!(early.norms(same), Err(DocumentError::Time(0)));
        let mut long = document;
        long.norms[0].key.path = "/".repeat(2_000).as_str().into();
        assert_eq!(long.norms(same), Err(DocumentError::Name(0)));
    }
}
