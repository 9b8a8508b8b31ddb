//! Something that we cannot see or do, and why: a value, shown wherever the numbers it affects are shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a degradation costs the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the numbers are complete.
    Notice,
    /// Some calls or names are missing.
    Partial,
    /// The job cannot be done.
    Fatal,
}

/// One degradation. Two with the same `code` are the same one, with the newer text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degradation {
    /// Stable identifier such as `no-btf`, `ring-full`, `endpoint-cap`.
    pub code: String,
    /// How much it costs.
    pub severity: Severity,
    /// What is missing, in plain words, with numbers.
    pub what: String,
    /// What to do about it; empty when nothing can be done.
    pub remedy: String,
}
