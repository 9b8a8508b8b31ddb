//! The thread that looks: it answers the capture thread's questions with surveys of the node, never
//! taking more than its share of a processor.

use super::cgroup::Placement;
use super::cgroup_tree::CgroupTree;
use super::holders;
use super::process::{self, Process};
use super::standing::{Standing, look, standing};
use super::survey::{Map, Survey};
use super::surveyor::{Blind, Surveyor};
use super::whereabouts::find;
use crate::reach::Reach;
use apisec_proto::segment::{ConnId, Side};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Questions that wait; a question that does not fit is asked again with the next call.
const MAX_QUESTIONS: usize = 1_024;
/// Answers that wait for the capture thread.
const MAX_ANSWERS: usize = 8_192;
/// With questions waiting, at most one part in five of a processor over time...
const BUSY_SHARE: u32 = 5;
/// ...of which so much may be taken at once: the first questions after a quiet time are not kept waiting.
const BURST: Duration = Duration::from_millis(250);
/// Without questions, at most one part in four hundred.
const IDLE_SHARE: u32 = 400;
/// After a program was started the node is watched for this long, as it may be a server...
const WATCH: Duration = Duration::from_millis(1_500);
/// ...with at most one part in fifty of a processor, so that a server that ends soon has been seen...
const WATCH_SHARE: u32 = 50;
/// ...and so often at most.
const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// A server that is replaced without any event is noticed after this long.
const IDLE_PERIOD: Duration = Duration::from_secs(2);

/// What the capture thread wants to know.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// Nothing; but a program was started, which may soon listen.
    Started,
    /// Whether somebody listens at this address by now.
    Listener {
        /// Namespace, 0 for any.
        netns: u64,
        /// Where.
        address: SocketAddr,
    },
    /// Whether this process belongs to a server.
    Process {
        /// Its pid.
        pid: u32,
        /// Its start.
        start: u64,
    },
    /// Whose socket this is.
    Socket(Wanted),
    /// What the cgroup with this id is.
    Cgroup(u64),
}

/// A connected socket that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The connection that it is an end of.
    pub(super) conn: ConnId,
    /// Which end.
    pub(super) side: Side,
    /// Its address.
    pub(super) local: SocketAddr,
    /// Its peer's.
    pub(super) remote: SocketAddr,
    /// Its cookie, 0 when unknown.
    pub(super) cookie: u64,
}

/// What the capture thread is told.
pub(super) enum Answer {
    /// A new picture of the node, with the tick until which all processes were searched.
    Survey(Arc<Survey>, u64, Blind),
    /// The connections that were there at the start.
    Standing(Map<u64, Standing>),
    /// The survey is as new as this question.
    Listener(u64, SocketAddr),
    /// The survey has what there is to know of this process.
    Process(u32, u64),
    /// The namespace and process of a socket, as far as they were found.
    Socket(Wanted, u64, Option<Arc<Process>>),
    /// Where the processes of a cgroup were put.
    Cgroup(u64, Placement),
}

/// Processor time that may be spent: fills up to [`BURST`] as time goes by.
struct Allowance {
    left: Duration,
    at: Instant,
}

impl Allowance {
    /// How long to wait after having spent this much.
    fn pause(&mut self, spent: Duration) -> Duration {
        let passed = self.at.elapsed();
        self.at += passed;
        self.left = BURST.min(self.left.saturating_add(passed / BUSY_SHARE));
        let over = spent.saturating_sub(self.left);
        self.left = self.left.saturating_sub(spent);
        over * BUSY_SHARE
    }
}

/// When to look without being asked.
struct Pace {
    due: Instant,
    watch_until: Instant,
    spent: Duration,
    usual: Duration,
}

impl Pace {
    fn starting(now: Instant) -> Self {
        Self { due: now + IDLE_PERIOD, watch_until: now, spent: Duration::ZERO, usual: Duration::ZERO }
    }

