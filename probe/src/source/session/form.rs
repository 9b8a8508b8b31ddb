//! The records of a session as they stand in a frame, in postcard.
//!
//! These types are the format: they mirror calls and workloads instead of being them, so that a field
//! added there does not silently change what old files mean. Variants are only ever appended; a golden
//! file per version is read by the tests.

mod bodies;
mod restore;

pub(crate) use bodies::{BodiesForm, LateForm, follow};
pub(crate) use restore::{call_of, complete, prove, workload_of};

use apisec_engine::degradation::{Degradation, Severity};
use apisec_proto::body::Body;
use apisec_proto::call::{
    AuthScheme, Call, Clues, Credential, Detail, GraphqlCost, IdentityHash, Messages, Objects, Protocol,
    ShownField, Tls, Vantage, Workload, WorkloadKind,
};
use compact_str::CompactString;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::net::SocketAddr;

/// One record. `N` are names and `F` fields: lent when written, gathered when read.
#[derive(Serialize, Deserialize)]
pub(crate) enum Record<'a, N, F> {
    /// What the session is; the first record of a file.
    #[serde(borrow)]
    Begin(Begin<'a>),
    /// A workload that later calls of this frame name by number.
    Workload(WorkloadForm<'a>),
    /// A call.
    Call(CallForm<'a, N, F>),
    /// The state of the capture, about once a second.
    Tick(TickForm),
    /// The recording was ended in order, at this time, having dropped so many calls.
    End { at: u64, dropped: u64 },
    /// A call with what version 1 had no place for.
    Full(CallForm<'a, N, F>, MoreForm<'a>),
    /// The id of a workload was refined: earlier and later calls of the one are the other's.
    Renamed { from: &'a str, to: &'a str },
    /// A call with what version 2 had no place for.
    Clued(CallForm<'a, N, F>, MoreForm<'a>, Cow<'a, Clues>),
    /// A call with what version 3 had no place for.
    Proven(CallForm<'a, N, F>, MoreForm<'a>, ProofForm<'a>),
    /// A call with what version 4 had no place for.
    Late(CallForm<'a, N, F>, MoreForm<'a>, ProofForm<'a>, LateForm<'a>),
}

/// A record as it is written.
pub(crate) type Lent<'a> = Record<'a, Names<'a>, Fields<'a>>;
/// A record as it is read.
pub(crate) type Read<'a> = Record<'a, Vec<&'a str>, Vec<(&'a str, &'a str)>>;

/// What a session is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begin<'a> {
    /// Program and version that recorded.
    pub(crate) program: &'a str,
    /// Source that was recorded.
    pub(crate) source: &'a str,
    /// Unix nanoseconds.
    pub(crate) started: u64,
}

/// See [`Workload`].
#[derive(Serialize, Deserialize)]
pub(crate) struct WorkloadForm<'a> {
    pub(crate) number: u32,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: WorkloadKind,
    pub(crate) pid: u32,
    pub(crate) exe: &'a str,
    pub(crate) command: &'a str,
    pub(crate) user: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) container: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) pod_uid: &'a str,
    pub(crate) netns: u64,
    pub(crate) address: &'a str,
}

/// See [`Call`]; the parties by their numbers.
#[derive(Serialize, Deserialize)]
pub(crate) struct CallForm<'a, N, F> {
    pub(crate) at: u64,
    pub(crate) src: u32,
    pub(crate) dst: u32,
    pub(crate) src_addr: SocketAddr,
    pub(crate) dst_addr: SocketAddr,
    pub(crate) vantage: Vantage,
    pub(crate) protocol: Protocol,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: N,
    pub(crate) host: &'a str,
    pub(crate) status: Option<u16>,
    pub(crate) ttfb: Option<u64>,
    pub(crate) duration: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) request_body: u64,
    pub(crate) response_body: u64,
    pub(crate) auth: AuthScheme,
    pub(crate) identity: Option<u64>,
    pub(crate) request_type: &'a str,
    pub(crate) response_type: &'a str,
    pub(crate) trace: Option<u64>,
    pub(crate) notes: u64,
    pub(crate) detail: Option<(F, F)>,
}

/// The rest of a [`Call`], which most calls do not have.
#[derive(Serialize, Deserialize)]
pub(crate) struct MoreForm<'a> {
    pub(crate) operation: &'a str,
    /// Count, bytes and largest of the requester's and the responder's messages.
    pub(crate) messages: [(u64, u64, u64); 2],
    pub(crate) app_status: Option<i32>,
    pub(crate) failed: bool,
    pub(crate) bodies: Option<BodiesForm<'a>>,
    pub(crate) graphql: Option<GraphqlCost>,
    #[serde(borrow)]
    pub(crate) tls: Option<TlsForm<'a>>,
}

/// What detectors need of a call, beside the rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct ProofForm<'a> {
    pub(crate) clues: Option<Cow<'a, Clues>>,
    pub(crate) credential: Option<Cow<'a, Credential>>,
    pub(crate) objects: Cow<'a, Objects>,
}

/// See [`Tls`].
#[derive(Serialize, Deserialize)]
pub(crate) struct TlsForm<'a> {
    pub(crate) version: &'a str,
    pub(crate) alpn: &'a str,
    pub(crate) sni: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) library: &'a str,
}

impl MoreForm<'_> {
    fn is_empty(&self) -> bool {
        let Self { operation, messages, app_status, failed, bodies, graphql, tls } = self;
        let nothing_read = bodies.is_none() && graphql.is_none() && tls.is_none();
        nothing_read && operation.is_empty() && *messages == [(0, 0, 0); 2] && app_status.is_none() && !failed
    }
}

