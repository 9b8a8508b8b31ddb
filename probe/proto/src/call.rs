//! A call: an exchange that has been named. Who called whom, which operation, what came back.
//!
//! Redacted by construction: a call holds names, sizes, classes and keyed hashes, never a token,
//! cookie, body or personal value. It is what every later stage sees, and what may reach disk.

mod credential;
mod notes;
mod objects;

pub use crate::body::Bodies;
pub use credential::{Credential, MAX_CLAIMS, Traits};
pub use notes::Notes;
pub use objects::{MAX_ASKED, MAX_GIVEN, Objects};

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
    /// A Kubernetes Deployment.
    Deployment,
    /// A Kubernetes StatefulSet.
    StatefulSet,
    /// A Kubernetes DaemonSet.
    DaemonSet,
    /// A Kubernetes Job or CronJob.
    Job,
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
    /// Who looks after it, as the labels of its cluster say; empty when unknown.
    pub owner: CompactString,
}

impl Workload {
    /// A workload of which nothing is known but this.
    #[must_use]
    pub fn named(id: &str, name: &str, kind: WorkloadKind) -> Self {
        let unknown = CompactString::default;
        Self {
            id: id.into(),
            name: name.into(),
            kind,
            pid: 0,
            exe: unknown(),
            command: unknown(),
            user: unknown(),
            unit: unknown(),
            container: unknown(),
            runtime: unknown(),
            pod_uid: unknown(),
            netns: 0,
            address: unknown(),
            owner: unknown(),
        }
    }
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
    /// SOAP.
    Soap,
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

/// Messages that one side sent within a call: gRPC, WebSocket, server-sent events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// How many.
    pub count: u64,
    /// Their bytes without framing.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

impl Messages {
    /// One message of so many bytes.
    #[must_use]
    pub const fn one(bytes: u64) -> Self {
        Self { count: 1, bytes, largest: bytes }
    }

    /// Adds the messages of `other`.
    pub fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.largest = self.largest.max(other.largest);
    }
}

/// What a GraphQL document asks of its server, as far as it was captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphqlCost {
    /// Deepest nesting of fields.
    pub depth: u16,
    /// Aliases.
    pub aliases: u16,
    /// Lexical tokens.
    pub tokens: u32,
    /// Operations in one request.
    pub batch: u16,
}

/// What a request holds that is joined with other calls; no secret can be read back from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clues {
    /// Hosts that values of the request, or the redirect of the answer, name: an address in its usual spelling, or a
    /// name in lower case, with the port where one is named. At most four.
    pub hosts: SmallVec<[CompactString; 1]>,
    /// Keyed hash of a request to a place where short secrets are tried, such as vouchers.
    pub guess: Option<u64>,
    /// Keyed hash of the arguments of an MCP tool.
    pub arguments: Option<u64>,
}

/// The TLS session that a call was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `1.2`, `1.3`; empty when unknown.
    pub version: CompactString,
    /// Protocol that was agreed, empty when none or not known.
    pub alpn: CompactString,
    /// Server name that was asked for, empty when none.
    pub sni: CompactString,
    /// Subject of the server's certificate (CN, O and OU of it; `(empty)` when it has none of these), empty when it was not seen.
    pub subject: CompactString,
    /// Library and version that the plaintext was read from.
    pub library: CompactString,
    /// It goes on with what an earlier session agreed on: no certificate is shown.
    #[serde(skip)]
    pub resumed: bool,
    /// Whether the client showed a certificate of its own, where that is known.
    #[serde(skip)]
    pub mutual: Option<bool>,
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
    /// Method token, upper case as received, at most 24 bytes (longer ones are cut); where a dialect has kinds of
    /// operations, that kind: `QUERY`, `MUTATION`, `SUBSCRIPTION`, `SEND`, `RECEIVE`.
    pub method: CompactString,
    /// The operation below method and path: GraphQL root fields, a JSON-RPC method, an MCP tool, a SOAP action, the
    /// kind of a message. Empty where method and path say it all. At most 128 bytes.
    pub operation: CompactString,
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
    /// Messages of the requester and of the responder.
    pub messages: [Messages; 2],
    /// What the application answered: gRPC status, JSON-RPC error code, number of GraphQL errors, WebSocket close code.
    pub app_status: Option<i32>,
    /// The application said that it failed, whatever HTTP says.
    pub failed: bool,
    /// What was odd.
    pub notes: Notes,
    /// What the bodies look like, when they were read.
    pub bodies: Option<Box<Bodies>>,
    /// What a GraphQL document asks.
    pub graphql: Option<Box<GraphqlCost>>,
    /// What is joined with other calls.
    pub clues: Option<Box<Clues>>,
    /// The credential that it carried.
    pub credential: Option<Arc<Credential>>,
    /// Which objects it is about.
    pub objects: Objects,
    /// The TLS session, when there was one.
    pub tls: Option<Arc<Tls>>,
    /// Masked fields, when this call was sampled for the inspector.
    pub detail: Option<Box<Detail>>,
}

impl Call {
    /// A call that failed: unanswered, answered with 5xx or 4xx, or failed by the word of the application.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.failed || self.is_unanswered() || self.status.is_some_and(|status| status >= 400)
    }

    /// It got no answer, although it expects one.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        self.status.is_none() && !self.notes.any(Notes(Notes::ONE_WAY.0 | Notes::OPAQUE_STATUS.0))
    }

    /// A message that expects no answer: it has neither status nor latency.
    #[must_use]
    pub const fn is_one_way(&self) -> bool {
        self.notes.any(Notes::ONE_WAY)
    }
}
