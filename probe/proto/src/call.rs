//! A call: an exchange that has been named. Who called whom, which operation, what came back.
//!
//! Redacted by construction: a call holds names, sizes, classes and keyed hashes, never a token,
//! cookie, body or personal value. It is what every later stage sees, and what may reach disk.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// A program outside any unit or container.
    #[serde(rename = "process")]
    Process,
    /// A systemd service, scope or slice.
    #[serde(rename = "unit")]
    Unit,
    /// A container of any runtime.
    #[serde(rename = "container")]
    Container,
    /// A Kubernetes pod.
    #[serde(rename = "pod")]
    Pod,
    /// A peer that is not on a probed node.
    #[serde(rename = "external")]
    External,
}

/// One end of a call: a process, unit, container, pod or external peer, with what is known of it.
///
/// Equality and identity are by `id`; the rest is description and may be refined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Stable, readable key, the same across restarts of the workload: `process:nginx:8080`,
    /// `unit:ssh.service`, `container:3f2a…`, `external:192.0.2.7`.
    pub id: CompactString,
    /// Short display name.
    pub name: CompactString,
    /// What it is.
    pub kind: WorkloadKind,
    /// A process of it that was seen (the listener for a server), 0 when unknown.
    pub pid: u32,
    /// Executable path, empty when unknown.
    pub exe: CompactString,
    /// Command line with secrets masked, at most 256 bytes, empty when unknown.
    pub command: CompactString,
    /// User name or number, empty when unknown.
    pub user: CompactString,
    /// systemd unit, empty when none.
    pub unit: CompactString,
    /// Container id, empty when none.
    pub container: CompactString,
    /// Container runtime (`docker`, `containerd`, `cri-o`, `podman`), empty when none.
    pub runtime: CompactString,
    /// Kubernetes pod UID, empty when none.
    pub pod_uid: CompactString,
    /// Inode of its network namespace, 0 when unknown.
    pub netns: u64,
    /// An address it was seen at, empty when unknown.
    pub address: CompactString,
}

/// A shared workload with the small number that its node gave it.
#[derive(Clone, Debug)]
pub struct Party {
    /// Dense, node-local number of the workload; never reused for another id within a run.
    pub number: u32,
    /// The description.
    pub workload: Arc<Workload>,
}

/// What was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// GraphQL over HTTP.
    Graphql,
    /// WebSocket.
    Websocket,
    /// Server-sent events.
    Sse,
    /// JSON-RPC 2.0.
    Jsonrpc,
    /// Model Context Protocol.
    Mcp,
    /// Bytes that could not be read.
    Opaque,
}

/// Where the call was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// At the server's socket: the owner of the call.
    Server,
    /// At the client's socket: used where no probe covers the server.
    Client,
}

/// How a call proved who it is. The proof itself is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthScheme {
    /// No credential was seen.
    None,
    /// `Authorization: Basic`.
    Basic,
    /// `Authorization: Bearer` with an opaque token.
    Bearer,
    /// `Authorization: Bearer` with a JWT.
    Jwt,
    /// A key in a field such as `x-api-key`.
    ApiKey,
    /// A cookie that looks like a session.
    Cookie,
    /// Another `Authorization` scheme.
    Other,
    /// The fields were not read, because we were overloaded.
    Unread,
}

/// Keyed hash of the credential that a call carried (HMAC-SHA256, first 8 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdentityHash(pub u64);

/// What was odd about an exchange: a set of `Notes::*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notes(pub u32);

