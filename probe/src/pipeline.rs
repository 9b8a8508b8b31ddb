//! One source in, snapshots out.
//!
//! Two threads: the capture thread reads the source, decodes, names and aggregates; the knowledge thread
//! merges one delta a second and publishes snapshots. Between them stands a bounded channel: when it is
//! full the delta simply goes on growing, so nothing is lost and capture never waits.

mod capture;
mod conns;
mod cost;
mod coverage;
mod desk;
mod details;
mod examination;
mod governor;
mod half_read;
mod hold;
mod knowledge;
mod pace;
mod peephole;
mod resync;
mod samples;

use crate::forward::Forwarder;
use crate::identity::Identity;
use crate::metrics::Exporter;
use crate::record::Recorder;
use crate::source::{Source, SourceError};
use crate::store::audit::Audit;
use crate::store::docket::Docket;
use crate::store::inventory::Keeper;
use apisec_engine::baseline::{Norm, NormKey};
use apisec_engine::case::Settings;
use apisec_engine::command::{Command, TemplateRule};
use apisec_engine::degradation::Degradation;
use apisec_engine::drift::Given;
use apisec_engine::knowledge::Remembered;
use apisec_engine::limits::Limits;
use apisec_engine::snapshot::Snapshot;
use apisec_engine::suppression::Suppression;
use apisec_proto::call::Call;
use apisec_proto::decoder::limits::Limits as DecoderLimits;
pub use apisec_proto::naming_source::NamingSources;
use apisec_proto::segment::ConnId;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::sync::watch;

pub use capture::Report;
pub use knowledge::Setup;
pub use pace::Pace;
pub use peephole::{Peephole, Sight};

/// Deltas that may wait to be merged; more are folded into the next.
const WAITING_DELTAS: usize = 4;
/// Commands of the operator that may wait.
const WAITING_COMMANDS: usize = 64;

/// Takes every call as it happens, with the name of its operation and its connection; 0: it comes from a record.
pub type CallSink = Box<dyn FnMut(&Call, &str, ConnId) + Send>;

/// What a pipeline is made of.
pub struct Config {
    /// Where traffic comes from.
    pub source: Box<dyn Source>,
    /// Who is at the ends of connections.
    pub identity: Box<dyn Identity>,
    /// Key of the hashes of identities, the same for a whole installation.
    pub key: [u8; 32],
    /// The operator's templating rules.
    pub rules: Vec<TemplateRule>,
    /// Specifications of the services.
    pub specs: Vec<Given>,
    /// Nanoseconds after which an idle documented operation counts as a zombie.
    pub zombie_after: u64,
    /// What earlier runs observed.
    pub history: Vec<Remembered>,
    /// Keeps what this run observes.
    pub keeper: Option<Keeper>,
    /// How findings are made and what became of earlier ones.
    pub detection: Detection,
    /// Sends findings away.
    pub forwarder: Option<Forwarder>,
    /// Hands metrics to collectors.
    pub exporter: Option<Exporter>,
    /// Is called with every call, on the capture thread: must not block.
    pub on_call: Option<CallSink>,
    /// Records every call.
    pub recorder: Option<Recorder>,
    /// Bodies that are read whole, per endpoint and minute; 0 for none.
    pub sample_bodies: u32,
    /// Publish snapshots while running; otherwise only one at the end.
    pub live_view: bool,
    /// What is kept at most.
    pub bounds: Bounds,
    /// Share of one core above which we shed work, 0.0 to 1.0 (or more on several cores).
    pub cpu_share: f64,
    /// Where it is written down what was done to the node; `None` when nothing may be done to it.
    pub audit: Option<Audit>,
    /// What is already known to be missing (state folder, second instance …).
    pub degradations: Vec<Degradation>,
}

/// How findings are made and what became of earlier ones.
#[derive(Debug, Default)]
pub struct Detection {
    /// What the operator set of the detectors.
    pub settings: Settings,
    /// What is not to be told of.
    pub suppressions: Vec<Suppression>,
    /// Keeps what the operator says of findings.
    pub docket: Docket,
    /// What earlier runs learnt.
    pub norms: Vec<(NormKey, Norm)>,
    /// What names the callers of which services.
    pub naming: NamingSources,
}

/// What it keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections that are followed at the same time.
    pub connections: usize,
    /// Of what is known of them.
    pub engine: Limits,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: DecoderLimits::default().connections, engine: Limits::default() }
    }
}

/// A running pipeline. Dropping it stops the threads and the source, which detaches from the kernel.
pub struct Running {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    rules: watch::Receiver<Vec<TemplateRule>>,
    commands: Sender<Command>,
    peephole: Peephole,
    stop: Arc<AtomicBool>,
    capture: Option<JoinHandle<Result<(), SourceError>>>,
    knowledge: Option<JoinHandle<()>>,
}

/// What the capture thread hands to the knowledge thread.
pub enum Update {
    /// One second's aggregate, with the state of the capture.
    Delta(Box<Report>),
    /// There will be no more.
    End(Box<Report>),
}

/// Where a feed puts what it has, and what it must heed.
pub struct Feed {
    /// To the knowledge; bounded.
    pub updates: Sender<Update>,
    /// The operator's templating rules.
    pub rules: watch::Receiver<Vec<TemplateRule>>,
    /// What is documented.
    pub specs: watch::Receiver<Vec<Given>>,
    /// Only calls that pass this filter are looked at one by one; empty for all.
    pub tail: watch::Receiver<String>,
    /// Where somebody looks for one identity.
    pub peephole: Peephole,
    /// Becomes true when it shall end, with [`Update::End`].
    pub stop: Arc<AtomicBool>,
}

