//! A snapshot without a run: of what the state folder holds, or of a run that is only waited for.

use super::approvals::Approvals;
use super::{Opened, Origin, Session, filter, load};
use crate::cli::RunOptions;
use crate::exit::{Exit, Failure, Outcome};
use crate::headless::unless_closed;
use crate::report::{Page, Report, Shape};
use crate::settings::Settings;
use apisec_engine::call_log::CallChunk;
use apisec_engine::command::Command;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::knowledge::Knowledge;
use apisec_engine::limits::Limits;
use apisec_engine::snapshot::{Capture, Snapshot};
use apisec_probe::clock;
use apisec_probe::store::handover::Handover;
use apisec_probe::store::inventory::Inventory;
use apisec_probe::store::{Access, Store};
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

/// Everything that was seen when `origin` has ended, or `options.duration` is over.
///
/// # Errors
/// It cannot be read.
pub fn snapshot(origin: &Origin, options: &RunOptions) -> Result<Arc<Snapshot>, Failure> {
    let settings = Settings::of(options)?;
    let loaded = load(origin, &settings);
    let store = super::store(&settings, Access::Look)?;
    let opened: Opened = origin.open(None, settings.bodies())?;
    let session = Session {
        options,
        settings,
        store,
        keeps: false,
        live: false,
        loaded,
        documents: Vec::new(),
        watch: OnceCell::new(),
        approvals: OnceCell::new(),
    };
    let running = session.start(opened, None, false)?;
    wait(running.subscribe(), options.duration.map(|span| span.0))?;
    filtered(running.stop()?, options)
}

/// Waits for the end of the source, or until the time is over.
fn wait(mut snapshots: Receiver<Arc<Snapshot>>, duration: Option<Duration>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("there is no event loop: {error}"), "ulimit -n"))?;
    runtime.block_on(async {
        let over = async {
            match duration {
                Some(duration) => sleep(duration).await,
                None => pending().await,
            }
        };
        // A source that ends lets go of its snapshots.
        let ended = async { while snapshots.changed().await.is_ok() {} };
        tokio::select! { () = over => {} () = ended => {} }
    });
    Ok(())
}

/// Everything that the inventory of the state folder holds.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn stored(settings: &Settings, options: &RunOptions) -> Result<Arc<Snapshot>, Failure> {
    let Some(folder) = &settings.state else {
        return Err(Failure::usage("there is no state folder", "name one with --state DIR"));
    };
    let mut delta = Inventory::read(folder).and_then(|inventory| inventory.restored()).map_err(|error| {
        Failure::new(
            format!("the inventory in {} cannot be used: {error}", folder.display()),
            "a live run makes one: sudo apisec-top\nname its folder with --state DIR, or a recording",
        )
    })?;
    let store = Store::open(folder, Access::Look)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display()), "check its rights"))?;
    let loaded = load(&Origin::Live, settings);
    let mut known = Knowledge::new(Limits::default(), store.rules().to_vec());
    known.zombie_after(u64::try_from(settings.zombie_after.as_nanos()).unwrap_or(u64::MAX));
    // It may be a stranger's file.
    let strange = delta.distrust();
    let calls = delta.calls();
    known.merge(delta);
    known.apply(Command::Specify(Approvals::new(Some(folder), loaded.specs).all()));
    let told = Handover::of(folder);
    known.set_capture(Capture {
        source: format!("the inventory in {}", folder.display()),
        calls,
        degradations: (strange > 0)
            .then(|| left_out(strange))
            .into_iter()
            .chain(told.troubles.clone())
            .collect(),
        ..Capture::default()
    });
    let mut snapshot = Arc::unwrap_or_clone(known.snapshot(clock::now()));
    snapshot.findings = told.findings;
    snapshot.findings.sort_by_key(|finding| Reverse(finding.urgency()));
    (snapshot.policy_history, snapshot.changes) = (told.policies, told.changes);
    filtered(Arc::new(snapshot), options)
}

fn left_out(rows: u64) -> Degradation {
    Degradation {
        code: "inventory-rows-left-out".into(),
        severity: Severity::Partial,
        what: format!("{rows} rows of the inventory make no sense and are left out"),
        remedy: "somebody else has written into inventory.sqlite; compare it with a copy".into(),
    }
}

/// Prints a snapshot on standard output.
///
/// # Errors
/// It cannot be written.
pub fn print(report: &Report, snapshot: &Snapshot) -> Outcome {
    let Shape::AtEnd(print) = report.shape else {
        return Err(Failure::usage("this format is made of calls as they happen", "choose another one"));
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    unless_closed(print(snapshot, &Page::stdout(), &mut out).and_then(|()| out.flush()))?;
    Ok(Exit::Done)
}

fn filtered(snapshot: Arc<Snapshot>, options: &RunOptions) -> Result<Arc<Snapshot>, Failure> {
    let Some(wanted) = options.filter.as_deref().map(filter).transpose()? else { return Ok(snapshot) };
    let names: BTreeMap<&str, &str> =
        snapshot.workloads.iter().map(|own| (own.id.as_str(), own.name.as_str())).collect();
    let name = |id: &str| names.get(id).copied();
    let by_name = wanted.named(&name);
    let mut kept = wanted.snapshot(&snapshot);
    for chunk in &mut kept.log.chunks {
        let rows = chunk.rows.iter().filter(|row| by_name.row(chunk, row)).cloned().collect();
        *chunk = Arc::new(CallChunk { rows, ..CallChunk::clone(chunk) });
    }
    Ok(Arc::new(kept))
}
