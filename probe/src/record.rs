//! Records a session: what was seen, redacted, to be replayed later or elsewhere.
//!
//! What is written are calls with their workloads, never the bytes they were read from: tokens, cookies,
//! bodies and personal values must not reach the disk, and a call does not hold them. The capture is
//! never blocked: a thread of its own packs and writes, and what it cannot take is dropped, counted and
//! said. A run that is killed leaves a file that can be read up to about its last second.

mod output;
#[cfg(test)]
mod tests;
mod writer;

use crate::source::SourceStats;
use crate::source::session::form::{self, Begin, DegradationForm, Lent, Record, TickForm};
use crate::source::session::frame::{FILE_HEADER, MAX_RAW};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::rename::Rename;
use apisec_proto::call::{Call, Party, Workload};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use output::{Output, SessionFile};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use writer::{Batch, Tally};

/// A frame is closed when it holds this much.
const FRAME: usize = 1 << 20;
/// Frames that wait for the disk: 8 MiB, some 40,000 calls.
const WAITING: usize = 8;

/// What a session says of itself.
#[derive(Clone, Debug)]
pub struct SessionHeader {
    /// Program and version that records.
    pub program: String,
    /// What is recorded, as the source describes itself.
    pub source: String,
    /// Unix nanoseconds.
    pub started: u64,
}

/// A session cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}{remedy}", if remedy.is_empty() { "" } else { "\n  " })]
pub struct RecordError {
    /// What happened and whose fault it is.
    pub what: String,
    /// What to do next.
    pub remedy: String,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// Calls in it.
    pub calls: u64,
    /// Calls that could not be written.
    pub dropped: u64,
    /// Its length.
    pub bytes: u64,
}

/// A recording in progress. Dropping it writes what it has, but no end: readers will say so.
pub struct Recorder {
    path: PathBuf,
    frame: Frame,
    batches: Option<Sender<Batch>>,
    spare: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    tally: Arc<Tally>,
    overrun: u64,
}

impl Recorder {
    /// Starts a recording at `path`. An existing file is only replaced with `force`.
    ///
    /// # Errors
    /// The file exists, or cannot be made; the text says why.
    pub fn create(path: &Path, header: &SessionHeader, force: bool) -> Result<Self, RecordError> {
        let file = SessionFile::create(path, force)?;
        Self::start(path, header, file).map_err(|error| RecordError::unwritable(path, &error))
    }

    fn start(path: &Path, header: &SessionHeader, output: impl Output) -> io::Result<Self> {
        let (batches, inbox) = bounded(WAITING);
        // One for every batch that waits, one that is written, one that is filled.
        let (emptied, spare) = bounded(WAITING + 2);
        let tally = Arc::new(Tally::default());
        let thread = writer::spawn(output, inbox, emptied, Arc::clone(&tally))?;
        let mut recorder = Self {
            path: path.to_owned(),
            frame: Frame::default(),
            batches: Some(batches),
            spare,
            thread: Some(thread),
            tally,
            overrun: 0,
        };
        let SessionHeader { program, source, started } = header;
        recorder.frame.append(&Record::Begin(Begin { program, source, started: *started }));
        recorder.flush();
        Ok(recorder)
    }

    /// Adds a call.
    pub fn record(&mut self, call: &Call) {
        if self.frame.call(call) {
            if self.frame.bytes.len() >= FRAME {
                self.flush();
            }
        } else {
            self.overrun += 1;
        }
    }

    /// Says that a workload of recorded calls turned out to be another.
    pub fn rename(&mut self, rename: &Rename) {
        self.frame.append(&Record::Renamed { from: &rename.from, to: &rename.to });
    }

    /// Adds what the source and the decoder have counted so far; about once a second.
    pub fn tick(&mut self, now: u64, stats: &SourceStats, degradations: &[Degradation]) {
        let counts = |counts: &std::collections::BTreeMap<String, u64>| {
            counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
        };
        let tick = TickForm {
            at: now,
            dropped: self.dropped(),
            chunks: stats.chunks,
            losses: counts(&stats.losses),
            counters: counts(&stats.counters),
            degradations: degradations.iter().map(DegradationForm::from).collect(),
        };
        self.frame.append(&Record::Tick(tick));
        self.flush();
    }

