//! What sentries saw of the calls that policies are about, as one process tells it to others: a small file each in
//! `/run`. They look at the same traffic, so of several numbers the highest is taken; what a process that is gone had
//! counted counts on, until no policy is in force.

use crate::clock;
use crate::enforce::ebpf::Folder;
use crate::identity::process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Callers that are told apart for one policy; calls of others count all the same.
pub const MAX_CALLERS: usize = 32;
/// Bytes of a file that are read: a thousand policies with all their callers.
const MAX_FILE: usize = 8 << 20;

/// A policy: its number, and when it was put into force (Unix nanoseconds), because numbers are those of a journal.
pub type Key = (u32, u64);

/// What came of one policy, beside what the kernel did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls that it is about and that were answered all the same.
    pub passed: u64,
    /// When the last of them was, Unix nanoseconds.
    pub last_passed: u64,
    /// Calls of which it was not known whether it is about them.
    pub undecided: u64,
    /// Connections that were closed.
    pub closed: u64,
    /// When the last one was, Unix nanoseconds.
    pub last_closed: u64,
    /// From the first byte of such a call to its connection being closed: the longest, nanoseconds.
    pub delay: u64,
    /// Connections that could not be closed.
    pub failed: u64,
    /// Calls at which there was no time to look, whoever made them.
    pub missed: u64,
    /// By the caller's name.
    pub callers: BTreeMap<String, OfCaller>,
}

/// What came of one caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCaller {
    /// Its calls that were answered all the same.
    pub passed: u64,
    /// Its connections that were closed.
    pub closed: u64,
    /// When the last of either was, Unix nanoseconds.
    pub last: u64,
}

impl Tally {
    /// What a caller did; nobody where too many are told apart already.
    pub fn caller(&mut self, name: &str) -> Option<&mut OfCaller> {
        if self.callers.len() >= MAX_CALLERS && !self.callers.contains_key(name) {
            return None;
        }
        Some(self.callers.entry(name.to_owned()).or_default())
    }

    /// Takes the highest of each number.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in [
            (&mut self.passed, other.passed),
            (&mut self.last_passed, other.last_passed),
            (&mut self.undecided, other.undecided),
            (&mut self.closed, other.closed),
            (&mut self.last_closed, other.last_closed),
            (&mut self.delay, other.delay),
            (&mut self.failed, other.failed),
            (&mut self.missed, other.missed),
        ] {
            *ours = (*ours).max(theirs);
        }
        for (name, theirs) in &other.callers {
            if let Some(ours) = self.caller(name) {
                ours.passed = ours.passed.max(theirs.passed);
                ours.closed = ours.closed.max(theirs.closed);
                ours.last = ours.last.max(theirs.last);
            }
        }
    }
}

/// What a process tells.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Its number.
    pid: u32,
    /// When it was started, in ticks of the boot clock: a number that is used again is another process.
    started: u64,
    /// Somebody in it looks at traffic now.
    looks: bool,
    tallies: Vec<(Key, Tally)>,
}

/// What all told.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Some process looks at traffic.
    pub watched: bool,
    /// One that is not this one does.
    pub elsewhere: bool,
    /// By policy.
    pub tallies: BTreeMap<Key, Tally>,
}

fn folder() -> PathBuf {
    Path::new(super::VOLATILE).join(format!("sentries-{}", Folder::usual().name()))
}

fn own() -> PathBuf {
    folder().join(format!("{}.json", std::process::id()))
}

/// Tells the others.
///
/// # Errors
/// The file cannot be written: commands will not know.
pub fn tell(looks: bool, tallies: Vec<(Key, Tally)>) -> io::Result<()> {
    let pid = std::process::id();
    let told = Told { pid, started: process::start(pid).unwrap_or_default(), looks, tallies };
    let path = own();
    fs::create_dir_all(folder())?;
    let draft = path.with_extension("draft");
    fs::write(&draft, serde_json::to_vec(&told)?)?;
    fs::rename(draft, path)
}

/// Takes back what this process told; and what those told that are gone, when no policy is in force.
pub fn forget(policies_left: bool) {
    let _absent = fs::remove_file(own());
    if policies_left {
        return;
    }
    for (path, told) in read() {
        if !is_alive(&told) {
            let _absent = fs::remove_file(path);
        }
    }
    // Only where it is empty.
    let _used = fs::remove_dir(folder());
}

/// What all told.
#[must_use]
pub fn gather() -> Gathered {
    let mut all = Gathered::default();
    for (_, told) in read() {
        if told.looks && is_alive(&told) {
            all.watched = true;
            all.elsewhere |= told.pid != std::process::id();
        }
        for (key, tally) in told.tallies {
            all.tallies.entry(key).or_default().merge(&tally);
        }
    }
    all
}

fn is_alive(told: &Told) -> bool {
    process::start(told.pid).is_some_and(|started| started == told.started)
}

/// What is there and can be read.
fn read() -> Vec<(PathBuf, Told)> {
    let entries = fs::read_dir(folder()).into_iter().flatten().filter_map(Result::ok);
    let told =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "json"));
    told.filter_map(|path| {
        let bytes = process::read_bounded(path.to_str()?, MAX_FILE)?;
        Some((path, serde_json::from_slice(&bytes).ok()?))
    })
    .collect()
}

/// How long ago a moment was, in whole seconds.
#[must_use]
pub fn ago(at: u64) -> u64 {
    clock::now().saturating_sub(at) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_counts_and_callers_are_bounded() {
        let mut one = Tally { passed: 3, closed: 1, ..Tally::default() };
        one.caller("curl").unwrap().passed = 3;
        let mut other = Tally { passed: 2, closed: 4, delay: 9, ..Tally::default() };
        other.caller("curl").unwrap().closed = 4;
        for index in 0..MAX_CALLERS {
            let _full = other.caller(&format!("c{index}"));
        }
        assert!(other.caller("one more").is_none());
        one.merge(&other);
        assert_eq!((one.passed, one.closed, one.delay, one.callers.len()), (3, 4, 9, MAX_CALLERS));
        assert_eq!((one.callers["curl"].passed, one.callers["curl"].closed), (3, 4));
    }
}
