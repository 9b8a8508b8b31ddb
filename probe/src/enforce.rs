//! Puts the rules of policies into force, and takes them back. What a policy means is decided elsewhere: a
//! backend gets [`rule::Step`]s and does exactly them, or says why it does not.

pub mod ebpf;
pub mod rule;

use rule::{Deadline, Step};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A kind of backend: how to get one.
pub struct Kind {
    /// Its name in policies.
    pub id: &'static str,
    /// What it does, in a few words.
    pub purpose: &'static str,
    /// Opens it; what earlier runs left in force is found again.
    pub open: fn(Lifetime) -> Result<Box<dyn Backend>, EnforceError>,
}

/// Every kind of backend.
pub const BACKENDS: &[Kind] = &[ebpf::KIND];

/// How long rules last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until their deadline, whatever becomes of this process.
    Deadline,
    /// Until their deadline or the end of this process, however it ends.
    Process,
}

/// Something that refuses what policies forbid.
pub trait Backend: Send {
    /// The name of its kind.
    fn id(&self) -> &'static str;

    /// What it can do here, by kind of rule.
    fn abilities(&self) -> Vec<Ability>;

    /// Puts a policy into force; replaces what the same policy did before. Either all of it is in force when this
    /// returns, or an error says why nothing of it is.
    ///
    /// # Errors
    /// The kernel refuses, or the rules are more than it can hold.
    fn apply(&mut self, step: &Step) -> Result<Applied, EnforceError>;

    /// Moves the deadline of a policy that is in force.
    ///
    /// # Errors
    /// It is not in force.
    fn renew(&mut self, policy: u32, deadline: Deadline) -> Result<(), EnforceError>;

    /// Takes a policy back. When it was the last, nothing of ours is left. One that is not in force is no error.
    ///
    /// # Errors
    /// Something could not be removed, and is named. The policy refuses nothing any more all the same.
    fn undo(&mut self, policy: u32) -> Result<Undone, EnforceError>;

    /// Does what nobody waits for, by one process at a time: gives back connections that had bytes on their way when their
    /// policy was taken back, and closes those of refused requests that cannot go on, for which it waits so long. How
    /// many connections are left to be given back.
    ///
    /// # Errors
    /// The kernel's state cannot be read, or something of ours could not be removed.
    fn tend(&mut self, wait: Duration) -> Result<usize, EnforceError>;

    /// What is really in force, whoever put it there.
    ///
    /// # Errors
    /// It cannot be read.
    fn inspect(&self) -> Result<Held, EnforceError>;

    /// What the policies have done until now.
    ///
    /// # Errors
    /// It cannot be read.
    fn effects(&self) -> Result<Vec<Effect>, EnforceError>;

    /// Removes everything of ours, also what it does not understand, and only what is ours. Goes on after a
    /// failure.
    ///
    /// # Errors
    /// Something is still there, and is named.
    fn remove_all(&mut self) -> Result<Removed, EnforceError>;
}

/// Whether a backend can do a kind of rule here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    /// `connect`, `request`, `rate` or `quarantine`.
    pub kind: &'static str,
    /// How.
    pub how: How,
}

/// How a kind of rule is enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Before it happens.
    Inline,
    /// Not here, and why.
    Unable(String),
}

/// What was put into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries that were written.
    pub entries: usize,
    /// Open connections whose requests are read from now on.
    pub adopted: usize,
    /// Open connections that were closed, because their program waits for them in a way that cannot be read.
    pub destroyed: usize,
    /// What was done less well than asked, in plain words.
    pub warnings: Vec<String>,
}

/// What was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// It was in force, or would have been but for its deadline.
    pub held: bool,
    /// What it had done, for the history.
    pub effects: Vec<Effect>,
    /// Connections whose program waits for them in a blocking read, and that were closed.
    pub destroyed: usize,
    /// Connections that have bytes on their way: they pass, and are given back by [`Backend::tend`].
    pub lifting: usize,
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Policies, in the order of their numbers; also those whose deadline has passed.
    pub policies: Vec<HeldPolicy>,
    /// What outlives the process: pins in the BPF file system.
    pub pins: Vec<PathBuf>,
    /// Names of the programs that are loaded for it.
    pub programs: Vec<String>,
    /// Sockets whose requests are read.
    pub sockets: usize,
}

/// A policy that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPolicy {
    /// Its number.
    pub policy: u32,
    /// When it ends.
    pub deadline: Deadline,
    /// How many rules it has.
    pub rules: usize,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Policies that were in force.
    pub policies: usize,
    /// Pins that were removed.
    pub pins: usize,
}

/// What a policy did to one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The policy.
    pub policy: u32,
    /// Whom.
    pub caller: EffectCaller,
    /// Connections or requests refused.
    pub blocked: u64,
    /// What matched and was within its rate.
    pub passed: u64,
    /// What could not be decided and was let through.
    pub undecided: u64,
    /// When the last of them was: nanoseconds of the boot clock.
    pub last: u64,
}

/// Whom a policy has met, as far as the kernel knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectCaller {
    /// cgroup id of its process; 0 unknown.
    pub cgroup: u64,
    /// Name of its program; empty when unknown.
    pub comm: String,
    /// Its process at the last time; 0 unknown.
    pub pid: u32,
    /// Its address, where the process is not known.
    pub addr: Option<IpAddr>,
}

/// Something could not be enforced or taken back.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The kernel refused.
    #[error("{what}: {why}")]
    Refused {
        /// What was tried.
        what: String,
        /// Its answer.
        why: String,
    },
    /// The rules ask for more than can be held.
    #[error("{0}")]
    TooMuch(String),
    /// The rules ask for what cannot be done here.
    #[error("{0}")]
    Unable(String),
    /// The policy is not in force.
    #[error("policy {0} is not in force")]
    NotHeld(u32),
}

impl EnforceError {
    fn refused(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Refused { what: what.into(), why: why.to_string() }
    }
}
