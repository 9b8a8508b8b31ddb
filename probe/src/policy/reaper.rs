//! A small process of its own that ends policies when their time is over although the program that applied them is gone,
//! and that gives back and closes what nobody waits for. While no terminal does, it follows those who are started again, and
//! looks at traffic for policies that are enforced after the fact. It ends when nothing of ours is left.
//!
//! The kernel's programs honour deadlines without it: what it does is to leave nothing behind. Killed, it is started again by
//! the next start of the program, and by every policy.

use super::follow::Follower;
use super::ledger::Ledger;
use super::patrol::Patrol;
use super::tally::{self, Key};
use super::{keeper, verify, wards};
use crate::clock;
use crate::enforce::Backend as _;
use crate::enforce::Lifetime;
use crate::enforce::ebpf::{Ebpf, Folder};
use crate::store::{Access, Store};
use apisec_engine::snapshot::Snapshot;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::create_dir_all;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The command that [`run`]s it.
pub const COMMAND: &str = "reap";
/// Between two looks: a policy is gone within two seconds of its deadline, also on a busy machine.
const TICK: Duration = Duration::from_millis(500);
/// Nanoseconds after a deadline in which whoever keeps the policy's journal may end it: then that is journalled.
const GRACE: u64 = 1_000_000_000;

/// Times that a capture is tried.
const MAX_FAILURES: u32 = 20;

/// Where it shows that it is there.
fn place() -> PathBuf {
    Path::new(super::VOLATILE).join(format!("reaper-{}", Folder::usual().name()))
}

/// Taken by the one that runs; `None`: somebody has it.
fn lock() -> io::Result<Option<OwnedFd>> {
    create_dir_all(super::VOLATILE)?;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::open(place(), OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC, mode)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether one runs.
#[must_use]
pub fn is_there() -> bool {
    matches!(lock(), Ok(None))
}

/// Starts one over a journal, unless one runs.
///
/// # Errors
/// It cannot be started: what is over stays pinned, refusing nothing, until the next start.
pub fn ensure(journal: &Path) -> io::Result<()> {
    if lock()?.is_none() {
        return Ok(());
    }
    // Also after the program's file was replaced.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("apisec-top").arg(COMMAND).arg(journal).current_dir("/").process_group(0);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == super::PINS));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // It outlives us; while we live, somebody must take notice of its end.
    let waiting = std::thread::Builder::new().name("apisec-reaper".into()).spawn(move || child.wait());
    waiting.map(drop)
}

/// Is it: until nothing of ours is left.
///
/// # Errors
/// In words, why it could not begin.
pub fn run(journal: &Path) -> Result<(), String> {
    let Some(_alone) = lock().map_err(|error| error.to_string())? else { return Ok(()) };
    // Nothing of the terminal that started us: its end is not ours.
    let _leads_one = rustix::process::setsid();
    let mut backend = Ebpf::open(Lifetime::Deadline);
    // Without a journal the kernel's own deadlines are kept all the same.
    let mut ledger = keeper::open(journal, Lifetime::Deadline, "expiry").ok().map(|(ledger, _)| ledger);
    let mut watch = Watch::default();
    loop {
        let held = backend.inspect();
        let needed = ledger.as_ref().is_some_and(Ledger::needs_sentry);
        if !needed && held.as_ref().is_ok_and(|held| held.pins.is_empty()) {
            tally::forget(false);
            return Ok(());
        }
        if let Some(ledger) = &mut ledger {
            let length = watch.patrol.as_ref().map(|patrol| patrol.sentry.journal_length());
            ledger.catch_up();
            ledger.expire(clock::now());
            watch.step(ledger, journal);
            if let Some((patrol, length)) = watch.patrol.as_ref().zip(length) {
                patrol.sentry.knows(length);
            }
        }
        let now = clock::boottime();
        for one in held.into_iter().flat_map(|held| held.policies) {
            if one.deadline.passed() && now >= one.deadline.0.saturating_add(GRACE) {
                // It refuses nothing; what cannot be removed now is tried again.
                let _again = backend.undo(one.policy);
            }
        }
        let _again = backend.tend(TICK);
    }
}

/// What a terminal does while there is one: follows those who were started again, and looks at traffic for policies that are
/// enforced after the fact.
#[derive(Default)]
struct Watch {
    follower: Follower,
    patrol: Option<Patrol>,
    watched: Vec<Key>,
    /// Looks in which a capture could not be started.
    failures: u32,
}

impl Watch {
    fn step(&mut self, ledger: &mut Ledger, journal: &Path) {
        let seen = tally::gather();
        if !seen.elsewhere {
            self.follower.step(ledger, &Snapshot::default(), &wards::wards());
        }
        if seen.elsewhere || !ledger.needs_sentry() {
            if self.patrol.take().is_some() {
                tally::forget(true);
            }
            self.watched.clear();
            return;
        }
        if self.patrol.is_none() && self.failures < MAX_FAILURES {
            let folder = journal.parent().unwrap_or(Path::new("/"));
            let key = Store::open(folder, Access::Look).map(|store| store.key()).unwrap_or_default();
            self.patrol = Patrol::start(key, journal).ok();
            self.failures += u32::from(self.patrol.is_none());
        }
        // Without one, the policies themselves say that nobody looks.
        let Some(patrol) = &self.patrol else { return };
        let views = ledger.views();
        let orders = verify::orders(&views);
        let keys: Vec<Key> = orders.iter().map(|order| order.key).collect();
        if keys != self.watched {
            patrol.sentry.watch(&orders, &wards::wards(), &seen.tallies);
            self.watched = keys;
        }
        let _untold = tally::tell(true, patrol.sentry.tallies());
    }
}
