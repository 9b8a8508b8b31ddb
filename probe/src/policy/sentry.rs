//! Looks at every call while policies are in force: counts what got through, and closes the connections of what can only be
//! known after it was read: calls over HTTP/2, TLS and streams, and those of an identity.
//!
//! On the capture thread it only judges, within a bound; a thread of its own closes. It lives as long as the program that captures.

use super::tally::{Key, Tally};
use crate::clock;
use crate::pipeline::CallSink;
use crate::sever::{SeverError, Target, sever};
use apisec_engine::policy::guard::{Ward, WardKind};
use apisec_engine::policy::judge::Judge;
use apisec_engine::policy::pattern::Verdict;
use apisec_engine::policy::{Policy, Scope};
use apisec_proto::call::{Call, Notes, Protocol, Vantage};
use apisec_proto::segment::ConnId;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections that may wait to be closed; more are found again by their next call.
const WAITING: usize = 256;
/// Connections that were closed last: what they had on their way is not closed again.
const REMEMBERED: usize = 64;
/// Pairs of ends whose policies are known; more are looked up again.
const PAIRS: usize = 4_096;
/// Comparisons of a policy with a call in a second, some 60 ms of the capture's time. Calls beyond are counted as missed.
const JUDGEMENTS: usize = 200_000;
const SECOND: u64 = 1_000_000_000;
/// How long is waited until what others have journalled is known: longer than between two looks of whoever watches.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 150;

/// A policy that is looked after.
struct Watched {
    key: Key,
    judge: Judge,
    /// Calls that began earlier are none of its.
    since: u64,
    /// All that it is about is known only after it was read.
    always_closes: bool,
    /// What cannot be decided is closed, too.
    fail_closed: bool,
    /// Whom it lets through whatever it says: the operator, who resolves names.
    spared: Vec<IpAddr>,
    tally: Tally,
}

/// The ends of a call: the numbers of the workloads, the caller's address, and what it called.
type Pair = (u32, u32, IpAddr, SocketAddr);

/// See the module.
#[derive(Clone)]
pub struct Sentry(Arc<Shared>);

struct Shared {
    /// Where policies are taken back, and how long that was when the policies here were those of it.
    journal: PathBuf,
    known: AtomicU64,
    /// There is something to look for.
    on: AtomicBool,
    state: Mutex<State>,
    jobs: Sender<Job>,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    /// Places in `watched` of the policies that concern a pair.
    pairs: HashMap<Pair, Vec<usize>>,
    closing: VecDeque<ConnId>,
    /// Comparisons that are left in this second, and the next one's number.
    purse: (usize, u64),
    missed: u64,
}

struct Job {
    policy: Key,
    target: Target,
    caller: String,
    /// When the call began.
    at: u64,
}

/// A policy to look after: its number and when it was put into force (Unix nanoseconds), itself, and how many nanoseconds
/// later it was.
pub struct Order<'a> {
    /// Its number, and when it was ordered.
    pub key: Key,
    /// The policy.
    pub policy: &'a Policy,
    /// From then on it was in force, Unix nanoseconds.
    pub since: u64,
}

impl Sentry {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives us no thread.
    pub fn start(journal: &Path) -> io::Result<Self> {
        let (jobs, asked) = bounded(WAITING);
        let (journal, known) = (journal.to_owned(), AtomicU64::new(0));
        let on = AtomicBool::new(false);
        let shared = Arc::new(Shared { journal, known, on, state: Mutex::default(), jobs });
        let weak = Arc::downgrade(&shared);
        let close = move |asked: Receiver<Job>| {
            for job in asked {
                let Some(shared) = weak.upgrade() else { return };
                if shared.still_wants(&job) {
                    shared.closed(&job, &sever(job.target));
                } else {
                    // Another policy may be about it.
                    shared.state().closing.retain(|conn| *conn != ConnId(job.target.cookie));
                }
            }
        };
        std::thread::Builder::new().name("apisec-sentry".into()).spawn(move || close(asked))?;
        Ok(Self(shared))
    }

