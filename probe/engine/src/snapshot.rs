//! The one read model: everything that a view, report or export shows, at one moment, immutable.
//!
//! Its serialised form is the stable contract `apisec-top/1`: fields are only ever added.

use crate::call_log::CallLog;
use crate::coverage::{CoverageView, HalfReadView};
use crate::degradation::Degradation;
use crate::finding::Finding;
use crate::looks::Looks;
use crate::node::NodeView;
use crate::policy::standing::{Answer, HistoryView, PolicyView};
use crate::spec::{Operation, Spec};
use apisec_proto::call::{Messages, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name and version of the JSON contract.
pub const SCHEMA: &str = "apisec-top/1";

/// The observation window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// RFC 3339, UTC.
    pub start: String,
    /// RFC 3339, UTC.
    pub end: String,
    /// Unix nanoseconds of `start`.
    pub start_ns: u64,
    /// Unix nanoseconds of `end`.
    pub end_ns: u64,
}

/// Kind of a workload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Kind {
    /// A program outside any unit or container.
    #[default]
    #[serde(rename = "process")]
    Process,
    /// A systemd service, scope or slice.
    #[serde(rename = "unit")]
    Unit,
    /// A container.
    #[serde(rename = "container")]
    Container,
    /// A Kubernetes pod.
    #[serde(rename = "pod")]
    Pod,
    /// A Kubernetes Deployment.
    Deployment,
    /// A Kubernetes StatefulSet.
    StatefulSet,
    /// A Kubernetes DaemonSet.
    DaemonSet,
    /// A Kubernetes Job.
    Job,
    /// A peer that is not on a probed node.
    #[serde(rename = "external")]
    External,
}

impl From<WorkloadKind> for Kind {
    fn from(kind: WorkloadKind) -> Self {
        match kind {
            WorkloadKind::Process => Self::Process,
            WorkloadKind::Unit => Self::Unit,
            WorkloadKind::Container => Self::Container,
            WorkloadKind::Pod => Self::Pod,
            WorkloadKind::External => Self::External,
            WorkloadKind::Deployment => Self::Deployment,
            WorkloadKind::StatefulSet => Self::StatefulSet,
            WorkloadKind::DaemonSet => Self::DaemonSet,
            WorkloadKind::Job => Self::Job,
        }
    }
}

/// A workload that took part in a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadView {
    /// Stable key.
    pub id: String,
    /// Display name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// A process of it, 0 when unknown.
    pub pid: u32,
    /// Executable path.
    pub exe: String,
    /// Command line, secrets masked.
    pub command: String,
    /// User.
    pub user: String,
    /// systemd unit.
    pub unit: String,
    /// Container id.
    pub container: String,
    /// Pod UID.
    pub pod_uid: String,
    /// Network namespace inode.
    pub netns: u64,
    /// An address it was seen at.
    pub address: String,
    /// Who looks after it, as the labels of its cluster say.
    pub owner: String,
    /// Calls it answered.
    pub calls_in: u64,
    /// Calls it made.
    pub calls_out: u64,
}

/// Calls from one workload to another over one protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeView {
    /// Caller's workload id.
    pub src: String,
    /// Callee's workload id.
    pub dst: String,
    /// What was spoken.
    pub protocol: String,
    /// Calls.
    pub calls: u64,
    /// Calls answered 4xx or 5xx, or not at all.
    pub errors: u64,
    /// Calls that were not answered.
    pub unanswered: u64,
    /// Calls in the last whole second of the window.
    pub rate: f64,
    /// Median of the total time, microseconds.
    pub p50_us: u64,
    /// 99th percentile of the total time, microseconds.
    pub p99_us: u64,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes.
    pub response_bytes: u64,
    /// First call, Unix nanoseconds.
    pub first_seen: u64,
    /// Last call, Unix nanoseconds.
    pub last_seen: u64,
    /// How its calls were protected, and what they carried.
    #[serde(default)]
    pub carriage: CarriageView,
}

