//! The thread that keeps policies while a program runs: takes orders at once, ends what is over, sees what others
//! did, and tells the knowledge how policies stand.

use super::ledger::{self, Ledger};
use super::{lower, reaper, who};
use crate::clock;
use crate::enforce::ebpf::blocking;
use crate::enforce::{BACKENDS, Lifetime};
use crate::journal::{Ending, Journal};
use apisec_engine::command::Command;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::policy::guard::{Ward, refusals};
use apisec_engine::policy::order::Order;
use apisec_engine::policy::standing::{Answer, PolicyView, Standings};
use apisec_engine::policy::{BackendName, Policy};
use apisec_engine::snapshot::Snapshot;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Orders that may wait: a person gives one at a time.
const WAITING: usize = 16;
/// How often counters, deadlines and the journal are looked at.
const TICK: Duration = Duration::from_millis(250);

/// What a keeper is made of.
pub struct Config {
    /// The journal's file.
    pub journal: PathBuf,
    /// How long rules last.
    pub lifetime: Lifetime,
    /// What must not be cut by accident.
    pub wards: Vec<Ward>,
    /// What is known of this node.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where standings go.
    pub commands: Sender<Command>,
    /// Nothing is changed: only shown.
    pub read_only: bool,
}

/// The running thread; dropping it ends it. What is in force stays.
pub struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives us no thread.
    pub fn start(config: Config) -> io::Result<Self> {
        let (orders, asked) = bounded(WAITING);
        let thread = std::thread::Builder::new()
            .name("apisec-policy".into())
            .spawn(move || Work::new(config).run(&asked))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Takes orders; an order that does not fit now is one of a key that is held down.
    #[must_use]
    pub fn orders(&self) -> Option<Sender<Order>> {
        self.orders.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

struct Work {
    config: Config,
    ledger: Result<Ledger, String>,
    trouble: Vec<Degradation>,
    answer: Option<Answer>,
    told: Standings,
}

/// Opens the ledger of a journal with the backend of this node; what differed is returned, in words.
///
/// # Errors
/// In words, why policies cannot be kept here.
pub fn open(journal: &Path, lifetime: Lifetime, through: &str) -> Result<(Ledger, Vec<String>), String> {
    let journal = Journal::open(journal).map_err(|error| error.to_string())?;
    let kind = BACKENDS.iter().find(|kind| kind.id == BackendName::Ebpf.word());
    let kind = kind.ok_or_else(|| "this program was built without a backend".to_owned())?;
    let backend = (kind.open)(lifetime).map_err(|error| error.to_string())?;
    Ledger::open(journal, backend, who::operator(through), clock::now()).map_err(|error| error.to_string())
}

impl Work {
    fn new(config: Config) -> Self {
        let (ledger, differences) = match open(&config.journal, config.lifetime, "terminal") {
            Ok((ledger, differences)) => (Ok(ledger), differences),
            Err(why) => (Err(why), Vec::new()),
        };
        let mut trouble: Vec<Degradation> = differences.into_iter().map(differed).collect();
        if let Ok(ledger) = &ledger
            && config.lifetime == Lifetime::Deadline
            && ledger.leaves_pins()
        {
            trouble.extend(reaper::ensure(&config.journal).err().map(|why| no_reaper(&why)));
        }
        if let Err(why) = &ledger {
            trouble.push(no_policies(why));
        }
        if let Some(lines) =
            ledger.as_ref().ok().map(|ledger| ledger.journal().damage().lines).filter(|lines| *lines > 0)
        {
            trouble.push(damaged(lines, &config.journal));
        }
        Self { config, ledger, trouble, answer: None, told: Standings::default() }
    }

    fn run(mut self, asked: &Receiver<Order>) {
        self.tell();
        loop {
            match asked.recv_timeout(TICK) {
                Ok(order) => self.answer(&order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Ok(ledger) = &mut self.ledger {
                ledger.catch_up();
                if !self.config.read_only {
                    ledger.expire(clock::now());
                }
                if self.config.lifetime == Lifetime::Process {
                    ledger.tend();
                }
            }
            self.tell();
        }
    }

    fn answer(&mut self, order: &Order) {
        let number = self.answer.as_ref().map_or(1, |last| last.number + 1);
        let (done, text) = match self.carry_out(order) {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        self.answer = Some(Answer { number, done, text });
    }

    fn carry_out(&mut self, order: &Order) -> Result<String, String> {
        if self.config.read_only {
            return Err("read-only: nothing is changed".to_owned());
        }
        let began = clock::monotonic();
        let ledger = self.ledger.as_mut().map_err(|why| format!("policies cannot be kept: {why}"))?;
        let now = clock::now();
        let failed = |error: ledger::LedgerError| error.to_string();
        match order {
            Order::Apply { policy, forced } => {
                let snapshot = Arc::clone(&self.config.snapshots.borrow());
                let made = plan(policy, &snapshot, &self.config.wards, *forced)?;
                let tied = self.config.lifetime == Lifetime::Process;
                let took = || clock::monotonic().saturating_sub(began) / 1_000;
                let id = ledger.apply(ledger::Order { tied, ..made }, now, took).map_err(failed)?;
                if !tied && let Err(why) = reaper::ensure(&self.config.journal) {
                    self.trouble.retain(|known| known.code != NO_REAPER);
                    self.trouble.push(no_reaper(&why));
                }
                Ok(format!(
                    "policy {id} {} is in force after {} ms",
                    policy.metadata.name,
                    took().div_ceil(1_000)
                ))
            }
            Order::Undo(id) => {
                ledger.undo(*id, Ending::Undone, now).map_err(failed)?;
                Ok(format!("policy {id} was taken back"))
            }
            Order::UndoLast => {
                let id = ledger.last_open().ok_or("no policy is in force")?;
                ledger.undo(id, Ending::Undone, now).map_err(failed)?;
                Ok(format!("policy {id} was taken back"))
            }
            Order::UndoAll => undo_all(ledger, now),
            Order::Renew(id, ttl) => {
                ledger.renew(*id, *ttl, now).map_err(failed)?;
                Ok(format!("policy {id} lasts {ttl} from now on"))
            }
        }
    }

    /// Hands on how policies stand, when that has changed.
    fn tell(&mut self) {
        let (policies, history, mut trouble) = match &self.ledger {
            Ok(ledger) => (
                ledger.views(),
                ledger.history(),
                ledger.trouble.iter().map(|what| unjournalled(what)).collect(),
            ),
            Err(_) => (Vec::new(), Vec::new(), Vec::new()),
        };
        trouble.extend(policies.iter().filter_map(loud));
        trouble.extend(self.trouble.iter().cloned());
        let standings = Standings { policies, history, trouble, answer: self.answer.clone() };
        if standings != self.told {
            // One that does not fit is told again at the next tick.
            if self.config.commands.try_send(Command::Standings(Arc::new(standings.clone()))).is_ok() {
                self.told = standings;
            }
        }
    }
}

/// What is put into force for a policy, or why it is not.
///
/// # Errors
/// In words, why it cannot be, or must not be unless it is forced.
pub fn plan(
    policy: &Policy,
    snapshot: &Snapshot,
    wards: &[Ward],
    forced: bool,
) -> Result<ledger::Order, String> {
    let refused = refusals(policy, snapshot, wards);
    if let Some(first) = refused.first().filter(|_| !forced) {
        return Err(format!("refused: {} would cut {}; type its name to force it", first.by, first.what));
    }
    let rules = lower::rules(policy, snapshot, wards).map_err(|error| error.to_string())?;
    let mut plan: Vec<String> = rules.iter().map(lower::words).collect();
    if let Some((pid, name)) = blocking(&rules) {
        let why = format!(
            "{name} (pid {pid}) reads its connections in blocking calls, and loses them while its requests are looked into"
        );
        if !forced {
            return Err(format!(
                "refused: {why}; stop the edge instead, or type the policy's name to force it"
            ));
        }
        plan.push(format!("warning: {why}"));
    }
    Ok(ledger::Order { policy: policy.clone(), rules, plan, forced: refused, tied: false })
}

/// Takes everything back.
///
/// # Errors
/// In words, what is still there.
pub fn undo_all(ledger: &mut Ledger, now: u64) -> Result<String, String> {
    let ids = ledger.open_ids();
    let failed: Vec<String> = ids
        .iter()
        .filter_map(|id| ledger.undo(*id, Ending::Undone, now).err().map(|error| format!("{id}: {error}")))
        .collect();
    if failed.is_empty() {
        return Ok(format!("{} policies were taken back", ids.len()));
    }
    Err(format!("{} policies were taken back, {}", ids.len() - failed.len(), failed.join("; ")))
}

fn degradation(code: &str, severity: Severity, what: String, remedy: &str) -> Degradation {
    Degradation { code: code.into(), severity, what, remedy: remedy.into() }
}

fn differed(what: String) -> Degradation {
    degradation("policy-differed", Severity::Notice, what, "apisec-top policy history")
}

fn no_policies(why: &str) -> Degradation {
    let what = format!("policies cannot be kept or shown: {why}");
    degradation(
        "no-policies",
        Severity::Notice,
        what,
        "run as root, or give a state folder that can be written",
    )
}

const NO_REAPER: &str = "no-reaper";

fn no_reaper(why: &io::Error) -> Degradation {
    let what = format!(
        "the process that removes policies at their deadline could not be started: {why}; what is over refuses nothing, \
         and stays pinned until the next start"
    );
    degradation(NO_REAPER, Severity::Partial, what, "apisec-top panic removes all that is ours")
}

fn damaged(lines: u64, path: &Path) -> Degradation {
    let what = format!("{lines} lines of the journal {} are damaged and were left out", path.display());
    degradation(
        "journal-damaged",
        Severity::Partial,
        what,
        "compare `policy list` with what should be in force",
    )
}

fn unjournalled(what: &str) -> Degradation {
    degradation(
        "policy-unjournalled",
        Severity::Partial,
        what.to_owned(),
        "make room on the disk of the state folder",
    )
}

/// A policy that is listed and stops nothing is an error on every screen.
fn loud(view: &PolicyView) -> Option<Degradation> {
    use apisec_engine::policy::standing::State;
    let what = match view.state {
        State::Missing => {
            format!("policy {} {} is NOT in force: the kernel has nothing of it", view.id, view.name)
        }
        State::Unknown => format!("policy {} is in force and no journal here knows why", view.id),
        State::Failed if !view.trouble.is_empty() => {
            format!("policy {} {} failed: {}", view.id, view.name, view.trouble.join("; "))
        }
        _ => return None,
    };
    Some(degradation(
        "policy-ineffective",
        Severity::Partial,
        what,
        "apisec-top policy rollback, then apply again",
    ))
}
