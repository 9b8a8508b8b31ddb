//! Policies on this node: orders become plans, plans are journalled and done, and everything can be taken back.
//!
//! ```text
//! Policy ─► preview, self-protection ─► rules ─► journal: Prepared (on disk) ─► backend ─► journal: Applied | Failed
//! undo, expiry, panic ─► journal: Undoing ─► backend ─► journal: Undone
//! ```
//! What is refused is decided by the kernel alone, deadline included: a policy ends although this program is gone.

pub mod file;
pub mod follow;
pub mod keeper;
pub mod ledger;
pub mod lower;
pub mod patrol;
pub mod place;
pub mod reaper;
pub mod sentry;
pub mod tally;
pub mod verify;
pub mod wards;
pub mod who;

use std::path::{Path, PathBuf};

/// The journal's name in the state folder.
const JOURNAL: &str = "policies.journal";
/// Where the journal is when nothing shall be kept: the kernel's rules end with the machine's run, and so does this.
const VOLATILE: &str = "/run/apisec-top";
/// Names another folder for pins: for tests that must not meet each other.
pub(crate) const PINS: &str = "APISEC_TOP_PINS";

/// The journal of a state folder.
#[must_use]
pub fn journal_path(state: Option<&Path>) -> PathBuf {
    state.unwrap_or(Path::new(VOLATILE)).join(JOURNAL)
}
