//! The bounded log of recent redacted calls, as immutable chunks that a snapshot shares without copying.

pub use apisec_proto::body::{Bodies, Body};
pub use apisec_proto::call::{AuthScheme, Detail, IdentityHash, Notes, Protocol, ShownField, Vantage};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One call in the log. Workload and endpoint numbers index the tables of its [`CallChunk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRow {
    /// First byte of the request, Unix nanoseconds.
    pub at: u64,
    /// Nanoseconds to the last byte of the response, or of waiting.
    pub duration: u64,
    /// Nanoseconds to the first byte of the response; `u64::MAX` when unanswered.
    pub ttfb: u64,
    /// Index into [`CallChunk::workloads`].
    pub src: u32,
    /// Index into [`CallChunk::workloads`].
    pub dst: u32,
    /// Index into [`CallChunk::endpoints`]: the typed path that the node gave it.
    pub endpoint: u32,
    /// Where the path stands in [`CallChunk::text`].
    pub path_start: u32,
    /// Its length.
    pub path_len: u16,
    /// Status, 0 when unanswered.
    pub status: u16,
    /// Request bytes.
    pub request_bytes: u32,
    /// Response bytes.
    pub response_bytes: u32,
    /// What was odd.
    pub notes: Notes,
    /// Where it was observed.
    pub vantage: Vantage,
    /// How the caller proved who it is.
    pub auth: AuthScheme,
    /// Who the call says it is.
    pub identity: Option<IdentityHash>,
    /// What the application answered.
    pub app_status: Option<i32>,
    /// The application said that it failed.
    pub failed: bool,
    /// Index into [`CallChunk::details`] plus one; 0 when this call was not sampled.
    pub detail: u32,
}

impl CallRow {
    /// See [`Call::is_error`](apisec_proto::call::Call::is_error).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.failed || self.is_unanswered() || self.status >= 400
    }

    /// See [`Call::is_unanswered`](apisec_proto::call::Call::is_unanswered).
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        self.status == 0 && !self.notes.any(Notes(Notes::ONE_WAY.0 | Notes::OPAQUE_STATUS.0))
    }

    /// See [`Call::is_one_way`](apisec_proto::call::Call::is_one_way).
    #[must_use]
    pub const fn is_one_way(&self) -> bool {
        self.notes.any(Notes::ONE_WAY)
    }
}

/// The endpoint of a call before templating: what the node could say without history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoggedEndpoint {
    /// Callee workload id.
    pub service: CompactString,
    /// What was spoken.
    pub protocol: Protocol,
    /// Method or operation kind.
    pub method: CompactString,
    /// Operation below method and path, empty when none.
    pub operation: CompactString,
    /// Typed-segment path such as `/users/{id:int}/orders`.
    pub path: CompactString,
    /// Host that was asked for, empty when none.
    pub host: CompactString,
}

/// The calls of one delta, in order of `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallChunk {
    /// Calls.
    pub rows: Vec<CallRow>,
    /// Workload ids that the rows name.
    pub workloads: Vec<CompactString>,
    /// Endpoints that the rows name.
    pub endpoints: Vec<LoggedEndpoint>,
    /// Paths, end to end.
    pub text: String,
    /// Masked fields of the sampled calls.
    pub details: Vec<Detail>,
    /// What the bodies of the same calls look like, in the same order.
    #[serde(default)]
    pub bodies: Vec<Bodies>,
    /// Calls of this delta that did not fit the log.
    pub dropped: u64,
}

impl CallChunk {
    /// The path of `row` as called (redacted).
    #[must_use]
    pub fn path(&self, row: &CallRow) -> &str {
        let start = row.path_start as usize;
        self.text.get(start..start + usize::from(row.path_len)).unwrap_or_default()
    }
}

/// Recent calls, oldest chunk first.
#[derive(Clone, Debug, Default)]
pub struct CallLog {
    /// Chunks.
    pub chunks: Vec<Arc<CallChunk>>,
    /// Calls in all chunks.
    pub len: usize,
    /// Calls that have left the log because of its bound, since the start.
    pub evicted: u64,
}
