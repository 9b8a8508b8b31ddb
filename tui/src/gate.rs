//! What a run must not find: `--fail-on`, so that a build can be gated on recorded traffic.

use crate::cli::NAME;
use crate::exit::Exit;
use apisec_engine::finding::{Finding, Severity};
use apisec_engine::snapshot::{Drift, EndpointView, Snapshot};
use clap::builder::PossibleValuesParser;
use std::io::Write;

/// Words for open findings of at least this severity.
const FINDINGS: [(&str, Severity); 3] =
    [("finding-low", Severity::Low), ("finding-medium", Severity::Medium), ("finding-high", Severity::High)];

/// Words for the flags beside a drift state.
const FLAGS: [&str; 2] = ["deprecated", "schema"];

/// The words that `--fail-on` takes.
fn words() -> impl Iterator<Item = &'static str> {
    let states = Drift::ALL.iter().filter(|(state, _)| !matches!(state, Drift::Active | Drift::Unspecified));
    states.map(|(_, word)| *word).chain(FLAGS).chain(FINDINGS.map(|(word, _)| word))
}

/// Reads one of them from the command line.
pub(crate) fn parser() -> PossibleValuesParser {
    PossibleValuesParser::new(words())
}

/// Drift and findings that are not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate(Vec<String>);

impl Gate {
    /// Of the words of `--fail-on`.
    #[must_use]
    pub fn of(words: &[String]) -> Self {
        Self(words.to_vec())
    }

    /// The exit code when something is there that must not be, which is said on standard error.
    #[must_use]
    pub fn judge(&self, snapshot: &Snapshot) -> Option<Exit> {
        let mut found = Vec::new();
        for word in &self.0 {
            let count = match FINDINGS.iter().find(|(known, _)| known == word) {
                Some((_, least)) => open(snapshot, *least),
                None => snapshot.endpoints.iter().filter(|endpoint| has(endpoint, word)).count(),
            };
            if count > 0 {
                found.push(format!("{count} {word}"));
            }
        }
        if found.is_empty() {
            return None;
        }
        let _closed = writeln!(std::io::stderr(), "{NAME}: --fail-on: {}", found.join(", "));
        Some(Exit::Gated)
    }
}

fn open(snapshot: &Snapshot, least: Severity) -> usize {
    let counts =
        |finding: &&Finding| finding.state.is_open() && finding.severity >= least && snapshot.saw(finding);
    snapshot.findings.iter().filter(counts).count()
}

fn has(endpoint: &EndpointView, word: &str) -> bool {
    match word {
        "deprecated" => endpoint.deprecated_in_use,
        "schema" => endpoint.schema_drift,
        state => endpoint.drift.word() == state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use apisec_engine::finding::State;

    #[test]
    fn only_what_is_named_fails() {
        let mut snapshot = fixture::shop();
        let gate =
            |words: &[&str]| Gate::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(gate(&["shadow", "deprecated"]).judge(&snapshot), None);
        snapshot.endpoints[0].drift = Drift::Shadow;
        snapshot.endpoints[1].schema_drift = true;
        assert_eq!(gate(&["deprecated"]).judge(&snapshot), None);
        assert_eq!(gate(&["deprecated", "shadow"]).judge(&snapshot), Some(Exit::Gated));
        assert_eq!(gate(&["schema"]).judge(&snapshot), Some(Exit::Gated));
        assert_eq!(Gate::default().judge(&snapshot), None);
        let finding = Finding { severity: Severity::Medium, last_seen: u64::MAX, ..Finding::default() };
        snapshot.findings = vec![finding];
        assert_eq!(gate(&["finding-high"]).judge(&snapshot), None);
        assert_eq!(gate(&["finding-low"]).judge(&snapshot), Some(Exit::Gated));
        snapshot.findings[0].last_seen = 0;
        assert_eq!(gate(&["finding-low"]).judge(&snapshot), None, "an earlier run's fails no later one");
        snapshot.findings[0].last_seen = u64::MAX;
        snapshot.findings[0].state = State::Acknowledged;
        assert_eq!(gate(&["finding-medium"]).judge(&snapshot), Some(Exit::Gated));
        snapshot.findings[0].state = State::Resolved { at: 1 };
        assert_eq!(gate(&["finding-low"]).judge(&snapshot), None);
    }
}
