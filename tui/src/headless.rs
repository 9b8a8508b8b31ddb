//! A run without a terminal: it waits for its end and prints.

mod told;
mod writer;

use crate::cli::NAME;
use crate::exit::{Exit, Failure, Outcome};
use crate::gate::Gate;
use crate::line_queue::{self, Inlet, Totals, WhenFull};
use crate::progress::Progress;
use crate::report::{Page, Print, Report, Shape};
use apisec_engine::degradation::Degradation;
use apisec_engine::filter::Filter;
use apisec_engine::ndjson::LineWriter;
use apisec_engine::snapshot::{Capture, SCHEMA, Snapshot};
use apisec_probe::pipeline::{CallSink, Running};
use serde_json::json;
use std::future::{Future, pending};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval, sleep};
use told::{Told, Word};
use writer::Writer;

/// How often the progress line is written anew.
const TICK: Duration = Duration::from_millis(500);

/// What is asked of the run.
pub struct Plan {
    /// The format.
    pub report: &'static Report,
    /// When to stop; at the end of the source, or when told, if absent.
    pub duration: Option<Duration>,
    /// What is shown.
    pub filter: Option<Filter>,
    /// The source ends by itself and can be made to wait: files.
    pub bounded: bool,
    /// What the run must not find.
    pub gate: Gate,
}

/// Starts the pipeline, given what must see every call and whether snapshots are wanted before the end.
pub trait Start: FnOnce(Option<CallSink>, bool) -> Result<Running, Failure> {}

impl<F: FnOnce(Option<CallSink>, bool) -> Result<Running, Failure>> Start for F {}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The source is exhausted.
    Source,
    /// Its time is over.
    Duration,
    /// Nobody reads what we print.
    Reader,
    /// We were told to.
    Told(Word),
}

/// A run that hears signals and has not begun: whoever interrupts it gets a result from the first moment on.
pub struct Ready {
    runtime: Runtime,
    told: Told,
}

impl Ready {
    /// Listens from now on; to be called before anything is attached.
    ///
    /// # Errors
    /// The system gives us no event loop.
    pub fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::new(format!("there is no event loop: {error}"), "ulimit -n"))?;
        let told = runtime.block_on(async { Told::listen() })?;
        Ok(Self { runtime, told })
    }

    /// Runs to the end and prints.
    ///
    /// # Errors
    /// It cannot start, the source fails, or the result cannot be printed.
    pub fn run(mut self, plan: &Plan, start: impl Start) -> Outcome {
        let told = &mut self.told;
        self.runtime.block_on(async {
            match plan.report.shape {
                Shape::AtEnd(print) => at_end(plan, told, start, print).await,
                Shape::PerCall(line) => per_call(plan, told, start, line).await,
            }
        })
    }
}