/// How calls were protected, and which sensitive classes they carried as far as their bodies were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CarriageView {
    /// Calls that were read from within TLS; all others went in clear.
    pub encrypted: u64,
    /// Of these: calls to which the client showed a certificate of its own.
    #[serde(default)]
    pub mutual: u64,
    /// Calls that carried no credential.
    pub anonymous: u64,
    /// Sensitive classes in requests.
    pub request: Vec<String>,
    /// Sensitive classes in responses.
    pub response: Vec<String>,
    /// Requests that carried a class, by class.
    #[serde(default)]
    pub request_calls: BTreeMap<String, u64>,
    /// Responses that carried a class, by class.
    #[serde(default)]
    pub response_calls: BTreeMap<String, u64>,
}

/// Something that was done by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeView {
    /// When, Unix nanoseconds.
    pub at: u64,
    /// What was done: `resync`, `approved`…
    pub what: String,
    /// To what.
    pub name: String,
    /// What came of it.
    pub details: String,
    /// By whom, empty where that is not known.
    pub by: String,
}

/// Calls that were followed through proxies: `path` is caller, proxies in order, final callee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChainView {
    /// Workload ids, at least three.
    pub path: Vec<String>,
    /// Calls that took this way.
    pub calls: u64,
}

/// Where an endpoint stands against the specification.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// In a specification, and called in the window.
    Active,
    /// Called, in no specification of its service.
    Shadow,
    /// In a specification, called earlier, no longer called.
    Zombie,
    /// In a specification, never called in the stored history.
    Orphan,
    /// Undocumented and only ever refused.
    Unconfirmed,
    /// No specification of this service was given.
    #[default]
    Unspecified,
}

/// Messages that one side sent within the calls of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessagesView {
    /// How many.
    pub count: u64,
    /// Their bytes without framing.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

impl From<Messages> for MessagesView {
    fn from(Messages { count, bytes, largest }: Messages) -> Self {
        Self { count, bytes, largest }
    }
}

impl Drift {
    /// Every state with its word in the contract.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Active, "active"),
        (Self::Shadow, "shadow"),
        (Self::Zombie, "zombie"),
        (Self::Orphan, "orphan"),
        (Self::Unconfirmed, "unconfirmed"),
        (Self::Unspecified, "unspecified"),
    ];

    /// Its word in the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("unspecified", |(_, word)| word)
    }
}

/// Where an operation is documented; empty when it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Documentation {
    /// File of the specification.
    pub file: String,
    /// JSON pointer of the operation in it.
    pub pointer: String,
    /// Its `operationId`.
    pub id: String,
    /// Who looks after it: the owner of its service, else its first tag. Known of undocumented ones too.
    pub owner: String,
    /// What of its calls is not as documented: `status 500`, `query debug`, `answer text/html`.
    pub differences: Vec<String>,
    /// The specification, and the place of the operation in it.
    #[serde(skip)]
    #[schemars(skip)]
    pub source: Option<(Arc<Spec>, u32)>,
}

impl Documentation {
    /// What is documented.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        let (spec, place) = self.source.as_ref()?;
        spec.operations.get(*place as usize)
    }
}

/// Calls in earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// First call, Unix nanoseconds; 0 when there was none.
    pub first_seen: u64,
    /// Last call, Unix nanoseconds.
    pub last_seen: u64,
    /// Calls.
    pub calls: u64,
}

/// A specification that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecificationView {
    /// Where it was read from.
    pub file: String,
    /// Title of the API.
    pub title: String,
    /// Version of the API.
    pub version: String,
    /// `OpenAPI 3.1` and so on, empty when it could not be read.
    pub format: String,
    /// Operations that it documents.
    pub operations: u64,
    /// Base paths under which they are served.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Services that it was taken for.
    pub services: Vec<BindingView>,
    /// What is wrong with it, at most a hundred.
    pub problems: Vec<ProblemView>,
    /// Problems beyond those.
    pub more_problems: u64,
}

