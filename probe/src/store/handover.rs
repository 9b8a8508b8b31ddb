//! What a state folder tells of an incident beside its inventory: findings, policies, what was done to the node, what was
//! approved. Only read: nothing is made, locked or repaired.

use super::audit;
use super::docket::{Docket, Hand};
use super::working::Working;
use crate::journal::Journal;
use crate::policy::journal_path;
use crate::policy::ledger::history_of;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::finding::Finding;
use apisec_engine::policy::standing::HistoryView;
use apisec_engine::snapshot::ChangeView;
use std::path::Path;

/// See the module.
#[derive(Default)]
pub struct Handover {
    /// The journal of policies, newest first.
    pub policies: Vec<HistoryView>,
    /// What was done by hand, oldest first.
    pub changes: Vec<ChangeView>,
    /// What could not be read.
    pub troubles: Vec<Degradation>,
    /// What was found, in the state that it was given last.
    pub findings: Vec<Finding>,
}

impl Handover {
    /// All that there is in a state folder; what is not there is empty.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut told = Self::default();
        match Journal::read(&journal_path(Some(folder))) {
            Ok(journal) => told.policies = history_of(journal.entries()),
            Err(error) => told.miss(&error.to_string()),
        }
        match audit::read(folder) {
            Ok(deeds) => told.changes.extend(deeds),
            Err(error) => told.miss(&format!("the audit cannot be read: {error}")),
        }
        told.changes.extend(Working::of(folder).approvals());
        told.changes.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
        let docket = Docket::open(folder, Hand::Off);
        told.troubles.extend(docket.trouble().cloned());
        told.findings = docket.found();
        for finding in &mut told.findings {
            if let Some(state) = docket.said().get(&finding.id) {
                finding.state = state.clone();
            }
        }
        told
    }

    fn miss(&mut self, why: &str) {
        self.troubles.push(Degradation {
            code: "state-unread".into(),
            severity: Severity::Partial,
            what: why.to_owned(),
            remedy: "repair it, or compare it with a copy; the rest of the folder is shown".into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::{Audit, Deed};
    use apisec_engine::finding::State;
    use apisec_engine::snapshot::EndpointView;
    use std::fs;

    #[test]
    fn an_empty_folder_tells_nothing_and_gets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let told = Handover::of(folder.path());
        assert!(told.policies.is_empty() && told.changes.is_empty() && told.troubles.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn deeds_and_approvals_stand_in_order_and_damage_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = EndpointView {
            service: "process:users:80".into(),
            method: "GET".into(),
            path: "/users".into(),
            statuses: [("200".to_owned(), 1)].into(),
            calls: 1,
            ..EndpointView::default()
        };
        Working::of(folder.path()).approve("users", &endpoint, 7).unwrap();
        let deed = Deed { what: "resync", object: "connection 5", outcome: "closed" };
        Audit::in_folder(folder.path()).unwrap().write(&deed).unwrap();
        let torn = fs::read_to_string(folder.path().join("audit.log")).unwrap() + "{\"at\": \"torn";
        fs::write(folder.path().join("audit.log"), torn).unwrap();
        let muted = State::Muted { reason: "a test".into(), until: 0 };
        let found = Finding { id: "a".into(), last_seen: 9, ..Finding::default() };
        Docket::open(folder.path(), Hand::Says).keep(&[("a".to_owned(), muted.clone())].into(), vec![found]);
        let told = Handover::of(folder.path());
        let lines: Vec<(&str, &str, &str)> = told
            .changes
            .iter()
            .map(|own| (own.what.as_str(), own.name.as_str(), own.details.as_str()))
            .collect();
        assert_eq!(
            lines,
            [("approved", "GET /users", "process:users:80"), ("resync", "connection 5", "closed")]
        );
        assert!(told.changes[0].at == 7 && told.changes[1].at > 1_700_000_000_000_000_000);
        assert_eq!((told.findings.len(), &told.findings[0].state), (1, &muted));
        fs::create_dir(folder.path().join("policies.journal")).unwrap();
        assert_eq!(Handover::of(folder.path()).troubles.len(), 1);
    }
}
