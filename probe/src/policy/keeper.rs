//! The thread that keeps policies while a program runs: takes orders at once, ends what is over, sees what others
//! did, and tells the knowledge how policies stand.

use super::follow::Follower;
use super::ledger::{self, Ledger};
use super::sentry::Sentry;
use super::tally::{self, Gathered, Key};
use super::verify::{self, Alarm};
use super::{lower, reaper, who};
use crate::clock;
use crate::enforce::ebpf::blocking;
use crate::enforce::{BACKENDS, Lifetime};
use crate::journal::{Ending, Journal};
use apisec_engine::command::Command;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::policy::guard::{Ward, refusals};
use apisec_engine::policy::measure::{When, measures};
use apisec_engine::policy::order::Order;
use apisec_engine::policy::respond::{Responder, Rule};
use apisec_engine::policy::standing::{Answer, PolicyView, Standings};
use apisec_engine::policy::{BackendName, Policy};
use apisec_engine::snapshot::Snapshot;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeMap;
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
    /// Findings that are answered without a person.
    pub respond: Vec<Rule>,
    /// Looks at every call; nobody where there is nothing to see or nothing may be done.
    pub sentry: Option<Sentry>,
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
    /// Policies that the sentry looks after.
    watched: Vec<Key>,
    follower: Follower,
    responder: Responder,
    /// Findings that a rule is about and that were left to the operator, with the reason.
    held: BTreeMap<String, String>,
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
            && ledger.outlives_us()
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
        let responder = Responder::new(config.respond.clone(), clock::now());
        Self {
            config,
            ledger,
            trouble,
            answer: None,
            told: Standings::default(),
            watched: Vec::new(),
            follower: Follower::default(),
            responder,
            held: BTreeMap::new(),
        }
    }

    fn run(mut self, asked: &Receiver<Order>) {
        self.tell();
        loop {
            let length = self.config.sentry.as_ref().map(Sentry::journal_length);
            match asked.recv_timeout(TICK) {
                Ok(order) => self.answer(&order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.leave(),
            }
            if let Ok(ledger) = &mut self.ledger {
                ledger.catch_up();
                if !self.config.read_only {
                    ledger.expire(clock::now());
                    let snapshot = Arc::clone(&self.config.snapshots.borrow());
                    self.follower.step(ledger, &snapshot, &self.config.wards);
                }
                if self.config.lifetime == Lifetime::Process {
                    ledger.tend();
                }
            }
            if !self.config.read_only {
                self.respond();
            }
            self.tell();
            if let Some((sentry, length)) = self.config.sentry.as_ref().zip(length) {
                sentry.knows(length);
            }
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
        let ledger = self.ledger.as_mut().map_err(|why| format!("policies cannot be kept: {why}"))?;
        let now = clock::now();
        let failed = |error: ledger::LedgerError| error.to_string();
        match order {
            Order::Apply { policy, forced } => self.put(None, policy, *forced),
            Order::Replace { id, policy, forced } => self.put(Some(*id), policy, *forced),
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

    /// Answers new findings that a rule is about, as an operator would who forces nothing.
    fn respond(&mut self) {
        let snapshot = Arc::clone(&self.config.snapshots.borrow());
        let response = self.responder.step(&snapshot, &self.config.wards, clock::now());
        self.held.retain(|id, _| {
            snapshot.findings.iter().any(|finding| finding.id == *id && finding.state.is_open())
        });
        self.held.extend(response.held);
        for policy in response.policies {
            let finding = policy.spec.finding.as_ref().map(ToString::to_string).unwrap_or_default();
            self.held.remove(&finding);
            if let Ok(ledger) = &mut self.ledger {
                ledger.speak_as("respond");
            }
            let outcome = self.put(None, &policy, false);
            if let Ok(ledger) = &mut self.ledger {
                ledger.speak_as("terminal");
            }
            let number = self.answer.as_ref().map_or(1, |last| last.number + 1);
            let done = outcome.is_ok();
            let text = match outcome {
                Ok(text) => format!("by itself, as your settings say: {text}"),
                Err(why) => {
                    self.held.insert(finding, why.clone());
                    format!("not answered by itself: {why}")
                }
            };
            self.answer = Some(Answer { number, done, text });
        }
    }

    /// Puts a policy into force, in the place of another or beside all others.
    fn put(&mut self, replaced: Option<u32>, policy: &Policy, forced: bool) -> Result<String, String> {
        let began = clock::monotonic();
        let ledger = self.ledger.as_mut().map_err(|why| format!("policies cannot be kept: {why}"))?;
        let snapshot = Arc::clone(&self.config.snapshots.borrow());
        let made = plan(policy, &snapshot, &self.config.wards, forced)?;
        let tied = self.config.lifetime == Lifetime::Process;
        let took = || clock::monotonic().saturating_sub(began) / 1_000;
        let (order, now) = (ledger::Order { tied, ..made }, clock::now());
        let put = match replaced {
            Some(id) => ledger.replace(id, order, now, took),
            None => ledger.apply(order, now, took),
        };
        let id = put.map_err(|error| error.to_string())?;
        if !tied && let Err(why) = reaper::ensure(&self.config.journal) {
            self.trouble.retain(|known| known.code != NO_REAPER);
            self.trouble.push(no_reaper(&why));
        }
        Ok(format!("policy {id} {} is in force after {} ms", policy.metadata.name, took().div_ceil(1_000)))
    }

    /// What was seen of the calls that policies are about, by this process and others; these learn of ours.
    fn seen(&mut self) -> Gathered {
        let (Some(sentry), Ok(ledger)) = (&self.config.sentry, &self.ledger) else { return tally::gather() };
        let mut seen = tally::gather();
        let views = ledger.views();
        let orders = verify::orders(&views);
        let keys: Vec<Key> = orders.iter().map(|order| order.key).collect();
        if keys != self.watched {
            sentry.watch(&orders, &self.config.wards, &seen.tallies);
            if keys.is_empty() {
                tally::forget(false);
            }
            self.watched = keys;
        }
        if !self.watched.is_empty() {
            let ours = sentry.tallies();
            seen.watched = true;
            ours.iter().for_each(|(key, tally)| seen.tallies.entry(*key).or_default().merge(tally));
            // Commands say then that nobody looks.
            let _untold = tally::tell(true, ours);
        }
        seen
    }

    /// What ends with this process is taken back in good order; who comes next goes on counting.
    fn leave(mut self) {
        let (Some(sentry), Ok(ledger)) = (&self.config.sentry, &mut self.ledger) else { return };
        if self.config.lifetime == Lifetime::Process {
            ledger.undo_own(clock::now());
        }
        if self.watched.is_empty() || self.config.lifetime == Lifetime::Process {
            tally::forget(true);
        } else {
            let _untold = tally::tell(false, sentry.tallies());
        }
    }

    /// Hands on how policies stand, when that has changed.
    fn tell(&mut self) {
        let seen = self.seen();
        let (policies, history, mut trouble) = match &self.ledger {
            Ok(ledger) => {
                let (views, alarms) = verify::views(ledger, &seen);
                let mut trouble: Vec<_> = ledger.trouble.iter().map(|what| unjournalled(what)).collect();
                trouble.extend(alarms.iter().map(alarmed));
                (views, ledger.history(), trouble)
            }
            Err(_) => (Vec::new(), Vec::new(), Vec::new()),
        };
        trouble.extend(policies.iter().filter_map(loud));
        trouble.extend(self.held.iter().map(left));
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
    let (measures, _limits) = measures(policy, snapshot);
    let after: Vec<_> = measures.iter().filter(|measure| measure.when == When::Reactive).collect();
    plan.extend(after.iter().map(|measure| format!("{}{measure}", lower::AFTERWARDS)));
    if let Some((pid, name)) = blocking(&rules) {
        let why = format!(
            "{name} (pid {pid}) reads its connections in blocking calls, and loses them while its requests are looked into"
        );
        if !forced {
            return Err(format!(
                "refused: {why}; stop the edge instead, or type the policy's name to force it"
            ));
        }
        plan.push(format!("{}{why}", lower::WARNING));
    }
    let reactive = !after.is_empty();
    Ok(ledger::Order { policy: policy.clone(), rules, reactive, plan, forced: refused, tied: false })
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

/// A finding that a rule is about, and that is left to the operator.
fn left((finding, why): (&String, &String)) -> Degradation {
    let what = format!("finding {finding} is not answered by itself: {why}");
    degradation(
        "respond-held",
        Severity::Notice,
        what,
        "look at it in the Findings view; b there previews a policy",
    )
}

/// A policy that does not do what it says, or has met nobody.
fn alarmed(alarm: &Alarm) -> Degradation {
    let what = format!("policy {}: {}", alarm.id, alarm.what);
    let (code, severity) = if alarm.fails {
        ("policy-ineffective", Severity::Partial)
    } else {
        ("policy-idle", Severity::Notice)
    };
    degradation(code, severity, what, "look at it in the Policies view; edit it, or take it back")
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