/// Why a specification was taken for that of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BindingView {
    /// Workload id.
    pub service: String,
    /// `operator` (it was said), `server` (one of its servers is asked for), `content` (a Protobuf service that it
    /// describes answers there) or `name` (it bears its name).
    pub by: String,
    /// Operations that are called there and documented in it.
    #[serde(default)]
    pub documented: u64,
    /// Operations that are called there and documented nowhere.
    #[serde(default)]
    pub undocumented: u64,
}

/// Something that is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemView {
    /// File.
    pub file: String,
    /// Line from 1, 0 when unknown.
    pub line: u32,
    /// JSON pointer, empty for the whole document.
    pub pointer: String,
    /// What is wrong.
    pub what: String,
}

/// What the drift states rest on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryView {
    /// Start of what is known, stored history included, Unix nanoseconds: «never called» means not since then.
    pub since_ns: u64,
    /// Seconds after which an idle operation counts as a zombie.
    pub zombie_after_s: u64,
    /// Endpoints by drift state.
    pub states: BTreeMap<String, u64>,
    /// Deprecated operations that are called.
    pub deprecated_in_use: u64,
    /// Operations with schema drift.
    pub schema_drift: u64,
}

/// One endpoint of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointView {
    /// Callee's workload id.
    pub service: String,
    /// What was spoken.
    pub protocol: String,
    /// Method or operation kind.
    pub method: String,
    /// Operation below method and path: GraphQL root fields, JSON-RPC method, MCP tool, message kind; else empty.
    #[serde(default)]
    pub operation: String,
    /// Path template such as `/users/{id:int}/orders`, without braces where literal.
    pub path: String,
    /// Calls.
    pub calls: u64,
    /// Calls per status; unanswered calls are in `unanswered`.
    pub statuses: BTreeMap<String, u64>,
    /// Messages of the requester and of the responder, where the protocol has any.
    #[serde(default)]
    pub messages: [MessagesView; 2],
    /// Calls answered 4xx or 5xx, not at all, or with a failure by the word of the application.
    pub errors: u64,
    /// Calls that were not answered.
    pub unanswered: u64,
    /// Calls in the last whole second of the window.
    pub rate: f64,
    /// Median of the total time, microseconds.
    pub p50_us: u64,
    /// 99th percentile of the total time, microseconds.
    pub p99_us: u64,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes.
    pub response_bytes: u64,
    /// Drift state.
    pub drift: Drift,
    /// Marked deprecated in the specification, still called.
    pub deprecated_in_use: bool,
    /// Documented, but a parameter, status, type or property is not.
    pub schema_drift: bool,
    /// Where and how it is documented.
    #[serde(default)]
    pub documentation: Documentation,
    /// Its calls in earlier runs, as far as they are kept; for a documented operation all of them.
    #[serde(default)]
    pub history: History,
    /// Authentication schemes seen.
    pub auth: Vec<String>,
    /// Fields, cookies and parameters that credentials stood in, at most 8.
    #[serde(default)]
    pub credentials: Vec<String>,
    /// Claims of tokens that may say whose they are, at most 8; `sub` counts where nothing else was set.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Calling workload ids, most calls first, at most 32.
    pub callers: Vec<String>,
    /// Distinct callers (estimate above 32).
    pub caller_count: u64,
    /// Hosts asked for, at most 8.
    pub hosts: Vec<String>,
    /// Query parameter names seen, at most 32.
    pub query: Vec<String>,
    /// Request media types, at most 8.
    pub request_types: Vec<String>,
    /// Response media types, at most 8.
    pub response_types: Vec<String>,
    /// Estimated distinct values per path parameter, in order.
    pub parameter_cardinality: Vec<u64>,
    /// First call, Unix nanoseconds.
    pub first_seen: u64,
    /// Last call, Unix nanoseconds.
    pub last_seen: u64,
    /// Names of what was odd, with counts.
    pub notes: BTreeMap<String, u64>,
    /// How its calls were protected, and what they carried.
    #[serde(default)]
    pub carriage: CarriageView,
    /// What its bodies looked like; not part of the contract, `export openapi` has it as schemas.
    #[serde(skip)]
    #[schemars(skip)]
    pub looks: Option<Arc<Looks>>,
}