async fn at_end(plan: &Plan, told: &mut Told, start: impl Start, print: Print) -> Outcome {
    let mut progress = Progress::new(false);
    let running = start(None, progress.is_wanted())?;
    let end = wait(plan, &running, told, &mut progress, pending()).await;
    let (snapshot, ended) = stop(running);
    drop(progress);
    if snapshot.capture.calls == 0 {
        // A source that failed at once has nothing to show.
        ended.clone()?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match &plan.filter {
        Some(filter) => print(&filter.snapshot(&snapshot), &Page::stdout(), &mut out),
        None => print(&snapshot, &Page::stdout(), &mut out),
    };
    unless_closed(printed.and_then(|()| out.flush()))?;
    ended?;
    recorded(&snapshot)?;
    Ok(plan.gate.judge(&snapshot).unwrap_or(plan.exit(end)))
}

async fn per_call(plan: &Plan, told: &mut Told, start: impl Start, line: LineWriter) -> Outcome {
    let (inlet, outlet) = line_queue::queue(if plan.bounded { WhenFull::Wait } else { WhenFull::Drop });
    let overseer = outlet.overseer();
    let filtered = Arc::new(AtomicU64::new(0));
    let mut progress = Progress::new(io::stdout().is_terminal());
    let tail = tail(inlet, plan.filter.clone(), filtered.clone(), line);
    let running = start(Some(tail), progress.is_wanted())?;
    let mut writer = Writer::start(outlet)?;
    let end = wait(plan, &running, told, &mut progress, writer.ended()).await;
    overseer.hurry();
    let (snapshot, ended) = stop(running);
    told.heed();
    // What is queued is the reader's to take; somebody who tells us twice does not want to wait for it.
    tokio::select! {
        () = writer.ended() => {}
        _ = told.word() => {}
    }
    drop(progress);
    unless_closed(writer.result().unwrap_or(Ok(())))?;
    account(&snapshot, overseer.totals(), filtered.load(Ordering::Relaxed));
    ended?;
    recorded(&snapshot)?;
    Ok(plan.gate.judge(&snapshot).unwrap_or(plan.exit(end)))
}

/// The last snapshot, also when the source failed before its end.
fn stop(running: Running) -> (Arc<Snapshot>, Result<(), Failure>) {
    let snapshots = running.subscribe();
    let ended = running.stop().map(drop).map_err(Failure::from);
    let last = snapshots.borrow().clone();
    (last, ended)
}

/// What sees every call on the capture thread.
fn tail(inlet: Inlet, filter: Option<Filter>, filtered: Arc<AtomicU64>, line: LineWriter) -> CallSink {
    Box::new(move |call, endpoint, _conn| {
        if filter.as_ref().is_none_or(|filter| filter.call(call, endpoint)) {
            inlet.push(|out| line(call, endpoint, out));
        } else {
            filtered.fetch_add(1, Ordering::Relaxed);
        }
    })
}

async fn wait(
    plan: &Plan,
    running: &Running,
    told: &mut Told,
    progress: &mut Progress,
    reader_gone: impl Future<Output = ()>,
) -> End {
    let mut snapshots = running.subscribe();
    let over = async {
        match plan.duration {
            Some(duration) => sleep(duration).await,
            None => pending().await,
        }
    };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(over, reader_gone);
    loop {
        tokio::select! {
            word = told.word() => return End::Told(word),
            () = &mut over => return End::Duration,
            () = &mut reader_gone => return End::Reader,
            changed = snapshots.changed() => if changed.is_err() { return End::Source },
            _ = tick.tick(), if progress.is_wanted() => progress.show(&running.snapshot(), plan.duration),
        }
    }
}

impl Plan {
    /// A run that would have gone on for ever ends well when it is told to; another one ends early.
    fn exit(&self, end: End) -> Exit {
        let endless = self.duration.is_none() && !self.bounded;
        match end {
            End::Told(_) if endless => Exit::Done,
            End::Told(Word::Interrupt) => Exit::Interrupted,
            End::Told(Word::Terminate) => Exit::Terminated,
            End::Source | End::Duration | End::Reader => Exit::Done,
        }
    }
}

/// The totals of a tail on standard error: for programs, and a sentence for people when lines are missing.
fn account(snapshot: &Snapshot, totals: Totals, filtered: u64) {
    let Capture { calls, lost, losses, degradations, .. } = &snapshot.capture;
    let stats = json!({
        "schema": SCHEMA, "calls": calls, "written": totals.written, "filtered": filtered,
        "dropped": totals.dropped, "lost": lost, "losses": losses, "degradations": degradations,
    });
    let mut stderr = io::stderr().lock();
    let _closed = writeln!(stderr, "{stats}");
    if totals.dropped > 0 {
        let dropped = totals.dropped;
        let _closed = writeln!(
            stderr,
            "{NAME}: {dropped} calls were not printed, because their reader was slower than they came; \
             --filter makes them fewer"
        );
    }
}

/// A recording that lacks calls is a job that was not done.
///
/// # Errors
/// Calls are missing, or its end is.
pub fn recorded(snapshot: &Snapshot) -> Result<(), Failure> {
    let mut degradations = snapshot.capture.degradations.iter();
    match degradations.find(|degradation| degradation.code.starts_with("record-")) {
        None => Ok(()),
        Some(Degradation { what, remedy, .. }) => Err(Failure::new(what.clone(), remedy.clone())),
    }
}

/// A reader that closed our output had enough. Another error is one.
pub(crate) fn unless_closed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or write elsewhere",
                _ => "check where standard output leads",
            };
            Err(Failure::new(format!("standard output cannot be written: {error}"), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    #[test]
    fn only_an_early_end_is_told_by_the_exit_code() {
        let plan = |duration, bounded| Plan {
            report: report::DEFAULT,
            duration,
            filter: None,
            bounded,
            gate: Gate::default(),
        };
        let second = Some(Duration::from_secs(1));
        for (plan, interrupted) in [
            (plan(None, false), Exit::Done),
            (plan(second, false), Exit::Interrupted),
            (plan(None, true), Exit::Interrupted),
        ] {
            assert_eq!(plan.exit(End::Told(Word::Interrupt)), interrupted);
            assert_eq!(plan.exit(End::Duration), Exit::Done);
            assert_eq!(plan.exit(End::Reader), Exit::Done);
        }
        assert_eq!(plan(second, false).exit(End::Told(Word::Terminate)), Exit::Terminated);
    }

    #[test]
    fn a_closed_output_is_no_error_and_a_full_disk_is() {
        assert_eq!(unless_closed(Err(ErrorKind::BrokenPipe.into())), Ok(()));
        let failure = unless_closed(Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert!(failure.remedy.contains("free some space"));
    }
}
