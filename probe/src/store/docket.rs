//! What the operator said of findings, in the state folder: acknowledged, muted with a reason and an end, resolved. A finding
//! itself is not kept: it is found again as long as it goes on.

use super::{read_capped, replace};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::finding::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "findings.json";
/// Largest file that is read: all that is remembered, with long reasons.
const MAX_BYTES: u64 = 4 << 20;

/// See the module. The default keeps nothing.
#[derive(Debug, Default)]
pub struct Docket {
    /// Where it is written; `None` when it is not.
    folder: Option<PathBuf>,
    said: BTreeMap<String, State>,
    trouble: Option<Degradation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    findings: BTreeMap<String, State>,
}

impl Docket {
    /// That of a state folder; it is only written where it `may` be. A file that was not understood is never overwritten.
    #[must_use]
    pub fn open(folder: &Path, may: bool) -> Self {
        let mut docket = Self { folder: may.then(|| folder.to_owned()), ..Self::default() };
        let path = folder.join(FILE);
        let read =
            read_capped(&path, MAX_BYTES).and_then(|bytes| Ok(serde_json::from_slice::<Page>(&bytes)?));
        match read {
            Ok(page) if page.version == 1 => docket.said = page.findings,
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

    /// What could not be read or written.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Degradation> {
        self.trouble.as_ref()
    }

    /// Writes what is said by now, if it is something else than before.
    pub fn keep(&mut self, said: &BTreeMap<String, State>) {
        let Some(folder) = &self.folder else { return };
        if *said == self.said {
            return;
        }
        match write(folder, said) {
            Ok(()) => (self.said, self.trouble) = (said.clone(), None),
            Err(error) => {
                self.trouble = Some(Degradation {
                    code: "findings-not-kept".into(),
                    severity: Severity::Notice,
                    what: format!("what you said of findings is not kept in {}: {error}", folder.display()),
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
            what: format!("what you said of findings could not be read from {} ({why})", path.display()),
            remedy: "repair or remove the file; it will not be overwritten".into(),
        });
    }
}

fn write(folder: &Path, said: &BTreeMap<String, State>) -> io::Result<()> {
    let page = Page { version: 1, findings: said.clone() };
    replace(&folder.join(FILE), &page)
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
        let mut docket = Docket::open(folder.path(), true);
        docket.keep(&muted);
        assert!(docket.trouble().is_none());
        assert_eq!(*Docket::open(folder.path(), false).said(), muted);
        // Who may only look writes nothing.
        Docket::open(folder.path(), false).keep(&said(State::Acknowledged));
        assert_eq!(*Docket::open(folder.path(), true).said(), muted);
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["{", "{\"version\": 2, \"findings\": {}}", "{\"version\": 1, \"findings\": {\"a\": 7}}"]
        {
            fs::write(folder.path().join(FILE), text).unwrap();
            let mut docket = Docket::open(folder.path(), true);
            assert_eq!(docket.trouble().unwrap().code, "findings-unread");
            docket.keep(&said(State::Acknowledged));
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut docket = Docket::open(&folder.path().join("gone"), true);
        docket.keep(&said(State::Acknowledged));
        assert_eq!(docket.trouble().unwrap().code, "findings-not-kept");
    }
}
