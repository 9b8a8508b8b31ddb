//! The capture thread: source → decoder → names → observer, and once a second a delta.

use super::cost::Stage;
use super::desk::Desk;
use super::details::Details;
use super::examination::Examination;
use super::governor::{Governor, Shedding};
use super::samples::Samples;
use super::{Config, Pace, Peephole, Update};
use crate::clock;
use crate::flow::Flow;
use crate::record::{RecordError, Recorder};
use crate::source::{Opaque, Progress, Sink, Source, SourceError, SourceStats};
use apisec_abi::{Exec, Exit, Open, SAMPLE_BYTES};
use apisec_engine::command::TemplateRule;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::delta::Delta;
use apisec_engine::drift::Given;
use apisec_engine::knowledge::Mismatch;
use apisec_engine::rename::Rename;
use apisec_engine::snapshot::Capture as CaptureView;
use apisec_proto::call::{Call, Tls};
use apisec_proto::decoder::{Decoder, limits::Limits as DecoderLimits};
use apisec_proto::segment::{ConnId, Segment};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// The first delta of a live run comes sooner: the first picture must not wait.
const FIRST_DELTA: u64 = 300_000_000;
/// A file is read faster than its clock runs: a delta at least after so many calls bounds memory.
const DELTA_CALLS: u64 = 65_536;
/// Polls after we were told to stop: together they read a whole ring.
const LAST_POLLS: usize = 16;

/// What was observed in about one second, with the state of the capture.
pub struct Report {
    /// Of one node one, of several as many as came.
    pub deltas: Vec<Delta>,
    /// Values that were not as documented.
    pub mismatches: Vec<Mismatch>,
    /// What was captured, and what was not, since the start.
    pub capture: CaptureView,
    /// The time of the source, Unix nanoseconds.
    pub now: u64,
}

/// The capture thread's state.
pub(super) struct Capture {
    source: Box<dyn Source>,
    stages: Stages,
    send: Sender<Update>,
    /// The operator's, as the knowledge last took them.
    rules: watch::Receiver<Vec<TemplateRule>>,
    stop: Arc<AtomicBool>,
    governor: Governor,
    pace: Pace,
    /// Start of the delta that is being filled.
    from: u64,
    first: bool,
    load: Load,
}

/// What the governor compares with: thread CPU seconds, wall nanoseconds, losses.
struct Load {
    cpu: f64,
    wall: u64,
    lost: u64,
}

/// What segments go through; apart from the source, which drives it.
struct Stages {
    decoder: Decoder,
    desk: Desk,
}

impl Capture {
    pub(super) fn new(
        config: Config,
        send: Sender<Update>,
        mut rules: watch::Receiver<Vec<TemplateRule>>,
        stop: Arc<AtomicBool>,
        pace: Pace,
    ) -> Self {
        rules.mark_changed();
        let mut desk = Desk::new(
            &config.bounds,
            config.key,
            config.identity,
            config.on_call,
            config.recorder,
            Samples::new(config.sample_bodies),
        );
        desk.observer.set_detectors(&config.detection.settings);
        desk.name_by(config.detection.naming);
        let mut limits = DecoderLimits { connections: config.bounds.connections, ..DecoderLimits::default() };
        if config.sample_bodies > 0 {
            limits.body_prefix = SAMPLE_BYTES as usize;
        }
        Self {
            source: config.source,
            stages: Stages { decoder: Decoder::new(limits), desk },
            send,
            rules,
            stop,
            governor: Governor::new(config.cpu_share),
            pace,
            from: 0,
            first: true,
            load: Load { cpu: clock::thread_cpu(), wall: clock::now(), lost: 0 },
        }
    }

    /// Also compares values with what is documented of them.
    pub(super) fn examining(mut self, specs: watch::Receiver<Vec<Given>>) -> Self {
        self.stages.desk.examination = Examination::start(specs);
        self
    }

    /// Also shows one identity to an operator who looks for it.
    pub(super) fn revealing(mut self, peephole: Peephole) -> Self {
        self.stages.desk.peephole = peephole;
        self
    }

