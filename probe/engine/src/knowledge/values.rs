//! Values that were not as documented, as examiners of bodies and queries report them: which and how, never what they were.

use crate::degradation::{Degradation, Severity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Differences that are kept of all operations.
const MAX_KEPT: usize = 4_096;
/// And of one.
const MAX_OF_ONE: usize = 16;

/// A value that was not as documented.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mismatch {
    /// Workload id of the service.
    pub service: String,
    /// File of the operation, as it is shown.
    pub file: String,
    /// Its place there.
    pub pointer: String,
    /// In words that stay the same: `answer 200 .role is none of the documented values`.
    pub what: String,
}

/// All of them, by service, file and pointer.
#[derive(Default)]
pub(super) struct Values {
    known: BTreeMap<String, BTreeMap<(String, String), BTreeSet<String>>>,
    count: usize,
    more: bool,
}

impl Values {
    /// Adds one; whether it is new.
    pub(super) fn add(&mut self, service: &str, mismatch: Mismatch) -> bool {
        let Mismatch { file, pointer, what, .. } = mismatch;
        let of_one = self.known.entry(service.to_owned()).or_default().entry((file, pointer)).or_default();
        if of_one.contains(&what) {
            return false;
        }
        if self.count >= MAX_KEPT || of_one.len() >= MAX_OF_ONE {
            self.more = true;
            return false;
        }
        self.count += 1;
        of_one.insert(what)
    }

    /// Those of one operation.
    pub(super) fn of(&self, service: &str, file: &str, pointer: &str) -> impl Iterator<Item = &str> {
        let of_service = self.known.get(service);
        let found = of_service.and_then(|own| own.get(&(file.to_owned(), pointer.to_owned())));
        found.into_iter().flatten().map(String::as_str)
    }

    pub(super) fn degradation(&self) -> Option<Degradation> {
        self.more.then(|| Degradation {
            code: "mismatches-cut".into(),
            severity: Severity::Notice,
            what: format!("more values were not as documented than are listed ({MAX_OF_ONE} of an operation, {MAX_KEPT} in all)"),
            remedy: "mend the specification, or the service".into(),
        })
    }
}