impl Notes {
    /// Bytes are missing inside the exchange; sizes and the end may be estimates.
    pub const GAP: Self = Self(1);
    /// The request body had not ended when the exchange closed.
    pub const REQUEST_CUT: Self = Self(1 << 1);
    /// The response had not ended when the exchange closed.
    pub const RESPONSE_CUT: Self = Self(1 << 2);
    /// The connection was reset while the exchange was open.
    pub const RESET: Self = Self(1 << 3);
    /// The response body is delimited by the end of the connection.
    pub const UNTIL_CLOSE: Self = Self(1 << 4);
    /// The connection left HTTP/1 with this exchange (101 or an accepted CONNECT).
    pub const UPGRADED: Self = Self(1 << 5);
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.3).
    pub const LENGTH_AND_CHUNKED: Self = Self(1 << 6);
    /// Content-Length that is repeated, differs, or is not a number.
    pub const BAD_LENGTH: Self = Self(1 << 7);
    /// Transfer-Encoding whose last coding is not exactly `chunked`, or repeated.
    pub const BAD_TRANSFER_ENCODING: Self = Self(1 << 8);
    /// A folded header line (obs-fold).
    pub const OBS_FOLD: Self = Self(1 << 9);
    /// Malformed chunk framing.
    pub const BAD_CHUNK: Self = Self(1 << 10);
    /// White space before a colon, or a bare CR or LF in the head.
    pub const ODD_WHITESPACE: Self = Self(1 << 11);
    /// More than one Host, or none in HTTP/1.1.
    pub const BAD_HOST: Self = Self(1 << 12);
    /// The response began before the request had ended.
    pub const EARLY_RESPONSE: Self = Self(1 << 13);
    /// A head larger than the cap, or than what was captured of it: fields may be missing.
    pub const HEAD_TRUNCATED: Self = Self(1 << 14);
    /// Seen from inside an open connection: the first message may be incomplete.
    pub const MID_STREAM: Self = Self(1 << 15);
    /// The method is CONNECT.
    pub const TUNNEL: Self = Self(1 << 16);
    /// The request target is in absolute form.
    pub const ABSOLUTE_FORM: Self = Self(1 << 17);
    /// The server sent an interim (1xx) response.
    pub const INTERIM: Self = Self(1 << 18);
    /// A response without a request that was seen.
    pub const ORPHAN_RESPONSE: Self = Self(1 << 19);
    /// Requests were pipelined behind this one.
    pub const PIPELINED: Self = Self(1 << 20);
    /// A transparent retransmission was merged.
    pub const RETRANSMIT: Self = Self(1 << 21);
    /// More data than the framing allows (a response to nothing, bytes after the end).
    pub const EXCESS: Self = Self(1 << 22);

    /// Notes whose presence means that two parsers may disagree about where a message ends.
    pub const SMUGGLING: Self = Self(
        Self::LENGTH_AND_CHUNKED.0
            | Self::BAD_LENGTH.0
            | Self::BAD_TRANSFER_ENCODING.0
            | Self::BAD_CHUNK.0
            | Self::ODD_WHITESPACE.0
            | Self::OBS_FOLD.0,
    );

    /// Names, by bit, as printed.
    pub const NAMES: [&'static str; 23] = [
        "gap",
        "request-cut",
        "response-cut",
        "reset",
        "until-close",
        "upgraded",
        "length-and-chunked",
        "bad-length",
        "bad-transfer-encoding",
        "obs-fold",
        "bad-chunk",
        "odd-whitespace",
        "bad-host",
        "early-response",
        "head-truncated",
        "mid-stream",
        "tunnel",
        "absolute-form",
        "interim",
        "orphan-response",
        "pipelined",
        "retransmit",
        "excess",
    ];

    /// Adds the notes of `other`.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether any note of `other` is present.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the notes that are present.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name)
    }
}

/// A header field with its value masked unless it is known to be harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownField {
    /// Field name, lower case, at most 64 bytes.
    pub name: CompactString,
    /// Value if harmless, else its class and length, such as `<jwt 612 B>`. At most 256 bytes.
    pub value: CompactString,
}

/// What the inspector shows of one call; kept for a sample of calls only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Request fields, masked.
    pub request_fields: Vec<ShownField>,
    /// Response fields, masked.
    pub response_fields: Vec<ShownField>,
}

/// One call. All times are Unix nanoseconds or nanoseconds; all sizes bytes.
#[derive(Clone, Debug)]
pub struct Call {
    /// First byte of the request.
    pub at: u64,
    /// Who called.
    pub src: Party,
    /// Who was called.
    pub dst: Party,
    /// The caller's address.
    pub src_addr: SocketAddr,
    /// The address that was called.
    pub dst_addr: SocketAddr,
    /// Where it was observed.
    pub vantage: Vantage,
    /// What was spoken.
    pub protocol: Protocol,
    /// Method token, upper case as received, at most 24 bytes (longer ones are cut).
    pub method: CompactString,
    /// Path without query, normalised (percent-decoding of unreserved characters, dot segments, double
    /// slashes), with sensitive segments replaced by their class in braces. At most 512 bytes.
    pub path: CompactString,
    /// Names of the query parameters, in order, at most 16.
    pub query: SmallVec<[CompactString; 2]>,
    /// Host that was asked for, lower case, with port, empty when none.
    pub host: CompactString,
    /// Status, `None` when unanswered.
    pub status: Option<u16>,
    /// From the first byte of the request to the first byte of the response.
    pub ttfb: Option<u64>,
    /// From the first byte of the request to the last byte of the response, or to the end of the wait.
    pub duration: u64,
    /// Request bytes: head and body on the wire.
    pub request_bytes: u64,
    /// Response bytes: head and body on the wire.
    pub response_bytes: u64,
    /// Request body, transfer coding removed.
    pub request_body: u64,
    /// Response body, transfer coding removed.
    pub response_body: u64,
    /// How the caller proved who it is.
    pub auth: AuthScheme,
    /// Who the call says it is, hashed.
    pub identity: Option<IdentityHash>,
    /// Media type of the request without parameters, empty when none.
    pub request_type: CompactString,
    /// Media type of the response without parameters, empty when none.
    pub response_type: CompactString,
    /// Keyed hash of `traceparent`'s trace id or of `x-request-id`, to follow a call through proxies.
    pub trace: Option<u64>,
    /// What was odd.
    pub notes: Notes,
    /// Masked fields, when this call was sampled for the inspector.
    pub detail: Option<Box<Detail>>,
}

impl Call {
    /// A call that failed: unanswered, or answered with 5xx or 4xx.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status.is_none_or(|status| status >= 400)
    }
}