    /// Reads the source until it ends or we are told to stop.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        self.from = self.source.now();
        self.follow_rules();
        let outcome = loop {
            if self.stop.load(Ordering::Acquire) {
                self.read_what_is_there();
                break Ok(());
            }
            match self.source.poll(&mut self.stages) {
                Ok(Progress::End) => break Ok(()),
                Ok(Progress::Some | Progress::Idle) => self.tick_if_due(),
                Err(error) => break Err(error),
            }
            self.stages.desk.release_due(self.source.now());
            for (port, bodies) in self.stages.desk.samples.wishes() {
                self.source.want(port, bodies);
            }
            for conn in self.stages.desk.upgraded.drain(..) {
                self.source.follow_http2(conn);
            }
            for conn in self.stages.desk.left.drain(..) {
                self.source.dismiss(conn);
            }
            for conn in self.stages.desk.streaming.drain(..) {
                self.source.stream(conn);
            }
        };
        self.end();
        outcome
    }

    /// What was captured before we were told to stop counts; what comes meanwhile must not keep us.
    fn read_what_is_there(&mut self) {
        for _ in 0..LAST_POLLS {
            if !matches!(self.source.poll(&mut self.stages), Ok(Progress::Some)) {
                break;
            }
        }
    }

    fn tick_if_due(&mut self) {
        let now = self.source.now();
        let every = if self.first { FIRST_DELTA } else { self.pace.get() };
        if now.saturating_sub(self.from) >= every || self.stages.desk.calls_in_delta >= DELTA_CALLS {
            self.tick(now);
        }
    }

    /// A split takes effect where paths are typed: here.
    fn follow_rules(&mut self) {
        if self.rules.has_changed().unwrap_or(false) {
            self.stages.desk.observer.follow(&self.rules.borrow_and_update());
        }
    }

    fn tick(&mut self, now: u64) {
        self.follow_rules();
        self.stages.sweep(now);
        self.govern();
        if self.send.is_full() {
            return;
        }
        let report = Box::new(self.report(now));
        // The knowledge thread is gone only when we are stopping.
        let _gone = self.send.send(Update::Delta(report));
        self.first = false;
    }

    /// Gives up what is in flight and hands over the rest.
    fn end(&mut self) {
        let now = self.source.now();
        self.source.finish(&mut self.stages);
        self.stages.finish(now);
        self.stages.desk.examination.finish();
        let mut report = self.report(now);
        if let Some(recorder) = self.stages.desk.recorder.take() {
            report.capture.degradations.extend(recorder.finish(now).err().map(unfinished));
        }
        let _gone = self.send.send(Update::End(Box::new(report)));
    }

    fn govern(&mut self) {
        let (cpu, wall) = (clock::thread_cpu(), clock::now());
        let lost = self.source.stats().losses.values().sum();
        let seconds = wall.saturating_sub(self.load.wall) as f64 / 1e9;
        if seconds > 0.1 {
            self.governor.tick((cpu - self.load.cpu) / seconds, lost > self.load.lost);
            self.load = Load { cpu, wall, lost };
        }
        self.stages.desk.shedding = self.governor.level();
        self.stages.desk.observer.log_calls(self.governor.level() < Shedding::Calls);
    }

    fn report(&mut self, now: u64) -> Report {
        let desk = &mut self.stages.desk;
        if self.from == 0 {
            // A file knows its time only when its first record was read.
            self.from = desk.began;
        }
        let delta = desk.observer.take_delta(self.from, now);
        desk.calls_in_delta = 0;
        desk.details = Details::default();
        self.from = now;
        let capture = self.view();
        if let Some(recorder) = &mut self.stages.desk.recorder {
            let stats = SourceStats {
                chunks: capture.chunks,
                losses: capture.losses.clone(),
                counters: capture.counters.clone(),
            };
            recorder.tick(now, &stats, &capture.degradations);
        }
        Report { deltas: vec![delta], mismatches: self.stages.desk.examination.found(), capture, now }
    }

    /// The state of the capture, as the snapshot shows it.
    fn view(&mut self) -> CaptureView {
        let SourceStats { chunks, mut losses, mut counters } = self.source.stats();
        let desk = &self.stages.desk;
        let decoder = self.stages.decoder.stats();
        losses.extend(decoder.losses().map(owned));
        losses.insert("connections_evicted".into(), desk.conns.evicted);
        losses.insert("exchanges_unnamed".into(), desk.unnamed);
        counters.extend(decoder.counters().map(owned));
        counters.insert("connections".into(), desk.conns.len() as u64);
        counters.insert("bodies_read_whole".into(), desk.samples.read);
        counters.insert("calls_examined".into(), desk.examination.examined);
        counters.insert("calls_not_examined".into(), desk.examination.left_out);
        counters.insert("calls_named_early".into(), desk.hold.gave_up);
        counters.insert("calls_half_read_unlisted".into(), desk.half_read.beyond);
        let mut degradations = self.source.degradations();
        degradations.extend(desk.identity.degradations());
        degradations.extend(self.governor.degradation());
        let half_read = desk.half_read.view();
        let mut coverage = desk.coverage.view(|pid| self.source.tls_of(pid));
        coverage.extend(self.source.blind());
        let lost = losses.values().sum();
        degradations.extend((lost > 0).then(|| losing(&losses)));
        degradations.extend(desk.recorder.iter().flat_map(Recorder::degradations));
        CaptureView {
            source: self.source.describe(),
            calls: desk.calls,
            chunks,
            lost,
            losses,
            counters,
            degradations,
            filter: String::new(),
            coverage,
            half_read,
            cost: desk.cost.seconds(),
            nodes: Vec::new(),
        }
    }
}