    /// Calls that are in the file so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.tally.written()
    }

    /// Calls that could not be written so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.overrun + self.tally.dropped()
    }

    /// What is missing in the recording and why.
    #[must_use]
    pub fn degradations(&self) -> Vec<Degradation> {
        let mut all = Vec::new();
        all.extend(self.tally.failure().map(|failure| failure.degradation(&self.path, self.tally.dropped())));
        if self.overrun > 0 {
            all.push(overload(self.overrun));
        }
        all
    }

    /// Ends the recording at `now` and waits until the disk has it.
    ///
    /// # Errors
    /// The disk did not take the end of the file.
    pub fn finish(mut self, now: u64) -> Result<Summary, RecordError> {
        let batch = Batch { end: Some((now, self.overrun)), ..self.frame.close(Vec::new()) };
        if let Some(batches) = &self.batches {
            let _writer_gone = batches.send(batch);
        }
        self.join().map_err(|error| RecordError::unwritable(&self.path, &error))?;
        Ok(Summary {
            path: self.path.clone(),
            calls: self.tally.written(),
            dropped: self.dropped(),
            bytes: FILE_HEADER as u64 + self.tally.bytes(),
        })
    }

    /// Hands the frame to the writer, or drops it when the disk is behind.
    fn flush(&mut self) {
        let Some(batches) = &self.batches else { return };
        if self.frame.bytes.is_empty() {
            return;
        }
        let batch = self.frame.close(self.spare.try_recv().unwrap_or_default());
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) = batches.try_send(batch) {
            self.overrun += batch.calls;
            self.frame.reuse(batch.bytes);
        }
    }

    fn join(&mut self) -> io::Result<()> {
        self.batches = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer ended unexpectedly")))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
        let _already_counted = self.join();
    }
}

/// The frame that is being filled.
#[derive(Default)]
struct Frame {
    bytes: Vec<u8>,
    calls: u64,
    /// Workloads that this frame has described, by number.
    described: HashMap<u32, Arc<Workload>, foldhash::fast::RandomState>,
}

impl Frame {
    /// Adds a call with what it needs; whether it could.
    fn call(&mut self, call: &Call) -> bool {
        self.describe(&call.src);
        self.describe(&call.dst);
        let added = self.append(&form::call(call));
        self.calls += u64::from(added);
        added
    }

    fn describe(&mut self, party: &Party) {
        let known = self.described.get(&party.number);
        if known.is_some_and(|known| Arc::ptr_eq(known, &party.workload)) {
            return;
        }
        if self.append(&form::workload(party.number, &party.workload)) {
            self.described.insert(party.number, Arc::clone(&party.workload));
        }
    }

    /// Adds a record whole, or not at all.
    fn append(&mut self, record: &Lent<'_>) -> bool {
        let before = self.bytes.len();
        let added = form::append(record, &mut self.bytes) && self.bytes.len() <= MAX_RAW;
        if !added {
            self.bytes.truncate(before);
        }
        added
    }

    /// Gives what is there, and begins a new frame in `empty`.
    fn close(&mut self, empty: Vec<u8>) -> Batch {
        self.described.clear();
        let bytes = std::mem::replace(&mut self.bytes, empty);
        Batch { bytes, calls: std::mem::take(&mut self.calls), end: None }
    }

    fn reuse(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.bytes = bytes;
    }
}

impl RecordError {
    fn unwritable(path: &Path, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "make the folder first",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "give a path in a folder that you may write to"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or record elsewhere",
            _ => "record elsewhere",
        };
        Self { what: format!("cannot record to {}: {error}", path.display()), remedy: remedy.into() }
    }
}

fn overload(dropped: u64) -> Degradation {
    Degradation {
        code: "record-overload".into(),
        severity: Severity::Partial,
        what: format!("{dropped} calls were not recorded because the disk was too slow"),
        remedy: "record to a faster disk".into(),
    }
}
