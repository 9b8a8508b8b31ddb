//! The call log within its bounds: rows, age, bytes.

use super::renaming::rename_in;
use crate::call_log::{CallChunk, CallLog, CallRow};
use crate::limits::Limits;
use std::sync::Arc;

/// Bytes of text, tables and sampled fields, beside the rows, after which the oldest chunk goes.
const SIDE_BYTES: usize = 24 << 20;

/// The newest calls.
pub(super) struct Recent {
    limits: Limits,
    log: CallLog,
    side_bytes: usize,
    dropped: u64,
}

impl Recent {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, log: CallLog::default(), side_bytes: 0, dropped: 0 }
    }

    /// Adds a chunk, in order of time; the oldest chunks make room.
    pub(super) fn push(&mut self, chunk: Arc<CallChunk>) {
        self.dropped = self.dropped.saturating_add(chunk.dropped);
        let Some(first) = chunk.rows.first().map(|row| row.at) else { return };
        self.log.len += chunk.rows.len();
        self.side_bytes += side_bytes(&chunk);
        let at =
            self.log.chunks.partition_point(|known| known.rows.first().is_some_and(|row| row.at <= first));
        self.log.chunks.insert(at, chunk);
        while self.log.chunks.len() > 1
            && (self.log.len > self.limits.log_rows || self.side_bytes > SIDE_BYTES)
        {
            self.forget_oldest();
        }
    }

    /// The workload `from` is the workload `to`.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.log.chunks.iter_mut().for_each(|chunk| rename_in(chunk, from, to));
    }

    /// Forgets chunks whose newest call is older than `at`.
    pub(super) fn forget_before(&mut self, at: u64) {
        let old = |chunk: &Arc<CallChunk>| chunk.rows.last().is_none_or(|row: &CallRow| row.at < at);
        while self.log.chunks.first().is_some_and(old) {
            self.forget_oldest();
        }
    }

    pub(super) fn log(&self) -> CallLog {
        self.log.clone()
    }

    /// Calls that a node could not put into its log.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn forget_oldest(&mut self) {
        if self.log.chunks.is_empty() {
            return;
        }
        let chunk = self.log.chunks.remove(0);
        self.log.len -= chunk.rows.len();
        self.log.evicted += chunk.rows.len() as u64;
        self.side_bytes -= side_bytes(&chunk);
    }
}

/// An estimate of what a chunk holds on the heap beside its rows.
fn side_bytes(chunk: &CallChunk) -> usize {
    let fields =
        |detail: &apisec_proto::call::Detail| detail.request_fields.len() + detail.response_fields.len();
    chunk.text.len()
        + chunk.workloads.len() * 64
        + chunk.endpoints.len() * 128
        + chunk.details.iter().map(|detail| 64 + 96 * fields(detail)).sum::<usize>()
}
