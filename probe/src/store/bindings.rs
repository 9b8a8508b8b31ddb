//! What the operator said about specifications and services, on disk: one file in the state folder, replaced as a whole.

use super::{read_capped, replace};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::drift::{Chosen, Given};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "bindings.json";
/// Largest file that is read: some ten thousand choices, more than anybody makes.
const MAX_BYTES: u64 = 1 << 20;
/// Choices that are kept; keeps the file below [`MAX_BYTES`].
const MAX_CHOICES: usize = 2_048;

/// The choices by the file of the specification; kept when they come from a folder that can be read.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    folder: Option<PathBuf>,
    choices: BTreeMap<String, Chosen>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    bindings: BTreeMap<String, Chosen>,
}

impl Bindings {
    /// Those of a state folder; `None` keeps them in memory. What is not understood is said and never overwritten.
    #[must_use]
    pub fn of(state: Option<&Path>) -> (Self, Option<Degradation>) {
        let Some(folder) = state else { return (Self::default(), None) };
        match read(&folder.join(FILE)) {
            Ok(choices) => (Self { folder: Some(folder.to_owned()), choices }, None),
            Err(error) => (Self::default(), Some(unread(folder, &error))),
        }
    }

    /// Whether what is said outlives the program.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Adds what was said of each specification.
    pub fn decide(&self, given: &mut [Given]) {
        for own in given {
            own.chosen = self.choices.get(&own.spec.file).cloned().unwrap_or_default();
        }
    }

    /// The operator says whether a specification describes a service.
    ///
    /// # Errors
    /// There are too many, or it cannot be written; it holds until the end of the program then.
    pub fn set(&mut self, file: &str, service: &str, describes: bool) -> io::Result<()> {
        self.choices.entry(file.to_owned()).or_default().insert(service.to_owned(), describes);
        if self.choices.values().map(BTreeMap::len).sum::<usize>() > MAX_CHOICES {
            return Err(io::Error::other(format!("{MAX_CHOICES} choices are kept at most")));
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let contents = Contents { version: 1, bindings: self.choices.clone() };
        replace(&folder.join(FILE), &contents)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Chosen>> {
    let bytes = match read_capped(path, MAX_BYTES) {
        // A folder that is not there, or is none, has been reported.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        read => read?,
    };
    let contents: Contents = serde_json::from_slice(&bytes)?;
    if contents.version != 1 {
        return Err(io::Error::other(format!("version {} is newer than this program", contents.version)));
    }
    Ok(contents.bindings)
}

fn unread(folder: &Path, error: &io::Error) -> Degradation {
    Degradation {
        code: "bindings-unread".into(),
        severity: Severity::Notice,
        what: format!(
            "which specifications were bound to which services could not be read from {} ({error}) and does not hold",
            folder.join(FILE).display()
        ),
        remedy: "repair or remove the file; it will not be overwritten".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::spec::Spec;
    use std::fs;
    use std::sync::Arc;

    fn given() -> Vec<Given> {
        let spec = Arc::new(Spec { file: "a.yaml".into(), ..Spec::default() });
        vec![Given { spec, ..Given::default() }]
    }

    #[test]
    fn what_was_said_holds_in_the_next_run() {
        let state = tempfile::tempdir().unwrap();
        let (mut bindings, trouble) = Bindings::of(Some(state.path()));
        assert!(trouble.is_none() && bindings.is_kept());
        bindings.set("a.yaml", "process:orders:80", true).unwrap();
        bindings.set("a.yaml", "process:users:80", false).unwrap();
        let mut given = given();
        Bindings::of(Some(state.path())).0.decide(&mut given);
        assert_eq!(given[0].chosen.len(), 2);
        assert!(given[0].chosen["process:orders:80"] && !given[0].chosen["process:users:80"]);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_broken_file_is_said_and_never_overwritten() {
        let state = tempfile::tempdir().unwrap();
        for text in ["{", r#"{"version": 2, "bindings": {}}"#] {
            fs::write(state.path().join(FILE), text).unwrap();
            let (mut bindings, trouble) = Bindings::of(Some(state.path()));
            assert_eq!(trouble.unwrap().code, "bindings-unread");
            bindings.set("a.yaml", "b", true).unwrap();
            assert_eq!(fs::read_to_string(state.path().join(FILE)).unwrap(), text);
        }
    }
}
