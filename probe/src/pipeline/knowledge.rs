//! The knowledge thread: merges deltas, applies the operator's commands, publishes snapshots.

use super::capture::Report;
use super::resync::Resync;
use super::{Config, Detection, Peephole, Update};
use crate::clock;
use crate::forward::Forwarder;
use crate::metrics::Exporter;
use crate::store::audit::Audit;
use crate::store::docket::Docket;
use crate::store::inventory::{Batch, Keeper};
use apisec_engine::command::{Command, TemplateRule};
use apisec_engine::degradation::Degradation;
use apisec_engine::drift::Given;
use apisec_engine::knowledge::{Knowledge, Remembered};
use apisec_engine::limits::Limits;
use apisec_engine::snapshot::{Capture, Snapshot};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A snapshot at most this often, in nanoseconds.
const EVERY: u64 = 250_000_000;
/// How long commands may wait while there are no deltas.
const WAIT: Duration = Duration::from_millis(50);
/// The inventory is written at most this often, in nanoseconds: what a killed program loses at most.
const KEEP_EVERY: u64 = 5_000_000_000;
/// The same of findings, whose file is written as a whole.
const KEEP_FINDINGS_EVERY: u64 = 30_000_000_000;

/// What the knowledge starts with.
pub struct Setup {
    /// What is read, as it is shown.
    pub source: String,
    /// What is kept at most.
    pub limits: Limits,
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
    /// Sends findings to other systems.
    pub forwarder: Option<Forwarder>,
    /// Hands metrics to collectors.
    pub exporter: Option<Exporter>,
    /// Publish snapshots while running; otherwise only one at the end.
    pub live_view: bool,
    /// Where it is written down what is done to this node; without it nothing is.
    pub audit: Option<Audit>,
    /// What is already known to be missing.
    pub degradations: Vec<Degradation>,
}

impl Setup {
    pub(super) fn of(config: &mut Config) -> Self {
        let detection = std::mem::take(&mut config.detection);
        // The other half has its own use for these.
        config.detection.settings = detection.settings.clone();
        config.detection.naming = detection.naming.clone();
        Self {
            source: config.source.describe(),
            limits: config.bounds.engine,
            rules: config.rules.clone(),
            specs: std::mem::take(&mut config.specs),
            zombie_after: config.zombie_after,
            history: std::mem::take(&mut config.history),
            keeper: config.keeper.take(),
            detection,
            forwarder: config.forwarder.take(),
            exporter: config.exporter.take(),
            live_view: config.live_view,
            audit: config.audit.take(),
            degradations: config.degradations.clone(),
        }
    }
}

/// Where the others hear of what there is.
pub(super) struct Channels {
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(super) rules: watch::Sender<Vec<TemplateRule>>,
    pub(super) specs: watch::Sender<Vec<Given>>,
    pub(super) tail: watch::Sender<String>,
    pub(super) peephole: Peephole,
}

/// Owns the knowledge.
pub(super) struct Merger {
    knowledge: Knowledge,
    channels: Channels,
    /// Known before the pipeline started.
    degradations: Vec<Degradation>,
    capture: Capture,
    now: u64,
    dirty: bool,
    published: u64,
    keeper: Option<Keeper>,
    docket: Docket,
    forwarder: Option<Forwarder>,
    exporter: Option<Exporter>,
    kept: u64,
    /// Revision of the baseline that was kept last.
    learnt: u64,
    /// When the findings were kept last.
    found: u64,
    resync: Resync,
}

impl Merger {
    pub(super) fn new(setup: Setup, channels: Channels) -> Self {
        let mut knowledge = Knowledge::new(setup.limits, setup.rules);
        knowledge.zombie_after(setup.zombie_after);
        knowledge.remember(setup.history);
        knowledge.apply(Command::Specify(setup.specs));
        let Detection { settings, suppressions, docket, norms, naming: _ } = setup.detection;
        knowledge.teach(norms);
        let learnt = knowledge.baseline().revision;
        knowledge.set_detectors(settings);
        knowledge.review(docket.said().clone(), suppressions);
        let found = docket.found();
        let mut forwarder = setup.forwarder;
        forwarder.iter_mut().for_each(|forwarder| forwarder.told(&found));
        knowledge.recall(found);
        Self {
            knowledge,
            channels,
            degradations: setup.degradations,
            capture: Capture { source: setup.source, ..Capture::default() },
            now: 0,
            dirty: false,
            published: 0,
            keeper: setup.keeper,
            docket,
            forwarder,
            exporter: setup.exporter,
            kept: 0,
            learnt,
            found: clock::now(),
            resync: Resync::new(setup.audit),
        }
    }