    fn left(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    fn note_started(&mut self, now: Instant, started: bool) {
        if started {
            self.watch_until = now + WATCH;
            self.due = self.due.min(now + self.watch_period());
        }
    }

    fn finished(&mut self, began: Instant, now: Instant) {
        self.spent = now.saturating_duration_since(began);
        self.usual = self.spent;
        let idle = IDLE_PERIOD.max(self.usual * IDLE_SHARE);
        self.due = now + if now < self.watch_until { self.watch_period() } else { idle };
    }

    fn watch_period(&self) -> Duration {
        WATCH_PERIOD.max(self.usual * WATCH_SHARE)
    }
}

/// The running thread. Dropping it ends the thread.
pub(super) struct Resolver {
    questions: Option<Sender<Question>>,
    answers: Receiver<Answer>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts the thread; its first answer is a survey.
    ///
    /// # Errors
    /// The thread cannot be created.
    pub(super) fn start(reach: Reach) -> std::io::Result<Self> {
        let (questions, asked) = bounded(MAX_QUESTIONS);
        let (told, answers) = bounded(MAX_ANSWERS);
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name("apisec-identity".into()).spawn(move || {
            Worker { asked, told, stopped, surveyor: Surveyor::new(reach), last: None, searched: 0 }.run();
        })?;
        Ok(Self { questions: Some(questions), answers, stop: Some(stop), thread: Some(thread) })
    }