    /// These are looked after from now on. What was counted of them is kept, and where nothing was, begins with what others
    /// had counted.
    pub fn watch(&self, orders: &[Order<'_>], wards: &[Ward], known: &BTreeMap<Key, Tally>) {
        let mut state = self.0.state();
        state.watched.retain(|one| orders.iter().any(|order| order.key == one.key));
        for order in orders {
            if !state.watched.iter().any(|one| one.key == order.key) {
                let scope = &order.policy.spec.scope;
                state.watched.push(Watched {
                    key: order.key,
                    judge: Judge::of(order.policy),
                    since: order.since,
                    always_closes: matches!(
                        scope,
                        Scope::Identity(_) | Scope::Edge(_) | Scope::Quarantine(_)
                    ),
                    fail_closed: order.policy.spec.fail_closed,
                    spared: spared(scope, wards),
                    tally: known.get(&order.key).cloned().unwrap_or_default(),
                });
            }
        }
        state.pairs.clear();
        self.0.on.store(!state.watched.is_empty(), Ordering::Release);
    }

    /// How long the journal is now: to be asked before it is read, and told [afterwards](Self::knows).
    #[must_use]
    pub fn journal_length(&self) -> u64 {
        self.0.journal_length()
    }

    /// The policies that are watched are those of the journal when it was so long.
    pub fn knows(&self, length: u64) {
        self.0.known.store(length, Ordering::Release);
    }

    /// What a pipeline hands every call to.
    #[must_use]
    pub fn sink(&self) -> CallSink {
        let sentry = self.clone();
        Box::new(move |call, _, conn| sentry.look(call, conn))
    }

    /// A call that has happened; on the capture thread.
    pub fn look(&self, call: &Call, conn: ConnId) {
        if self.0.on.load(Ordering::Acquire) {
            self.0.look(call, conn);
        }
    }

    /// What came of each policy.
    #[must_use]
    pub fn tallies(&self) -> Vec<(Key, Tally)> {
        let state = self.0.state();
        let tally = |one: &Watched| Tally { missed: state.missed, ..one.tally.clone() };
        state.watched.iter().map(|one| (one.key, tally(one))).collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, call: &Call, conn: ConnId) {
        let mut guard = self.state();
        let state = &mut *guard;
        let second = call.at / SECOND + 1;
        if state.purse.1 != second {
            state.purse = (JUDGEMENTS, second);
        }
        let pair = (call.src.number, call.dst.number, call.src_addr.ip(), call.dst_addr);
        if !state.pairs.contains_key(&pair) {
            if !state.pay(state.watched.len()) {
                return;
            }
            if state.pairs.len() >= PAIRS {
                state.pairs.clear();
            }
            let concerned = state.watched.iter().enumerate().filter(|(_, one)| one.concerns(call));
            let concerned = concerned.map(|(at, _)| at).collect();
            state.pairs.insert(pair, concerned);
        }
        let cost = state.pairs.get(&pair).map_or(0, Vec::len);
        if cost == 0 || !state.pay(cost) {
            return;
        }
        let State { watched, pairs, closing, .. } = state;
        for at in pairs.get(&pair).into_iter().flatten() {
            let Some(one) = watched.get_mut(*at) else { continue };
            if call.at < one.since || call.notes.any(Notes::BLOCKED) {
                continue;
            }
            match one.judge.judge(call) {
                Verdict::Pass => continue,
                Verdict::Match => one.passed(call),
                Verdict::Undecided if one.fail_closed => one.tally.undecided += 1,
                Verdict::Undecided => {
                    one.tally.undecided += 1;
                    continue;
                }
            }
            let late = one.always_closes || is_late(call);
            if late && conn != ConnId(0) && !closing.contains(&conn) {
                let caller = call.src.workload.name.to_string();
                let job = Job { policy: one.key, target: target(call, conn), caller, at: call.at };
                if self.jobs.try_send(job).is_ok() {
                    closing.push_back(conn);
                    if closing.len() > REMEMBERED {
                        closing.pop_front();
                    }
                }
            }
        }
    }

    fn journal_length(&self) -> u64 {
        std::fs::metadata(&self.journal).map_or(0, |file| file.len())
    }

    /// Whether the policy is in force at this very moment, as far as can be known: it may have been taken back by another process,
    /// and nobody must lose a connection to it then.
    fn still_wants(&self, job: &Job) -> bool {
        for _ in 0..LOOKS {
            if self.journal_length() == self.known.load(Ordering::Acquire) {
                break;
            }
            std::thread::park_timeout(LOOK);
        }
        self.state().watched.iter().any(|one| one.key == job.policy)
    }

    fn closed(&self, job: &Job, outcome: &Result<(), SeverError>) {
        let now = clock::now();
        let mut state = self.state();
        let Some(one) = state.watched.iter_mut().find(|one| one.key == job.policy) else { return };
        match outcome {
            Ok(()) => {
                one.tally.closed += 1;
                one.tally.last_closed = now;
                one.tally.delay = one.tally.delay.max(now.saturating_sub(job.at));
                if let Some(caller) = one.tally.caller(&job.caller) {
                    (caller.closed, caller.last) = (caller.closed + 1, now);
                }
            }
            // It has ended by itself.
            Err(SeverError::Gone) => {}
            Err(_) => one.tally.failed += 1,
        }
    }
}

impl State {
    /// Takes so many comparisons; where they are not left, the call is counted and not looked at.
    const fn pay(&mut self, cost: usize) -> bool {
        match self.purse.0.checked_sub(cost) {
            Some(left) => {
                self.purse.0 = left;
                true
            }
            None => {
                self.missed += 1;
                false
            }
        }
    }
}

impl Watched {
    fn concerns(&self, call: &Call) -> bool {
        let spared = |address: SocketAddr| self.spared.contains(&address.ip());
        self.judge.concerns(call) && !spared(call.src_addr) && !spared(call.dst_addr)
    }