    pub(super) fn run(mut self, updates: &Receiver<Update>, commands: &Receiver<Command>, live_view: bool) {
        loop {
            let update = updates.recv_timeout(WAIT);
            while let Ok(command) = commands.try_recv() {
                self.command(command);
            }
            match update {
                Ok(Update::Delta(report)) => self.merge(*report),
                Ok(Update::End(report)) => {
                    self.merge(*report);
                    // What the last seconds hold is judged with the snapshot.
                    self.publish();
                    self.keep_last();
                    self.send_last();
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The capture thread is gone without a last word: it panicked.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.dirty |= self.resync.listen();
            self.keep_if_due();
            if live_view || self.forwarder.is_some() || self.exporter.is_some() {
                self.publish_if_due();
            }
        }
        self.publish();
    }

    fn command(&mut self, command: Command) {
        if let Command::Resync(connection) = command {
            self.resync.start(connection, &self.capture.half_read);
            return;
        }
        if let Command::Reveal(identity) = command {
            self.channels.peephole.open(identity, self.resync.audit());
            return;
        }
        if let Command::Tail(filter) = command {
            self.channels.tail.send_replace(filter);
            return;
        }
        if let Command::Specify(given) = &command {
            self.channels.specs.send_replace(given.clone());
        }
        self.knowledge.apply(command);
        self.keep_findings();
        self.channels.rules.send_replace(self.knowledge.rules().to_vec());
        self.dirty = true;
    }

    fn merge(&mut self, report: Report) {
        let Report { deltas, mismatches, mut capture, now } = report;
        let started = clock::thread_cpu();
        deltas.into_iter().for_each(|delta| self.knowledge.merge(delta));
        mismatches.into_iter().for_each(|mismatch| self.knowledge.differ(mismatch));
        self.now = now;
        self.dirty = true;
        let merged = clock::thread_cpu();
        let before = self.capture.cost.get("merge").copied().unwrap_or_default();
        capture.cost.insert("merge".into(), before + (merged - started));
        capture.cost.insert("knowledge_thread".into(), merged);
        capture.degradations.splice(0..0, self.degradations.iter().cloned());
        self.capture = capture;
    }

    /// Hands everything to whoever keeps it; the disk is not waited for.
    fn keep_if_due(&mut self) {
        let wall = clock::now();
        if wall.saturating_sub(self.found) >= KEEP_FINDINGS_EVERY {
            self.keep_findings();
        }
        let Some(keeper) = &self.keeper else { return };
        if wall.saturating_sub(self.kept) >= KEEP_EVERY && keeper.is_ready() {
            let batch = batch(&self.knowledge, &mut self.learnt, false);
            keeper.offer(batch);
            self.kept = wall;
        }
    }

    fn keep_findings(&mut self) {
        self.docket.keep(self.knowledge.reviewed(), self.knowledge.findings());
        self.found = clock::now();
    }

    fn keep_last(&mut self) {
        self.keep_findings();
        if let Some(keeper) = &mut self.keeper {
            keeper.finish(batch(&self.knowledge, &mut self.learnt, true));
        }
    }

    /// What is found at the end is sent too, and given a little time to arrive.
    fn send_last(&mut self) {
        self.publish();
        if let Some(forwarder) = &mut self.forwarder {
            let _the_rest_waits = forwarder.finish();
        }
    }

    fn publish_if_due(&mut self) {
        let wall = clock::now();
        if self.dirty && wall.saturating_sub(self.published) >= EVERY {
            self.publish();
            self.published = wall;
        }
    }

    fn publish(&mut self) {
        let mut capture = self.capture.clone();
        capture.degradations.extend(self.keeper.as_ref().and_then(Keeper::trouble));
        capture.degradations.extend(self.docket.trouble().cloned());
        self.resync.describe(&mut capture);
        capture.degradations.extend(self.forwarder.iter().flat_map(Forwarder::troubles));
        capture.degradations.extend(self.exporter.iter().flat_map(Exporter::troubles));
        self.knowledge.set_capture(capture);
        let snapshot = self.knowledge.snapshot(self.now);
        if let Some(forwarder) = &mut self.forwarder {
            forwarder.offer(&snapshot.findings);
        }
        if let Some(exporter) = &self.exporter {
            exporter.offer(&snapshot);
        }
        self.channels.snapshots.send_replace(snapshot);
        self.dirty = false;
    }
}

/// All that is known, with what is usual where that has changed since `learnt`.
fn batch(knowledge: &Knowledge, learnt: &mut u64, last: bool) -> Batch {
    let baseline = knowledge.baseline();
    let norms = (baseline.revision != *learnt)
        .then(|| baseline.iter().map(|(key, norm)| (key.clone(), norm.clone())).collect());
    *learnt = baseline.revision;
    Batch { norms, ..Batch::of(knowledge, last) }
}