fn owned((name, count): (&'static str, u64)) -> (String, u64) {
    (name.to_owned(), count)
}

fn unfinished(error: RecordError) -> Degradation {
    Degradation {
        code: "record-unfinished".into(),
        severity: Severity::Partial,
        what: error.what,
        remedy: error.remedy,
    }
}

fn losing(losses: &BTreeMap<String, u64>) -> Degradation {
    let reasons: Vec<String> = losses
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    Degradation {
        code: "losses".into(),
        severity: Severity::Partial,
        what: format!("some traffic could not be read: {}", reasons.join(", ")),
        remedy: String::new(),
    }
}

impl Stages {
    fn sweep(&mut self, now: u64) {
        let Self { decoder, desk } = self;
        decoder.sweep(now, &mut |exchange| desk.exchange(exchange));
        let Desk { conns, identity, half_read, .. } = desk;
        conns.sweep(now, |conn| {
            half_read.forget(conn);
            identity.closed(conn);
        });
        identity.tick(now);
    }

    fn finish(&mut self, now: u64) {
        let Self { decoder, desk } = self;
        decoder.finish(now, &mut |exchange| desk.exchange(exchange));
        desk.release_all(now);
    }
}

impl Sink for Stages {
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow) {
        let Self { decoder, desk } = self;
        desk.begin(segment.at);
        desk.conns.touch(segment.conn, flow, segment.at);
        desk.cost.begin();
        decoder.segment(segment, &mut |exchange| desk.exchange(exchange));
        desk.cost.charge(Stage::Decode);
        if segment.rst || segment.fin {
            desk.half_read.forget(segment.conn);
        }
        if segment.rst {
            desk.conns.reset(segment.conn);
        } else if segment.fin {
            desk.conns.end(segment.conn, segment.from);
        }
    }

    fn opened(&mut self, open: &Open) {
        self.desk.identity.opened(open);
    }

    fn secured(&mut self, conn: ConnId, tls: &Arc<Tls>) {
        self.desk.conns.secure(conn, tls.clone());
    }

    fn opaque(&mut self, conn: ConnId, flow: &Flow, opaque: &Opaque) {
        self.desk.opaque(conn, flow, opaque);
    }

    fn started(&mut self, exec: &Exec) {
        self.desk.identity.started(exec);
    }

    fn ended(&mut self, exit: &Exit) {
        self.desk.identity.ended(exit);
    }

    fn call(&mut self, call: &Call) {
        self.desk.begin(call.at);
        self.desk.publish(call, ConnId(0));
    }

    fn renamed(&mut self, rename: Rename) {
        self.desk.rename(rename);
    }

    fn discard(&mut self, conn: ConnId) {
        self.decoder.close(conn, 0, &mut |_| {});
        self.desk.conns.remove(conn);
        self.desk.half_read.forget(conn);
        self.desk.identity.closed(conn);
    }
}
