//! Findings in the state folder, and what the operator said of them: acknowledged, muted with a reason and an end, resolved.
//! A finding holds what calls hold: hashes and numbers, no secret. One that was not seen for a month is let go.

use super::{read_capped, replace};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::finding::{Finding, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "findings.json";
const VERSION: u32 = 2;
/// Largest file that is read: a thousand findings with their calls and timelines, and all that is remembered, with long reasons.
const MAX_BYTES: u64 = 16 << 20;
/// How long a finding is kept after it was seen last, nanoseconds.
const KEPT: u64 = 30 * 86_400 * 1_000_000_000;

/// What a run may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hand {
    /// Nothing.
    #[default]
    Off,
    /// What it found. What was said is another's: of somebody at a terminal beside it.
    Observes,
    /// That, and what is said of it.
    Says,
}

/// See the module. The default keeps nothing.
#[derive(Debug, Default)]
pub struct Docket {
    /// Where it is written; `None` when it is not.
    folder: Option<PathBuf>,
    hand: Hand,
    said: BTreeMap<String, State>,
    found: Vec<Finding>,
    trouble: Option<Degradation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    /// What was said, by the ids of findings.
    findings: BTreeMap<String, State>,
    /// The findings; version 1 had none.
    #[serde(default)]
    found: Vec<Finding>,
}

impl Docket {
    /// That of a state folder; only what the `hand` may write is written. A file that was not understood is never overwritten.
    #[must_use]
    pub fn open(folder: &Path, hand: Hand) -> Self {
        let writes = (hand != Hand::Off).then(|| folder.to_owned());
        let mut docket = Self { folder: writes, hand, ..Self::default() };
        let path = folder.join(FILE);
        match read(&path) {
            Ok(page) if page.version <= VERSION => (docket.said, docket.found) = (page.findings, page.found),
            Ok(page) => docket.unread(&path, &format!("version {} is newer than this program", page.version)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => docket.unread(&path, &error.to_string()),
        }
        docket
    }

    /// What was said of findings, by their ids.
    #[must_use]
    pub const fn said(&self) -> &BTreeMap<String, State> {
        &self.said
    }

    /// The findings of earlier runs, without those that were seen last a month before the newest: files have times of their own.
    #[must_use]
    pub fn found(&self) -> Vec<Finding> {
        let newest = self.found.iter().map(|finding| finding.last_seen).max().unwrap_or(0);
        let fresh = |finding: &&Finding| newest - finding.last_seen < KEPT;
        self.found.iter().filter(fresh).cloned().collect()
    }

    /// What could not be read or written.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Degradation> {
        self.trouble.as_ref()
    }

    /// Writes the findings and what is said of them by now, if that is something else than before.
    pub fn keep(&mut self, said: &BTreeMap<String, State>, found: Vec<Finding>) {
        let Some(folder) = &self.folder else { return };
        let beside = (self.hand == Hand::Observes).then(|| read(&folder.join(FILE)).ok()).flatten();
        let said = beside.as_ref().map_or(said, |page| &page.findings);
        if *said == self.said && found == self.found {
            return;
        }
        let page = Page { version: VERSION, findings: said.clone(), found };
        match replace(&folder.join(FILE), &page) {
            Ok(()) => (self.said, self.found, self.trouble) = (page.findings, page.found, None),
            Err(error) => {
                self.trouble = Some(Degradation {
                    code: "findings-not-kept".into(),
                    severity: Severity::Notice,
                    what: format!(
                        "findings and what you said of them are not kept in {}: {error}",
                        folder.display()
                    ),
                    remedy: "make room, or give another folder with --state DIR".into(),
                });
            }
        }
    }

    fn unread(&mut self, path: &Path, why: &str) {
        self.folder = None;
        self.trouble = Some(Degradation {
            code: "findings-unread".into(),
            severity: Severity::Notice,
            what: format!(
                "findings and what you said of them could not be read from {} ({why})",
                path.display()
            ),
            remedy: "repair or remove the file; it will not be overwritten".into(),
        });
    }
}

fn read(path: &Path) -> io::Result<Page> {
    Ok(serde_json::from_slice(&read_capped(path, MAX_BYTES)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn said(state: State) -> BTreeMap<String, State> {
        [("0123456789abcdef".to_owned(), state)].into()
    }

    #[test]
    fn what_is_said_outlives_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let muted = said(State::Muted { reason: "a load test".into(), until: 7 });
        let mut docket = Docket::open(folder.path(), Hand::Says);
        let found = Finding { id: "0123456789abcdef".into(), last_seen: 7 * KEPT, ..Finding::default() };
        let old = Finding { id: "fedcba9876543210".into(), last_seen: 6 * KEPT, ..Finding::default() };
        docket.keep(&muted, vec![found.clone(), old]);
        assert!(docket.trouble().is_none());
        let kept = Docket::open(folder.path(), Hand::Off);
        assert_eq!(*kept.said(), muted);
        assert_eq!(kept.found(), [found]);
        // Who may only look writes nothing.
        Docket::open(folder.path(), Hand::Off).keep(&said(State::Acknowledged), Vec::new());
        assert_eq!(*Docket::open(folder.path(), Hand::Says).said(), muted);
    }

    #[test]
    fn who_only_observes_takes_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut observer = Docket::open(folder.path(), Hand::Observes);
        Docket::open(folder.path(), Hand::Says).keep(&said(State::Acknowledged), Vec::new());
        let found = Finding { id: "0123456789abcdef".into(), last_seen: KEPT, ..Finding::default() };
        observer.keep(&BTreeMap::new(), vec![found.clone()]);
        let kept = Docket::open(folder.path(), Hand::Off);
        assert_eq!((kept.said(), kept.found()), (&said(State::Acknowledged), vec![found]));
    }

    #[test]
    fn the_first_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version": 1, "findings": {"0123456789abcdef": {"is": "acknowledged"}}}"#;
        fs::write(folder.path().join(FILE), text).unwrap();
        assert_eq!(*Docket::open(folder.path(), Hand::Says).said(), said(State::Acknowledged));
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["{", "{\"version\": 3, \"findings\": {}}", "{\"version\": 1, \"findings\": {\"a\": 7}}"]
        {
            fs::write(folder.path().join(FILE), text).unwrap();
            let mut docket = Docket::open(folder.path(), Hand::Says);
            assert_eq!(docket.trouble().unwrap().code, "findings-unread");
            docket.keep(&said(State::Acknowledged), Vec::new());
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut docket = Docket::open(&folder.path().join("gone"), Hand::Says);
        docket.keep(&said(State::Acknowledged), Vec::new());
        assert_eq!(docket.trouble().unwrap().code, "findings-not-kept");
    }
}
