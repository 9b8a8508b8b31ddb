//! Whether a caller that would be cut looks like somebody who should be served, and why.
//!
//! An opinion from what the log holds, to make a person look twice. Nothing is decided by it.

use crate::call_log::{AuthScheme, CallRow};
use std::collections::BTreeSet;

/// Paths of one caller that are told apart.
const MAX_PATHS: usize = 256;
/// Calls from which on a habit shows.
const SOME: u64 = 20;

/// What the log holds of one caller.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) cut: u64,
    /// Of the calls that would be cut.
    accepted: u64,
    anonymous: u64,
    unread: u64,
    first: u64,
    paths: BTreeSet<u64>,
}

impl Tally {
    pub(super) fn add(&mut self, row: &CallRow, path: &str, cut: bool) {
        if self.calls == 0 {
            self.first = row.at;
        }
        self.calls += 1;
        self.first = self.first.min(row.at);
        if !cut {
            return;
        }
        self.cut += 1;
        self.accepted += u64::from(!row.is_error());
        self.anonymous += u64::from(row.auth == AuthScheme::None);
        self.unread += u64::from(row.auth == AuthScheme::Unread);
        if self.paths.len() < MAX_PATHS {
            self.paths.insert(crate::fingerprint::of(path.as_bytes()));
        }
    }

    /// Whether it looks legitimate in a log from `first` to `last`, and why.
    pub(super) fn judge(&self, first: u64, last: u64) -> (bool, Vec<String>) {
        let mut why = Vec::new();
        let mut doubts = 0;
        let mut say = |doubt: bool, text: String| {
            doubts += u32::from(doubt);
            why.push(text);
        };
        let percent = |part: u64| part.saturating_mul(100) / self.cut.max(1);
        let refused = percent(self.cut - self.accepted);
        if refused >= 50 {
            say(true, format!("{refused} % of them were refused or failed"));
        } else {
            say(false, format!("{} % of them were answered", 100 - refused));
        }
        let half = first + last.saturating_sub(first) / 2;
        if self.first > half && last > first {
            say(true, format!("first seen {} s ago", last.saturating_sub(self.first) / 1_000_000_000));
        } else {
            say(false, "seen since the first half of the log".to_owned());
        }
        if self.cut >= SOME && self.paths.len() as u64 * 10 >= self.cut.min(MAX_PATHS as u64) * 9 {
            say(true, "another path with nearly every call, as when something is searched".to_owned());
        }
        if self.anonymous * 2 > self.cut {
            say(false, "most of them without a credential".to_owned());
        } else if self.unread * 2 < self.cut {
            say(false, "with a credential".to_owned());
        }
        if self.calls > self.cut {
            say(false, format!("{} other calls are not concerned", self.calls - self.cut));
        }
        (doubts == 0, why)
    }
}
