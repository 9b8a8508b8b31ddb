//! What an entry says, and its line.

use apisec_engine::policy::Policy;
use apisec_engine::policy::guard::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that was done, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up.
    pub seq: u64,
    /// When, Unix nanoseconds.
    pub at: u64,
    /// Since which start of the machine: what a kernel holds ends with it.
    pub boot: String,
    /// Who did it.
    pub by: Who,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Name or number of the user, the one behind `sudo` where that is known.
    pub user: String,
    /// Effective user id.
    pub uid: u32,
    /// Terminal, empty without one.
    pub tty: String,
    /// Address that the ssh session comes from, empty without one.
    pub ssh: String,
    /// Process of ours.
    pub pid: u32,
    /// `terminal`, `command`, `respond`, `expiry`, `start`.
    pub through: String,
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.user)?;
        if !self.tty.is_empty() {
            write!(out, "@{}", self.tty)?;
        }
        if !self.ssh.is_empty() {
            write!(out, " from {}", self.ssh)?;
        }
        match self.through.as_str() {
            "respond" | "expiry" | "start" => write!(out, " ({})", self.through),
            _ => Ok(()),
        }
    }
}

/// What was done, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A policy is about to be put into force.
    Prepared {
        /// Its number.
        id: u32,
        /// The policy.
        policy: Box<Policy>,
        /// When it ends, Unix nanoseconds; `None`: not before it is undone.
        deadline: Option<u64>,
        /// What will be done, in words.
        plan: Vec<String>,
        /// What was refused, and was forced by typing its name.
        forced: Vec<Refusal>,
        /// Rules in the kernel; none where it is enforced after the fact.
        rules: usize,
        /// Something of it is enforced after the fact.
        #[serde(default)]
        reactive: bool,
        /// It ends with the process that applies it.
        tied: bool,
    },
    /// It is in force.
    Applied {
        /// Its number.
        id: u32,
        /// Entries in the kernel.
        entries: usize,
        /// Microseconds from the order.
        took_us: u64,
        /// What was done less well than asked.
        warnings: Vec<String>,
    },
    /// It could not be put into force, or be taken back.
    Failed {
        /// Its number.
        id: u32,
        /// What was tried: `apply`, `undo`, `renew`.
        doing: String,
        /// Why it failed.
        why: String,
    },
    /// It is about to be taken back.
    Undoing {
        /// Its number.
        id: u32,
        /// Why.
        ending: Ending,
    },
    /// It is not in force any more.
    Undone {
        /// Its number.
        id: u32,
        /// Why.
        ending: Ending,
        /// What it refused in all.
        blocked: u64,
        /// What it let through within its rate.
        passed: u64,
        /// What it could not decide.
        undecided: u64,
        /// There was something to take back.
        held: bool,
    },
    /// Its deadline is about to be moved.
    Renewing {
        /// Its number.
        id: u32,
        /// When it ends, Unix nanoseconds; `None`: not before it is undone.
        deadline: Option<u64>,
    },
    /// Its deadline was moved.
    Renewed {
        /// Its number.
        id: u32,
        /// When it ends.
        deadline: Option<u64>,
    },
    /// It has other rules, because who is meant is another process now.
    Followed {
        /// Its number.
        id: u32,
        /// Rules in the kernel.
        rules: usize,
        /// What they do, in words.
        plan: Vec<String>,
    },
    /// Everything of ours was removed from the kernel.
    Cleared {
        /// Policies that were in force.
        policies: usize,
        /// Pins that were removed.
        pins: usize,
        /// What is still there; empty when nothing is.
        left: String,
    },
    /// The journal and the kernel differed.
    Differed {
        /// The policy; 0 for none.
        id: u32,
        /// How.
        what: String,
    },
}

/// Why a policy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It was taken back.
    Undone,
    /// Its time was over.
    Expired,
    /// The machine was started again, or somebody removed it from the kernel.
    Gone,
    /// It was never wholly in force.
    Aborted,
    /// Everything was removed.
    Panic,
}

impl Event {
    /// The policy that it is about; 0 for none.
    #[must_use]
    pub const fn id(&self) -> u32 {
        match self {
            Self::Prepared { id, .. }
            | Self::Applied { id, .. }
            | Self::Failed { id, .. }
            | Self::Undoing { id, .. }
            | Self::Undone { id, .. }
            | Self::Renewing { id, .. }
            | Self::Renewed { id, .. }
            | Self::Followed { id, .. }
            | Self::Differed { id, .. } => *id,
            Self::Cleared { .. } => 0,
        }
    }

    /// Its word in the journal.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Prepared { .. } => "prepared",
            Self::Applied { .. } => "applied",
            Self::Failed { .. } => "failed",
            Self::Undoing { .. } => "undoing",
            Self::Undone { ending: Ending::Expired, .. } => "expired",
            Self::Undone { .. } => "undone",
            Self::Renewing { .. } => "renewing",
            Self::Renewed { .. } => "renewed",
            Self::Followed { .. } => "followed",
            Self::Cleared { .. } => "cleared",
            Self::Differed { .. } => "differed",
        }
    }
}

impl Entry {
    /// Its line, with the end.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut json = Vec::new();
        // Writing to memory cannot fail, and every part of an entry can be written as JSON.
        let _written = apisec_engine::json::write(self, &mut json);
        let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
        line.extend(json);
        line.push(b'\n');
        line
    }

    /// Reads a line; `None` when it is not whole.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (sum, json) = line.split_at_checked(8)?;
        let json = json.strip_prefix(b" ")?;
        let sum = u32::from_str_radix(str::from_utf8(sum).ok()?, 16).ok()?;
        if crc32fast::hash(json) != sum {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}
