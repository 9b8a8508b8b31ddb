//! The thread that packs frames and writes them, and what it says of itself.

use super::output::Output;
use crate::source::session::form::{self, Record};
use crate::source::session::frame::Packer;
use apisec_engine::degradation::{Degradation, Severity};
use crossbeam_channel::{Receiver, Sender};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};

/// The records of one frame.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) calls: u64,
    /// Set in the last one: when the recording ended, and the calls that never got as far as this thread.
    pub(super) end: Option<(u64, u64)>,
}

/// Why frames were dropped, as last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    DiskFull,
    Other,
}

/// What the thread has done; read from outside at any time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    written: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
    failure: AtomicU8,
}

impl Tally {
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        match self.failure.load(Relaxed) {
            0 => None,
            1 => Some(Failure::DiskFull),
            _ => Some(Failure::Other),
        }
    }

    fn wrote(&self, batch: &Batch, bytes: usize) {
        self.written.fetch_add(batch.calls, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn lost(&self, batch: &Batch, error: &io::Error) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.failure.store(if full { 1 } else { 2 }, Relaxed);
        self.dropped.fetch_add(batch.calls, Relaxed);
    }
}

impl Failure {
    /// What it means for the recording at `path`, which has lost `dropped` calls.
    pub(super) fn degradation(self, path: &Path, dropped: u64) -> Degradation {
        let (code, why, remedy) = match self {
            Self::DiskFull => {
                ("record-disk-full", "the disk is full", "make room: the recording goes on by itself")
            }
            Self::Other => ("record-failed", "the file cannot be written", "record to another disk"),
        };
        Degradation {
            code: code.into(),
            severity: Severity::Partial,
            what: format!("{dropped} calls were not recorded to {}: {why}", path.display()),
            remedy: remedy.into(),
        }
    }
}

/// Starts the thread. It ends when nobody can send batches any more, and gives what the last sync said.
pub(super) fn spawn(
    output: impl Output,
    batches: Receiver<Batch>,
    emptied: Sender<Vec<u8>>,
    tally: Arc<Tally>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let packer = Packer::new()?;
    Builder::new().name("record".into()).spawn(move || run(output, packer, &batches, &emptied, &tally))
}

fn run(
    mut output: impl Output,
    mut packer: Packer,
    batches: &Receiver<Batch>,
    emptied: &Sender<Vec<u8>>,
    tally: &Tally,
) -> io::Result<()> {
    let (mut number, mut frame) = (0, Vec::new());
    for mut batch in batches {
        if let Some((at, overrun)) = batch.end {
            form::append(&Record::End { at, dropped: overrun + tally.dropped() }, &mut batch.bytes);
        }
        // Every batch is tried, also after a failure: a disk that was full may have room again.
        match packer.frame(number, &batch.bytes, &mut frame).and_then(|()| output.append(&frame)) {
            Ok(()) => {
                number = number.wrapping_add(1);
                tally.wrote(&batch, frame.len());
            }
            Err(error) => tally.lost(&batch, &error),
        }
        batch.bytes.clear();
        let _enough_spare = emptied.try_send(batch.bytes);
    }
    output.sync()
}
