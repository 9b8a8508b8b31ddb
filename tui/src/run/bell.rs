//! Whether a finding is worth a sound: new, and bad enough. Each rings once, however often it is brought up to date.

use apisec_engine::finding::{Finding, Severity, State};
use apisec_engine::snapshot::Snapshot;
use std::collections::BTreeSet;

/// See the module.
pub(super) struct Bell {
    /// Without it nothing rings.
    least: Option<Severity>,
    /// Findings that rang, as long as they are shown.
    rang: BTreeSet<String>,
}

impl Bell {
    pub(super) const fn new(least: Option<Severity>) -> Self {
        Self { least, rang: BTreeSet::new() }
    }

    /// Whether something in a snapshot did not ring yet.
    pub(super) fn rings(&mut self, snapshot: &Snapshot) -> bool {
        let Some(least) = self.least else { return false };
        let is_loud = |finding: &&Finding| {
            // Somebody looks at the others, also when the program was started again since.
            finding.state == State::New && finding.severity >= least && snapshot.saw(finding)
        };
        let loud = snapshot.findings.iter().filter(is_loud);
        let loud: BTreeSet<String> = loud.map(|finding| finding.id.clone()).collect();
        let rings = loud.iter().any(|id| !self.rang.contains(id));
        self.rang = loud;
        rings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rings_once() {
        let finding = |id: &str, severity| Finding { id: id.into(), severity, ..Finding::default() };
        let mut snapshot = Snapshot::default();
        let mut bell = Bell::new(Some(Severity::High));
        snapshot.findings = vec![finding("low", Severity::Low)];
        assert!(!bell.rings(&snapshot));
        snapshot.findings.push(finding("high", Severity::High));
        assert!(bell.rings(&snapshot) && !bell.rings(&snapshot));
        let muted = State::Muted { reason: "known".into(), until: 0 };
        snapshot.findings.push(Finding { state: muted, ..finding("worse", Severity::Critical) });
        let known = Finding { state: State::Acknowledged, ..finding("known", Severity::Critical) };
        snapshot.findings.push(known);
        assert!(!bell.rings(&snapshot));
        assert!(!Bell::new(None).rings(&snapshot));
    }
}
