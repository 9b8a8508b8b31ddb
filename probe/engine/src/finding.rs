//! Something that is wrong: what, who, to what, how sure we are, and what to do about it.
//!
//! One finding per detector, endpoint and actor; it is updated, never repeated. It holds what calls hold: names,
//! numbers and keyed hashes, no secret.

use crate::fingerprint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How bad it is. It follows the answer: what the server accepted is worse than what it refused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Tried and refused, or a weakness that nobody used.
    Low,
    /// Needs a look today.
    Medium,
    /// Needs a look now.
    High,
    /// It goes on, and data or control is being lost.
    Critical,
}

impl Severity {
    /// Every severity with its word in the contract, worst first.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Critical, "critical"),
        (Self::High, "high"),
        (Self::Medium, "medium"),
        (Self::Low, "low"),
        (Self::Info, "info"),
    ];

    /// Its word in the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("info", |(_, word)| word)
    }
}

/// How sure we are.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It may well be something else, or somebody else.
    #[default]
    Low,
    /// Unusual, and no innocent reason is known.
    Medium,
    /// There is hardly another explanation.
    High,
}

impl Confidence {
    /// Its word in the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The confidence of so many points of ten.
    #[must_use]
    pub const fn of(points: u8) -> Self {
        match points {
            0..4 => Self::Low,
            4..7 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// What the operator made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum State {
    /// Nobody has looked.
    #[default]
    New,
    /// Somebody is looking.
    Acknowledged,
    /// It is not to be shown until then.
    Muted {
        /// Why.
        reason: String,
        /// Unix nanoseconds, 0 without an end.
        until: u64,
    },
    /// It is over. If it happens again after this time (Unix nanoseconds), it is new again.
    Resolved {
        /// When it was said.
        at: u64,
    },
}

impl State {
    /// Its word in the contract.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::Muted { .. } => "muted",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// Whether somebody still has to do something about it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::New | Self::Acknowledged)
    }
}

/// A call behind a finding, redacted as calls are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingCall {
    /// Unix nanoseconds.
    pub at: u64,
    /// Method.
    pub method: String,
    /// Path as called.
    pub path: String,
    /// Status, 0 when unanswered.
    pub status: u16,
}

/// Something that happened to a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Unix nanoseconds.
    pub at: u64,
    /// What happened.
    pub what: String,
}

/// What could be cut off: the scope of a policy, as data. Empty parts are not restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// `edge`, `endpoint`, `identity`, `rate` or `quarantine`.
    pub kind: String,
    /// Calling workload.
    pub caller: String,
    /// Called workload.
    pub service: String,
    /// Method.
    pub method: String,
    /// Path template.
    pub path: String,
    /// Keyed hash of the identity in hexadecimal, as calls hold it.
    pub identity: String,
    /// Calls per minute that may remain, for a rate.
    pub per_minute: u64,
    /// What it would do, in one sentence.
    pub what: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable name of this finding, of sixteen hexadecimal digits.
    pub id: String,
    /// Who found it.
    pub detector: String,
    /// `API1:2023` and so on.
    pub owasp: String,
    /// `CWE-639` and so on.
    pub cwe: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure we are.
    pub confidence: Confidence,
    /// Called workload.
    pub service: String,
    /// Method, empty when it is about the whole service.
    pub method: String,
    /// Path template, likewise.
    pub path: String,
    /// The operation below method and path: a GraphQL field, a tool. Empty where method and path say it all.
    pub operation: String,
    /// Calling workload, empty when it is about all of them.
    pub actor: String,
    /// Who the caller says it is, as a scheme and the beginning of a keyed hash: `jwt 3fa9c1d2`.
    pub identity: String,
    /// Keyed hash of the identity in hexadecimal, as calls hold it; empty without one.
    pub identity_hash: String,
    /// One line.
    pub title: String,
    /// What it rests on, with numbers.
    pub evidence: String,
    /// The numbers by themselves.
    pub facts: BTreeMap<String, f64>,
    /// What to do.
    pub remedy: String,
    /// Some of the calls.
    pub calls: Vec<FindingCall>,
    /// Calls that count as evidence.
    pub count: u64,
    /// First of them, Unix nanoseconds.
    pub first_seen: u64,
    /// Last of them, Unix nanoseconds.
    pub last_seen: u64,
    /// What happened to it, oldest first.
    pub timeline: Vec<Event>,
    /// What the operator made of it.
    pub state: State,
    /// What could be cut off.
    pub suggestion: Suggestion,
}

impl Finding {
    /// The name of the finding of this detector about this operation and actor.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { detector, service, method, path, operation, actor, identity_hash, .. } = self;
        let parts = [detector, service, method, path, operation, actor, identity_hash];
        let hash =
            parts.iter().fold(0, |hash, part| fingerprint::pair(hash, fingerprint::of(part.as_bytes())));
        format!("{hash:016x}")
    }

    /// What to look at first: open before closed, worse before better, surer before less sure, then found later. Not by when it
    /// was last seen: rows that go on would jump under the operator's hand.
    #[must_use]
    pub fn urgency(&self) -> impl Ord + use<> {
        (self.state.is_open(), self.severity, self.confidence, self.first_seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_comes_first() {
        let finding = |severity, confidence, last_seen, state| Finding {
            severity,
            confidence,
            last_seen,
            state,
            ..Finding::default()
        };
        let mut findings = [
            finding(Severity::Low, Confidence::High, 9, State::New),
            finding(Severity::High, Confidence::Medium, 1, State::Acknowledged),
            finding(Severity::Critical, Confidence::High, 9, State::Resolved { at: 1 }),
            finding(Severity::High, Confidence::High, 1, State::New),
        ];
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.urgency()));
        let order: Vec<&str> = findings.iter().map(|finding| finding.severity.word()).collect();
        assert_eq!(order, ["high", "high", "low", "critical"]);
        assert_eq!(findings[0].confidence, Confidence::of(7));
    }

    #[test]
    fn the_words_are_those_of_the_serialised_form() {
        for (severity, word) in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), word);
            assert_eq!(severity.word(), word);
        }
        for points in [0, 4, 7] {
            let confidence = Confidence::of(points);
            assert_eq!(serde_json::to_value(confidence).unwrap(), confidence.word());
        }
        let muted = State::Muted { reason: "a test".into(), until: 7 };
        assert_eq!(serde_json::to_value(&muted).unwrap()["is"], muted.word());
    }

    #[test]
    fn a_name_depends_on_every_part_and_its_place() {
        let finding = Finding { detector: "a".into(), service: "b".into(), ..Finding::default() };
        let turned = Finding { detector: "b".into(), service: "a".into(), ..Finding::default() };
        let moved = Finding { detector: "a".into(), operation: "b".into(), ..Finding::default() };
        assert_eq!(finding.name().len(), 16);
        assert_ne!(finding.name(), turned.name());
        assert_ne!(finding.name(), moved.name());
    }
}
