//! Sends findings to the systems that others look at: at least once, in order, and never in the way of the capture.
//!
//! What is new or has got worse goes into a bounded [`Spool`] on disk; one thread per destination takes it from there,
//! tries again with growing pauses, and says how far it is. What a destination does not take waits for the next run;
//! what no longer fits is dropped, oldest first, and counted. Secrets come from a file or the environment and are
//! never shown.

mod address;
mod file;
pub(crate) mod http;
mod otlp;
mod spool;
pub(crate) mod stream;
mod syslog;
#[cfg(test)]
mod tests;
mod webhook;

pub use address::{Destination, Kind};

pub(crate) use address::Access;
pub(crate) use http::Place;

use apisec_engine::degradation::{Degradation, Severity as Gravity};
use apisec_engine::finding::{Finding, Severity};
use spool::Spool;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Every kind of destination: one file and one line.
pub const KINDS: &[&Kind] = &[&file::FINDINGS, &file::OCSF, &syslog::KIND, &webhook::KIND, &otlp::KIND];

/// Findings that are sent together.
const BATCH: usize = 64;
/// Pauses between tries.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What a run waits at its end for what has not been taken yet; the rest is in the spool.
const FAREWELL: Duration = Duration::from_secs(5);
/// A finding whose count has grown by this factor is worth telling again.
const GROWN: u64 = 4;

/// Why something was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It may work later, at the earliest after this pause.
    Later(String, Option<Duration>),
    /// It never will: this one is given up.
    Never(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string(), None)
    }
}

/// Takes findings. Blocks; knows nothing of the spool.
pub(crate) trait Sender: Send {
    /// Sends all of them, or says why not.
    fn send(&mut self, findings: &[Finding]) -> Result<(), Refusal>;
}

/// The findings' way out. Dropping it stops its threads without waiting for what is under way.
pub struct Forwarder {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    least: Severity,
    /// What was told of each finding.
    told: HashMap<String, (Severity, &'static str, u64)>,
}

struct Shared {
    spool: Mutex<Spool>,
    /// There is more, or it is over.
    changed: Condvar,
    state: Mutex<Vec<Progress>>,
}

/// How far a destination is.
#[derive(Clone, Debug, Default)]
struct Progress {
    name: String,
    sent: u64,
    given_up: u64,
    trouble: Option<String>,
}

impl Forwarder {
    /// Sends findings of at least this severity to all of these; `folder` keeps what they have not taken yet.
    ///
    /// # Errors
    /// The spool cannot be opened, or a thread not started.
    pub fn start(destinations: &[Destination], least: Severity, folder: Option<&Path>) -> io::Result<Self> {
        let names: Vec<String> = destinations.iter().map(|destination| destination.name()).collect();
        let shared = Arc::new(Shared {
            spool: Mutex::new(Spool::open(folder, &names)?),
            changed: Condvar::new(),
            state: Mutex::new(
                names.iter().map(|name| Progress { name: name.clone(), ..Progress::default() }).collect(),
            ),
        });
        let mut forwarder = Self { shared, threads: Vec::new(), least, told: HashMap::new() };
        for (number, destination) in destinations.iter().enumerate() {
            let (shared, sender) = (Arc::clone(&forwarder.shared), destination.sender());
            let thread = std::thread::Builder::new().name("apisec-forward".into());
            forwarder.threads.push(thread.spawn(move || shared.run(number, sender))?);
        }
        Ok(forwarder)
    }

    /// These were told of in an earlier run, or were waiting to be.
    pub fn told(&mut self, findings: &[Finding]) {
        let told = findings.iter().map(|finding| (finding.id.clone(), worth(finding)));
        self.told.extend(told);
    }

    /// Sends what is new among these, or has got worse, or is over.
    pub fn offer(&mut self, findings: &[Finding]) {
        let mut spool = self.shared.spool();
        let mut any = false;
        for finding in findings.iter().filter(|finding| finding.severity >= self.least) {
            let now = worth(finding);
            let worth = self.told.get(&finding.id).is_none_or(|(severity, state, count)| {
                now.0 > *severity || now.1 != *state || now.2 >= count.saturating_mul(GROWN)
            });
            if worth {
                self.told.insert(finding.id.clone(), now);
                spool.push(finding);
                any = true;
            }
        }
        if any {
            self.shared.changed.notify_all();
        }
    }