/// What was captured, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// `live`, `session`, `pcap`, with what it was read from.
    pub source: String,
    /// Calls named.
    pub calls: u64,
    /// Payload chunks read from the source.
    pub chunks: u64,
    /// Everything lost, for whatever reason: the sum of `losses`.
    pub lost: u64,
    /// Losses by reason; every reason is listed, most are 0.
    pub losses: BTreeMap<String, u64>,
    /// Other counters of the source and the decoder.
    pub counters: BTreeMap<String, u64>,
    /// What we cannot see or do, and why.
    pub degradations: Vec<Degradation>,
    /// Expression that the rows of this object passed, empty when all are there; the counts above are whole.
    #[serde(default)]
    pub filter: String,
    /// What was read of each workload's traffic, and why the rest was not.
    pub coverage: Vec<CoverageView>,
    /// Open connections that are read in part, because they began before us.
    #[serde(default)]
    pub half_read: Vec<HalfReadView>,
    /// CPU seconds spent by us per stage since the start.
    pub cost: BTreeMap<String, f64>,
    /// The nodes of a cluster that are watched, by name; empty when it is this one only.
    #[serde(default)]
    pub nodes: Vec<NodeView>,
}

/// Totals of one second of the window, for rates and sparklines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tick {
    /// Start of the second, Unix nanoseconds.
    pub at: u64,
    /// Calls.
    pub calls: u64,
    /// Errors.
    pub errors: u64,
    /// Median of the total time, microseconds.
    pub p50_us: u64,
    /// 99th percentile, microseconds.
    pub p99_us: u64,
}

/// The read model. Only the contract is serialised; the rest is for the terminal.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Observation window.
    pub window: Window,
    /// Workloads, by id.
    pub workloads: Vec<WorkloadView>,
    /// Edges, by (src, dst, protocol).
    pub edges: Vec<EdgeView>,
    /// Ways through proxies.
    pub chains: Vec<ChainView>,
    /// Endpoints, by (service, path, method, operation, protocol).
    pub endpoints: Vec<EndpointView>,
    /// Specifications that were given.
    #[serde(default)]
    pub specifications: Vec<SpecificationView>,
    /// What the drift states rest on.
    #[serde(default)]
    pub inventory: InventoryView,
    /// Findings, those first that matter most.
    pub findings: Vec<Finding>,
    /// Policies.
    pub policies: Vec<PolicyView>,
    /// What else was done by hand, oldest first: connections that were closed, operations that were approved. Told of a
    /// state folder only.
    #[serde(default)]
    pub changes: Vec<ChangeView>,
    /// Capture.
    pub capture: Capture,
    /// Counts up with every change.
    #[serde(skip)]
    pub revision: u64,
    /// Last 300 seconds, oldest first.
    #[serde(skip)]
    pub ticks: Vec<Tick>,
    /// What was done about policies, newest first.
    #[serde(skip)]
    pub policy_history: Vec<HistoryView>,
    /// What was answered to the operator's last order.
    #[serde(skip)]
    #[schemars(skip)]
    pub policy_answer: Option<Answer>,
    /// Recent calls.
    #[serde(skip)]
    #[schemars(skip)]
    pub log: CallLog,
}

impl Snapshot {
    /// Whether a finding was seen in this run, and is not only kept from an earlier one.
    #[must_use]
    pub const fn saw(&self, finding: &Finding) -> bool {
        finding.last_seen >= self.window.start_ns
    }
}
