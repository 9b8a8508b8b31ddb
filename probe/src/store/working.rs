//! The working specifications on disk: one file per service in the state folder, replaced as a whole.

use super::{read_capped, replace};
use crate::spec;
use apisec_engine::drift::Given;
use apisec_engine::export::working::{approve, newest, operations, service, undo};
use apisec_engine::snapshot::{ChangeView, EndpointView};
use serde_json::Value;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Their folder in the state folder.
const FOLDER: &str = "working";
/// Largest file that is read: some ten thousand operations.
const MAX_BYTES: u64 = 16 << 20;
/// Files that are read: one per service.
const MAX_FILES: usize = 1_024;

/// The working specifications of one state folder.
#[derive(Clone, Debug)]
pub struct Working {
    folder: PathBuf,
}

impl Working {
    /// Those of a state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// All of them, each given for its service. A broken one is a specification with a problem, as any other.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let read = |path: PathBuf| {
            let text = String::from_utf8(read_capped(&path, MAX_BYTES).ok()?).ok()?;
            let mut given = spec::from_bytes(&path.display().to_string(), text.as_bytes());
            given.service =
                serde_json::from_str::<Value>(&text).ok().and_then(|own| service(&own).map(str::to_owned));
            Some(given)
        };
        self.files().into_iter().filter_map(read).collect()
    }

    /// What was approved, in no order.
    #[must_use]
    pub fn approvals(&self) -> Vec<ChangeView> {
        let documents = self
            .files()
            .into_iter()
            .filter_map(|path| serde_json::from_slice::<Value>(&read_capped(&path, MAX_BYTES).ok()?).ok());
        let changes = |document: Value| -> Vec<ChangeView> {
            let details = service(&document).unwrap_or_default().to_owned();
            let change = |(path, method, at): (&str, &str, u64)| ChangeView {
                at,
                what: "approved".to_owned(),
                name: format!("{} {path}", method.to_uppercase()),
                details: details.clone(),
                by: String::new(),
            };
            operations(&document).map(change).collect()
        };
        documents.flat_map(changes).collect()
    }

    /// Adds what was observed of an endpoint to the specification of its service, which is called `name`; the file.
    ///
    /// # Errors
    /// It cannot be read or written, or no document can have such an operation.
    pub fn approve(&self, name: &str, endpoint: &EndpointView, at: u64) -> io::Result<PathBuf> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.folder.join(file_name(&endpoint.service));
        let known = match read_capped(&path, MAX_BYTES) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let document = approve(known, name, endpoint, at)
            .ok_or_else(|| io::Error::other("no OpenAPI document can have such an operation"))?;
        replace(&path, &document)?;
        Ok(path)
    }

    /// Takes the newest approval back, also one of an earlier run; what it was.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn undo(&self) -> io::Result<Option<String>> {
        let mut all = Vec::new();
        for path in self.files() {
            let document: Value = serde_json::from_slice(&read_capped(&path, MAX_BYTES)?)?;
            all.push((newest(&document), path, document));
        }
        let newest = all.into_iter().max_by_key(|(at, ..)| *at);
        let Some((path, (name, document))) =
            newest.and_then(|(_, path, document)| Some((path, undo(document)?)))
        else {
            return Ok(None);
        };
        replace(&path, &document)?;
        Ok(Some(name))
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
            .take(MAX_FILES)
            .collect();
        files.sort();
        files
    }
}

/// A service's id as the name of a file; every other character is its number.
fn file_name(service: &str) -> String {
    let mut name = String::new();
    for byte in service.bytes().take(96) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name + ".json"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_approved_is_documented_from_now_on_and_until_it_is_taken_back() {
        let state = tempfile::tempdir().unwrap();
        let working = Working::of(state.path());
        assert!(working.given().is_empty() && working.undo().unwrap().is_none());
        let endpoint = EndpointView {
            service: "process:../users:80".into(),
            method: "GET".into(),
            path: "/users".into(),
            calls: 1,
            statuses: BTreeMap::from([("200".to_owned(), 1)]),
            ..EndpointView::default()
        };
        let file = working.approve("users", &endpoint, 5).unwrap();
        assert_eq!(file.parent(), Some(state.path().join("working").as_path()));
        let given = Working::of(state.path()).given();
        assert_eq!(given[0].service.as_deref(), Some("process:../users:80"));
        assert_eq!((given[0].spec.operations.len(), given[0].spec.problems.len()), (1, 0));
        assert_eq!(working.undo().unwrap().as_deref(), Some("GET /users"));
        assert!(Working::of(state.path()).given()[0].spec.operations.is_empty());
        assert_eq!(fs::read_dir(state.path().join("working")).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_broken_file_is_said_and_never_overwritten() {
        let state = tempfile::tempdir().unwrap();
        let working = Working::of(state.path());
        fs::create_dir_all(state.path().join("working")).unwrap();
        let endpoint = EndpointView {
            service: "a".into(),
            method: "GET".into(),
            path: "/".into(),
            calls: 1,
            ..EndpointView::default()
        };
        fs::write(state.path().join("working/a.json"), "{").unwrap();
        assert!(working.approve("a", &endpoint, 5).is_err());
        assert_eq!(working.given()[0].spec.problems.len(), 1);
        assert_eq!(fs::read_to_string(state.path().join("working/a.json")).unwrap(), "{");
    }
}
