//! What could not be named, and why, as degradations.

use crate::identity::surveyor::Blind;
use apisec_engine::degradation::{Degradation, Severity};

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    /// Connections with an end on this node whose socket was gone before we looked.
    pub(super) unknown: u64,
    /// Clients that are known by the name of a thread only.
    pub(super) thread_names: u64,
    /// Connections whose server could be one of several namespaces.
    pub(super) ambiguous: u64,
    /// The first survey took too long.
    pub(super) started_late: bool,
}

impl Gaps {
    /// One degradation for each kind that occurred.
    pub(super) fn degradations(self, blind: Blind, pids_are_ours: bool, resolver: bool) -> Vec<Degradation> {
        let rows = [
            (
                self.unknown > 0,
                "identity-unknown",
                format!(
                    "{} connections have an end on this node that was gone before it could be looked at: process:unknown",
                    self.unknown
                ),
                "",
            ),
            (
                self.thread_names > 0,
                "identity-thread-name",
                format!(
                    "{} connections were made by processes that had ended: named after the thread that connected",
                    self.thread_names
                ),
                "",
            ),
            (
                self.ambiguous > 0,
                "identity-namespace",
                format!(
                    "{} connections to a port that several network namespaces listen on: the server is a guess",
                    self.ambiguous
                ),
                "Linux 5.14 or newer tells the namespaces apart",
            ),
            (
                self.started_late,
                "identity-late",
                "the first survey of sockets and processes took more than 1 s: \
                early names may change"
                    .to_owned(),
                "",
            ),
            (
                blind.namespaces > 0,
                "identity-no-namespaces",
                format!(
                    "{} network namespaces could not be entered: their servers are not named",
                    blind.namespaces
                ),
                "run as root, with CAP_SYS_ADMIN and in the host's pid namespace",
            ),
            (
                blind.processes > 0,
                "identity-no-descriptors",
                format!(
                    "the open files of {} processes could not be listed: their sockets are not named",
                    blind.processes
                ),
                "run as root, with CAP_SYS_PTRACE",
            ),
            (
                blind.listeners > 0,
                "identity-listener-cap",
                format!("{} listening sockets beyond the cap are not named", blind.listeners),
                "",
            ),
            (
                !pids_are_ours,
                "identity-pid-namespace",
                "the kernel's process numbers are not ours: \
                short-lived clients are named after a thread"
                    .to_owned(),
                "run in the host's pid namespace",
            ),
            (
                !resolver,
                "identity-thread",
                "the thread that looks at sockets and processes could not be started: \
                most names are addresses"
                    .to_owned(),
                "raise the limit of threads (ulimit -u)",
            ),
        ];
        rows.into_iter()
            .filter(|(occurred, ..)| *occurred)
            .map(|(_, code, what, remedy)| degradation(code, what, remedy))
            .collect()
    }
}

/// A degradation that costs names, not calls.
pub(super) fn degradation(code: &str, what: String, remedy: &str) -> Degradation {
    Degradation { code: code.into(), severity: Severity::Partial, what, remedy: remedy.into() }
}
