//! What everything that is given may take together, in operations and in bytes.

use super::Read;
use apisec_engine::degradation::{Degradation, Severity};

/// Operations of everything that is given: the largest public collection has 120,000.
const MAX_OPERATIONS: usize = 200_000;
/// Bytes of what is kept of them, bodies included, as they are counted; with what the allocator keeps among them about three
/// times as much. The largest public collection counts 111 MiB, and stays at 380 MB.
const MAX_WEIGHT: u64 = 256 << 20;
/// Bytes of documents whose values calls are compared with: they are kept as long as they hold, as values about five times
/// as much. Beyond, operations, statuses and shapes are compared all the same.
const MAX_COMPARED: u64 = 8 << 20;

/// The room that is taken.
#[derive(Default)]
pub(super) struct Room {
    operations: usize,
    weight: u64,
    compared: u64,
}

impl Room {
    /// Nothing more fits.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self { weight: MAX_WEIGHT, ..Self::default() }
    }

    /// Takes a specification in.
    pub(super) fn take(&mut self, read: &Read) {
        self.operations += read.0.operations.len();
        self.weight += read.0.weight();
    }

    /// Why nothing more is read, when that is so.
    pub(super) fn is_full(&self) -> Option<String> {
        if self.operations >= MAX_OPERATIONS {
            return Some(format!("{} operations are given already", self.operations));
        }
        let full = self.weight >= MAX_WEIGHT;
        full.then(|| format!("what is known of others takes {} MiB already", self.weight >> 20))
    }

    /// Whether documents of so many bytes are kept, so that values can be compared with them.
    pub(super) const fn compares(&self, bytes: u64) -> bool {
        self.compared.saturating_add(bytes) <= MAX_COMPARED
    }

    /// Documents of so many bytes were kept, as far as there was room.
    pub(super) fn compare(&mut self, bytes: u64) {
        self.compared = self.compared.saturating_add(bytes).min(MAX_COMPARED);
    }
}

/// What is said where there was no room to read.
pub(super) fn unread(what: String) -> Degradation {
    limit("specification-room", Severity::Partial, what)
}

/// What is said of specifications with whose values nothing is compared.
pub(super) fn uncompared(file: &str) -> Degradation {
    let what = format!(
        "values are not compared with {file} and what comes after it: the documents take more than {} MiB together; operations, statuses and shapes are",
        MAX_COMPARED >> 20
    );
    limit("specification-values", Severity::Notice, what)
}

fn limit(code: &str, severity: Severity, what: String) -> Degradation {
    Degradation {
        code: code.into(),
        severity,
        what,
        remedy: "name only the specifications that matter".into(),
    }
}