/// The capturing half alone: deltas for somebody else to merge. Dropping it stops the thread and detaches.
pub struct Observing {
    /// What is observed. While nobody takes it, it is added up.
    pub updates: Receiver<Update>,
    rules: watch::Sender<Vec<TemplateRule>>,
    stop: Arc<AtomicBool>,
    capture: Option<JoinHandle<Result<(), SourceError>>>,
}

/// Starts the threads.
///
/// # Errors
/// The system gives us no thread.
pub fn start(mut config: Config) -> Result<Running, SourceError> {
    let setup = Setup::of(&mut config);
    merge(setup, "apisec-capture", move |Feed { updates, rules, specs, tail: _, peephole, stop }| {
        let capture = capture::Capture::new(config, updates, rules, stop, Pace::default());
        capture.examining(specs).revealing(peephole).run()
    })
}

/// Starts the merging half; `feed` runs on a thread of its own, called `name`, and brings it what was observed.
///
/// # Errors
/// The system gives us no thread.
pub fn merge(
    setup: Setup,
    name: &str,
    feed: impl FnOnce(Feed) -> Result<(), SourceError> + Send + 'static,
) -> Result<Running, SourceError> {
    let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let (publish_rules, rules) = watch::channel(setup.rules.clone());
    let (publish_specs, specs) = watch::channel(setup.specs.clone());
    let (publish_tail, tail) = watch::channel(String::new());
    let (updates, taken) = bounded(WAITING_DELTAS);
    let (commands, asked) = bounded(WAITING_COMMANDS);
    let stop = Arc::new(AtomicBool::new(false));
    let (live_view, peephole) = (setup.live_view, Peephole::default());
    let channels = knowledge::Channels {
        snapshots: publish,
        rules: publish_rules,
        specs: publish_specs,
        tail: publish_tail,
        peephole: peephole.clone(),
    };
    let merger = knowledge::Merger::new(setup, channels);
    let feed = {
        let (rules, stop, peephole) = (rules.clone(), stop.clone(), peephole.clone());
        let given = Feed { updates, rules, specs, tail, peephole, stop };
        spawn(name, move || feed(given))?
    };
    let knowledge = spawn("apisec-merge", move || merger.run(&taken, &asked, live_view))?;
    let (capture, knowledge) = (Some(feed), Some(knowledge));
    Ok(Running { snapshots, rules, commands, peephole, stop, capture, knowledge })
}

/// Starts the capturing half.
///
/// # Errors
/// The system gives us no thread.
pub fn observe(config: Config, pace: Pace) -> Result<Observing, SourceError> {
    let (rules, followed) = watch::channel(config.rules.clone());
    // One: whatever the taker cannot take is added up where it is bounded.
    let (send, updates) = bounded(1);
    let stop = Arc::new(AtomicBool::new(false));
    let capture = capture::Capture::new(config, send, followed, stop.clone(), pace);
    let capture = spawn("apisec-capture", move || capture.run())?;
    Ok(Observing { updates, rules, stop, capture: Some(capture) })
}

impl Observing {
    /// The operator's templating rules are these from now on.
    pub fn follow(&self, rules: Vec<TemplateRule>) {
        self.rules.send_replace(rules);
    }

    /// Ends; what was captured meanwhile is the last update, for whoever goes on taking them.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What ended the source before it was asked to.
    pub fn join(&mut self) -> Result<(), SourceError> {
        self.stop();
        // Whatever waits to be taken would keep the thread.
        while self.updates.recv().is_ok() {}
        self.capture.take().map_or(Ok(()), joined)
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        let _told = self.join();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SourceError> {
    std::thread::Builder::new().name(name.into()).spawn(body).map_err(|error| SourceError {
        what: format!("no thread could be started: {error}"),
        remedy: "raise the limit of processes (ulimit -u)".into(),
    })
}

impl Running {
    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// A receiver that wakes when a new snapshot is there (at most four a second).
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// A receiver of the operator's templating rules, for whoever keeps them.
    #[must_use]
    pub fn rules(&self) -> watch::Receiver<Vec<TemplateRule>> {
        self.rules.clone()
    }

    /// Sends a command to the knowledge; it shows in a later snapshot. `false` when it cannot take one now.
    pub fn send(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Where one identity can be seen that was asked for by [`Command::Reveal`].
    #[must_use]
    pub fn peephole(&self) -> Peephole {
        self.peephole.clone()
    }

    /// A sender of commands that outlives this borrow.
    #[must_use]
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// The source has ended by itself (a file was read, or it failed); [`Running::stop`] will not wait long.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.knowledge.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops, detaches, and returns the last snapshot.
    ///
    /// # Errors
    /// What ended the source before it was asked to.
    pub fn stop(mut self) -> Result<Arc<Snapshot>, SourceError> {
        let outcome = self.join();
        outcome.map(|()| self.snapshot())
    }

    fn join(&mut self) -> Result<(), SourceError> {
        self.stop.store(true, Ordering::Release);
        let captured = self.capture.take().map_or(Ok(()), joined);
        if let Some(knowledge) = self.knowledge.take() {
            let _panicked = knowledge.join();
        }
        captured
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _told = self.join();
    }
}

fn joined(thread: JoinHandle<Result<(), SourceError>>) -> Result<(), SourceError> {
    thread.join().unwrap_or_else(|_| {
        Err(SourceError {
            what: "the capture thread panicked".into(),
            remedy: "this is a bug of apisec-top: please report it with the message above".into(),
        })
    })
}
