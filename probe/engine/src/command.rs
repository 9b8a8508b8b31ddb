//! What the operator may ask the knowledge to change. Persisted by the caller, replayed at start.

use crate::drift::Given;
use crate::finding::State;
use crate::policy::order::Order;
use crate::policy::standing::Standings;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of the inventory's templating rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum TemplateRule {
    /// Fold all siblings at the last segment of `path` into one parameter: `/shop/{item}`.
    Merge {
        /// Callee workload id.
        service: String,
        /// Template path whose last segment is folded together with its siblings.
        path: String,
    },
    /// Never fold the siblings at the last segment of `path`; shown literally from now on.
    Split {
        /// Callee workload id.
        service: String,
        /// Template path whose last segment is a parameter now.
        path: String,
    },
}

/// A command to the knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The operator has made up their mind about a finding.
    Handle {
        /// Its id.
        finding: String,
        /// What it is from now on.
        state: State,
    },
    /// Add a rule.
    Add(TemplateRule),
    /// Take the newest rule back.
    UndoRule,
    /// These are all specifications from now on.
    Specify(Vec<Given>),
    /// Of the calls themselves only those that pass this filter are looked at. Whoever listens to other nodes takes this out of
    /// the way; the knowledge does nothing with it.
    Tail(String),
    /// Close the half-read connection with this number, so that the one that follows it can be read from its beginning.
    Resync(u64),
    /// The operator wants to see once who the identity with this hash is. It never reaches the knowledge.
    Reveal(u64),
    /// Policies stand like this now.
    Standings(Arc<Standings>),
    /// Put a policy into force, or take it back. Whoever enforces policies takes this out of the way; the knowledge
    /// does nothing with it.
    Order(Order),
}