/// What the source and the recorder had counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TickForm {
    /// Unix nanoseconds.
    pub(crate) at: u64,
    /// Calls that the recorder had to drop.
    pub(crate) dropped: u64,
    pub(crate) chunks: u64,
    pub(crate) losses: Vec<(String, u64)>,
    pub(crate) counters: Vec<(String, u64)>,
    pub(crate) degradations: Vec<DegradationForm>,
}

/// See [`Degradation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DegradationForm {
    pub(crate) code: String,
    pub(crate) severity: Severity,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl From<&Degradation> for DegradationForm {
    fn from(from: &Degradation) -> Self {
        let Degradation { code, severity, what, remedy } = from.clone();
        Self { code, severity, what, remedy }
    }
}

impl From<&DegradationForm> for Degradation {
    fn from(from: &DegradationForm) -> Self {
        let DegradationForm { code, severity, what, remedy } = from.clone();
        Self { code, severity, what, remedy }
    }
}

/// Names of query parameters that are lent.
pub(crate) struct Names<'a>(&'a [CompactString]);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(CompactString::as_str))
    }
}

/// Masked fields that are lent.
pub(crate) struct Fields<'a>(&'a [ShownField]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|field| (field.name.as_str(), field.value.as_str())))
    }
}

/// The record of a workload.
pub(crate) fn workload<'a>(number: u32, from: &'a Workload) -> Lent<'a> {
    // Without `..`: a new field must be given a place here, in a new version of the format.
    let Workload {
        id,
        name,
        kind,
        pid,
        exe,
        command,
        user,
        unit,
        container,
        runtime,
        pod_uid,
        netns,
        address,
        // The labels of a cluster are told anew.
        owner: _,
    } = from;
    Record::Workload(WorkloadForm {
        number,
        id,
        name,
        kind: *kind,
        pid: *pid,
        exe,
        command,
        user,
        unit,
        container,
        runtime,
        pod_uid,
        netns: *netns,
        address,
    })
}

/// The record of a call.
pub(crate) fn call(from: &Call) -> Lent<'_> {
    let Call {
        at,
        src,
        dst,
        src_addr,
        dst_addr,
        vantage,
        protocol,
        method,
        operation,
        path,
        query,
        host,
        status,
        ttfb,
        duration,
        request_bytes,
        response_bytes,
        request_body,
        response_body,
        auth,
        identity,
        request_type,
        response_type,
        trace,
        messages,
        app_status,
        failed,
        notes,
        bodies,
        graphql,
        clues,
        credential,
        objects,
        tls,
        detail,
    } = from;
    let more = MoreForm {
        operation,
        messages: messages.map(|Messages { count, bytes, largest }| (count, bytes, largest)),
        app_status: *app_status,
        failed: *failed,
        bodies: bodies
            .as_deref()
            .filter(|own| own.request.is_some() || own.response.is_some())
            .map(Into::into),
        graphql: graphql.as_deref().copied(),
        tls: tls.as_deref().map(|Tls { version, alpn, sni, subject, library, resumed: _, mutual: _ }| {
            TlsForm { version, alpn, sni, subject, library }
        }),
    };
    let form = CallForm {
        at: *at,
        src: src.number,
        dst: dst.number,
        src_addr: *src_addr,
        dst_addr: *dst_addr,
        vantage: *vantage,
        protocol: *protocol,
        method,
        path,
        query: Names(query),
        host,
        status: *status,
        ttfb: *ttfb,
        duration: *duration,
        request_bytes: *request_bytes,
        response_bytes: *response_bytes,
        request_body: *request_body,
        response_body: *response_body,
        auth: *auth,
        identity: identity.map(|IdentityHash(hash)| hash),
        request_type,
        response_type,
        trace: *trace,
        notes: notes.0,
        detail: detail.as_deref().map(shown),
    };
    let proof = || ProofForm {
        clues: clues.as_deref().map(Cow::Borrowed),
        credential: credential.as_deref().map(Cow::Borrowed),
        objects: Cow::Borrowed(objects),
    };
    if let Some(late) = bodies::late(bodies.as_deref()) {
        return Record::Late(form, more, proof(), late);
    }
    if credential.is_some() || !objects.is_empty() {
        return Record::Proven(form, more, proof());
    }
    match clues.as_deref() {
        Some(clues) => Record::Clued(form, more, Cow::Borrowed(clues)),
        None if more.is_empty() => Record::Call(form),
        None => Record::Full(form, more),
    }
}

fn shown(Detail { request_fields, response_fields }: &Detail) -> (Fields<'_>, Fields<'_>) {
    (Fields(request_fields), Fields(response_fields))
}

/// Appends `record` to a frame in the making; whether it could be written.
pub(crate) fn append(record: &Lent<'_>, frame: &mut Vec<u8>) -> bool {
    struct Append<'a>(&'a mut Vec<u8>);

    impl Flavor for Append<'_> {
        type Output = ();

        fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(data);
            Ok(())
        }

        fn try_push(&mut self, data: u8) -> postcard::Result<()> {
            self.0.push(data);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    postcard::serialize_with_flavor(record, Append(frame)).is_ok()
}

/// Reads the first record of `frame`; gives it and the rest.
pub(crate) fn take(frame: &[u8]) -> Option<(Read<'_>, &[u8])> {
    postcard::take_from_bytes(frame).ok()
}