    /// Such a call was answered, or is a message that needs no answer.
    fn passed(&mut self, call: &Call) {
        if call.is_unanswered() {
            return;
        }
        let at = call.at.saturating_add(call.duration);
        self.tally.passed += 1;
        self.tally.last_passed = self.tally.last_passed.max(at);
        if let Some(caller) = self.tally.caller(&call.src.workload.name) {
            (caller.passed, caller.last) = (caller.passed + 1, caller.last.max(at));
        }
    }
}

/// A call that no program in the kernel may have been able to read before it was there: what is plain HTTP/1 in clear would have
/// been answered there. Others may be HTTP/2 below, which a call does not say.
fn is_late(call: &Call) -> bool {
    call.tls.is_some() || call.protocol != Protocol::Http1
}

/// A quarantine keeps open what its rules in the kernel do.
fn spared(scope: &Scope, wards: &[Ward]) -> Vec<IpAddr> {
    let Scope::Quarantine(spec) = scope else { return Vec::new() };
    let kept = |ward: &&Ward| match ward.kind {
        WardKind::Operator => !spec.cut_operator,
        WardKind::Dns => !spec.cut_dns,
        WardKind::ApiServer | WardKind::Ourselves => false,
    };
    wards.iter().filter(kept).flat_map(|ward| &ward.places).map(SocketAddr::ip).collect()
}

/// The socket at which the call was seen.
const fn target(call: &Call, conn: ConnId) -> Target {
    let (local, remote) = match call.vantage {
        Vantage::Server => (call.dst_addr, call.src_addr),
        Vantage::Client => (call.src_addr, call.dst_addr),
    };
    Target { local, remote, cookie: conn.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::policy::draft;
    use apisec_proto::call::{IdentityHash, Party, Workload, WorkloadKind};
    use apisec_proto::namer::{Ends, Namer};
    use std::io::Read as _;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Instant;

    fn call(src_addr: SocketAddr, dst_addr: SocketAddr, hash: u64) -> Call {
        let party = |id: &str| Party {
            number: 0,
            workload: Arc::new(Workload::named(id, id, WorkloadKind::Process)),
        };
        let (src, dst) = (party("process:curl"), party("process:shop:80"));
        let ends = Ends { src: &src, dst: &dst, src_addr, dst_addr, vantage: Vantage::Server };
        Call { at: 100, status: Some(200), identity: Some(IdentityHash(hash)), ..Namer::blank(ends) }
    }

    #[test]
    fn the_connection_of_an_identity_is_closed_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let open = || {
            let client = TcpStream::connect(to).unwrap();
            let (server, from) = listener.accept().unwrap();
            let conn = ConnId(rustix::net::sockopt::socket_cookie(&server).unwrap());
            (client, server, from, conn)
        };
        let ((mut client, _server, from, conn), (other, _kept, from_other, conn_other)) = (open(), open());
        let sentry = Sentry::start(Path::new("/nonexistent")).unwrap();
        let policy = draft::identity("0000000000000007", None).unwrap();
        sentry.look(&call(from, to, 7), conn);
        assert_eq!(sentry.tallies(), []);
        let watch = |orders: &[Order<'_>]| sentry.watch(orders, &[], &BTreeMap::new());
        watch(&[Order { key: (3, 40), policy: &policy, since: 50 }]);
        sentry.look(&call(from_other, to, 8), conn_other);
        sentry.look(&Call { at: 49, ..call(from_other, to, 7) }, conn_other);
        sentry.look(&call(from, to, 7), conn);
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let ended = client.read(&mut [0]);
        // Where the kernel cannot or we may not, that is counted.
        let deadline = Instant::now() + Duration::from_secs(20);
        let tally = loop {
            let tally = sentry.tallies()[0].1.clone();
            if tally.closed + tally.failed > 0 || Instant::now() > deadline {
                break tally;
            }
            std::thread::yield_now();
        };
        assert_eq!((tally.passed, tally.last_passed, tally.closed + tally.failed), (1, 100, 1));
        assert_eq!(tally.callers["process:curl"].passed, 1);
        assert_eq!(tally.closed == 1, ended.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
        other.set_nonblocking(true).unwrap();
        assert_eq!((&other).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        watch(&[]);
        assert_eq!(sentry.tallies(), []);
    }

    #[test]
    fn what_we_answered_has_not_passed_and_time_is_bounded() {
        let (from, to) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let sentry = Sentry::start(Path::new("/nonexistent")).unwrap();
        let policy = draft::edge("process:curl", "process:shop:80").unwrap();
        let many: Vec<_> = (1..=1_000).map(|id| Order { key: (id, 0), policy: &policy, since: 0 }).collect();
        sentry.watch(&many, &[], &BTreeMap::from([((1, 0), Tally { passed: 5, ..Tally::default() })]));
        let ours = Call { notes: Notes::BLOCKED, status: Some(403), ..call(from, to, 1) };
        sentry.look(&ours, ConnId(0));
        assert!(sentry.tallies().iter().all(|((id, _), tally)| tally.passed == if *id == 1 { 5 } else { 0 }));
        let unanswered = Call { status: None, ..call(from, to, 1) };
        sentry.look(&unanswered, ConnId(0));
        for _ in 0..300 {
            sentry.look(&call(from, to, 1), ConnId(0));
        }
        let all = sentry.tallies();
        let passed = all[1].1.passed;
        assert_eq!((passed, all[1].1.missed), (197, 103));
    }
}