    /// Asks; false when too many questions wait.
    pub(super) fn ask(&self, question: Question) -> bool {
        self.questions.as_ref().is_some_and(|questions| questions.try_send(question).is_ok())
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// The next answer, waiting for it.
    pub(super) fn wait(&self, patience: Duration) -> Option<Answer> {
        self.answers.recv_timeout(patience).ok()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        drop((self.questions.take(), self.stop.take()));
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

struct Worker {
    asked: Receiver<Question>,
    told: Sender<Answer>,
    stopped: Receiver<()>,
    surveyor: Surveyor,
    last: Option<Arc<Survey>>,
    searched: u64,
}

impl Worker {
    fn run(&mut self) {
        let sockets = look(&mut self.surveyor);
        self.survey(&[], false);
        let standing = standing(&mut self.surveyor, &sockets);
        self.tell(Answer::Standing(standing));
        let mut allowance = Allowance { left: BURST, at: Instant::now() };
        let mut pace = Pace::starting(Instant::now());
        while !self.surveyor.traveller.stranded() && self.rest(allowance.pause(pace.spent)) {
            pace.spent = Duration::ZERO;
            let mut questions = match self.asked.recv_timeout(pace.left(Instant::now())) {
                Ok(first) => {
                    std::iter::once(first).chain(self.asked.try_iter().take(MAX_QUESTIONS)).collect()
                }
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let began = Instant::now();
            let asked = questions.len();
            questions.retain(|question| !matches!(question, Question::Started));
            pace.note_started(began, questions.len() < asked);
            if !questions.is_empty() || pace.is_due(began) {
                self.work(&questions);
                pace.finished(began, Instant::now());
            }
        }
    }

    /// Waits; false when the thread shall end.
    fn rest(&self, pause: Duration) -> bool {
        matches!(self.stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }

    fn tell(&self, answer: Answer) {
        // What does not fit is asked for again.
        if self.told.try_send(answer).is_err() {
            tracing::debug!("an identity answer was dropped");
        }
    }

    fn work(&mut self, questions: &[Question]) {
        let only_cgroups = questions.iter().all(|question| matches!(question, Question::Cgroup(_)));
        if questions.is_empty() || !only_cgroups {
            let suspects: Vec<u32> = questions.iter().filter_map(suspect).collect();
            let thorough = questions.iter().any(|question| matches!(question, Question::Listener { .. }));
            self.survey(&suspects, thorough);
        }
        for question in questions {
            match question {
                Question::Listener { netns, address } => self.tell(Answer::Listener(*netns, *address)),
                Question::Process { pid, start } => self.tell(Answer::Process(*pid, *start)),
                Question::Started | Question::Socket(_) | Question::Cgroup(_) => {}
            }
        }
        self.find_sockets(questions);
        self.find_cgroups(questions);
    }

    fn survey(&mut self, suspects: &[u32], thorough: bool) {
        let survey = self.surveyor.survey(suspects, thorough);
        let searched = self.surveyor.searched_until();
        let same = self.last.as_deref() == Some(&survey);
        if same && self.searched == searched {
            return;
        }
        let survey = if same { self.last.take().unwrap_or_default() } else { Arc::new(survey) };
        self.last = Some(Arc::clone(&survey));
        self.searched = searched;
        self.tell(Answer::Survey(survey, searched, self.surveyor.blind()));
    }

    fn find_sockets(&mut self, questions: &[Question]) {
        let wanted: Vec<Wanted> = questions
            .iter()
            .filter_map(|question| if let Question::Socket(wanted) = question { Some(*wanted) } else { None })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let found = find(&mut self.surveyor, &wanted);
        let holders = holders_of(found.iter().map(|(_, inode)| *inode).filter(|inode| *inode != 0).collect());
        for (wanted, (netns, inode)) in wanted.into_iter().zip(found) {
            let process = holders.get(&inode).and_then(|pid| Process::read(*pid)).map(Arc::new);
            self.tell(Answer::Socket(wanted, netns, process));
        }
    }

    fn find_cgroups(&mut self, questions: &[Question]) {
        let mut wanted = questions
            .iter()
            .filter_map(|question| if let Question::Cgroup(id) = question { Some(*id) } else { None })
            .peekable();
        if wanted.peek().is_none() {
            return;
        }
        let tree = CgroupTree::walk();
        for id in wanted {
            self.tell(Answer::Cgroup(id, tree.placement(id).cloned().unwrap_or_default()));
        }
    }
}

fn suspect(question: &Question) -> Option<u32> {
    if let Question::Process { pid, .. } = question { Some(*pid) } else { None }
}

/// A process that holds each of these sockets.
fn holders_of(mut wanted: HashSet<u64>) -> HashMap<u64, u32> {
    let mut found = HashMap::new();
    for pid in process::all_pids() {
        if wanted.is_empty() {
            break;
        }
        let _gone = holders::sockets_of(pid, |inode| {
            if wanted.remove(&inode) {
                found.insert(inode, pid);
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_is_paid_for() {
        let mut allowance = Allowance { left: BURST, at: Instant::now() };
        assert_eq!(allowance.pause(Duration::from_millis(200)), Duration::ZERO);
        let pause = allowance.pause(Duration::from_millis(100));
        assert!(pause > Duration::from_millis(200) && pause <= Duration::from_millis(250));
        assert!(allowance.pause(Duration::from_millis(100)) > Duration::from_millis(400));
    }

    #[test]
    fn a_start_is_watched_and_quiet_is_not() {
        let now = Instant::now();
        let mut pace = Pace::starting(now);
        assert_eq!(pace.left(now), IDLE_PERIOD);
        pace.note_started(now, true);
        assert_eq!(pace.left(now), WATCH_PERIOD);
        let later = now + WATCH_PERIOD;
        // More starts do not put it off.
        pace.note_started(later, true);
        assert!(pace.is_due(later));
        pace.finished(later, later + Duration::from_millis(2));
        assert_eq!(pace.left(later), Duration::from_millis(2) + WATCH_PERIOD);
        pace.finished(later + WATCH, later + WATCH);
        assert_eq!(pace.left(later + WATCH), IDLE_PERIOD);
    }

    #[test]
    fn the_thread_ends_when_nobody_asks_any_more() {
        let resolver = Resolver::start(Reach::Node).unwrap();
        assert!(matches!(resolver.wait(Duration::from_secs(10)), Some(Answer::Survey(..))));
        assert!(resolver.ask(Question::Cgroup(u64::MAX)));
        let answered = std::iter::from_fn(|| resolver.wait(Duration::from_secs(10)));
        let known = answered.filter_map(|answer| {
            if let Answer::Cgroup(id, placement) = answer { Some((id, placement)) } else { None }
        });
        assert_eq!(known.take(1).collect::<Vec<_>>(), [(u64::MAX, Placement::default())]);
        drop(resolver);
    }
}