    /// What does not get through, and what was lost.
    #[must_use]
    pub fn troubles(&self) -> Vec<Degradation> {
        let spool = self.shared.spool();
        let lost = (spool.dropped() > 0).then(|| Degradation {
            code: "findings-dropped".into(),
            severity: Gravity::Partial,
            what: format!("{} findings were not sent because too many were waiting", spool.dropped()),
            remedy: "repair the destination that does not take them".into(),
        });
        let unsafe_spool = spool.trouble().map(|why| Degradation {
            code: "spool-not-kept".into(),
            severity: Gravity::Notice,
            what: format!("findings that wait to be sent do not outlive this run: {why}"),
            remedy: "give a folder with room for them: --state DIR".into(),
        });
        drop(spool);
        let state = lock(&self.shared.state);
        let stuck = state.iter().filter_map(|progress| {
            let trouble = progress.trouble.as_ref()?;
            Some(Degradation {
                code: "destination-does-not-take".into(),
                severity: Gravity::Partial,
                what: format!("findings do not reach {}: {trouble}", progress.name),
                remedy: "they wait and are tried again; look at the destination".into(),
            })
        });
        stuck.chain(lost).chain(unsafe_spool).collect()
    }

    /// Findings sent and given up, by destination.
    #[must_use]
    pub fn totals(&self) -> Vec<(String, u64, u64)> {
        lock(&self.shared.state).iter().map(|one| (one.name.clone(), one.sent, one.given_up)).collect()
    }

    /// Waits a little until everything was taken, and says whether it was.
    pub fn finish(&mut self) -> bool {
        let deadline = Instant::now() + FAREWELL;
        let mut spool = self.shared.spool();
        while !spool.is_drained() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            spool = self.shared.changed.wait_timeout(spool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let drained = spool.is_drained();
        spool.close();
        drop(spool);
        self.shared.changed.notify_all();
        drained
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.spool().close();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Sends to one destination until it is over.
    fn run(&self, number: usize, mut sender: Box<dyn Sender>) {
        let mut pause = FIRST_PAUSE;
        while let Some((last, batch)) = self.next(number) {
            match sender.send(&batch) {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.done(number, last, |progress| progress.sent += batch.len() as u64);
                }
                Err(Refusal::Never(why)) => {
                    self.done(number, last, |progress| {
                        progress.given_up += batch.len() as u64;
                        progress.trouble = Some(why);
                    });
                }
                Err(Refusal::Later(why, wanted)) => {
                    if let Some(progress) = lock(&self.state).get_mut(number) {
                        progress.trouble = Some(why);
                    }
                    self.wait(wanted.unwrap_or(pause).min(LONGEST_PAUSE));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// What this destination has not taken yet, with the number of the last of them; `None` when it is over.
    fn next(&self, number: usize) -> Option<(u64, Vec<Finding>)> {
        let mut spool = self.spool();
        loop {
            if spool.is_closed() {
                return None;
            }
            if let Some(batch) = spool.waiting(number, BATCH) {
                return Some(batch);
            }
            spool = self.changed.wait(spool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, number: usize, last: u64, note: impl FnOnce(&mut Progress)) {
        if let Some(progress) = lock(&self.state).get_mut(number) {
            progress.trouble = None;
            note(progress);
        }
        self.spool().taken(number, last);
        self.changed.notify_all();
    }

    /// A pause that ends when it is over.
    fn wait(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut spool = self.spool();
        while !spool.is_closed() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            spool = self.changed.wait_timeout(spool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        lock(&self.spool)
    }
}

/// What of a finding makes it worth telling again.
fn worth(finding: &Finding) -> (Severity, &'static str, u64) {
    (finding.severity, finding.state.word(), finding.count)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
