//! One call as one JSON object: the lines of `--output ndjson`. Fields are only ever added.

use crate::call_log::{CallChunk, CallRow};
use crate::json;
use crate::moment::rfc3339;
use crate::vocabulary;
use apisec_proto::call::{Call, IdentityHash, Notes, Tls};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Writes a call whose operation is the second argument as a line, with its end.
pub type LineWriter = fn(&Call, &str, &mut Vec<u8>);

/// A call as it is exported. Redacted: a path without sensitive segments, hashes instead of credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NdjsonCall {
    /// First byte of the request, RFC 3339 with nanoseconds, UTC.
    pub at: String,
    /// Caller's workload id.
    pub src: String,
    /// Callee's workload id.
    pub dst: String,
    /// What was spoken.
    pub protocol: String,
    /// Method or operation kind.
    pub method: String,
    /// Operation below method and path, empty when these say it all.
    #[serde(default)]
    pub operation: String,
    /// Path as called, without query, sensitive segments masked.
    pub path: String,
    /// Path template, or the typed path where the template is not known yet.
    pub endpoint: String,
    /// Status, null when unanswered and for a one-way message.
    pub status: Option<u16>,
    /// What the application answered: gRPC status, JSON-RPC error code, GraphQL errors, close code; null when nothing.
    #[serde(default)]
    pub app_status: Option<i32>,
    /// The application said that it failed, whatever the status.
    #[serde(default)]
    pub failed: bool,
    /// Microseconds to the last byte of the response, or of waiting.
    pub duration_us: u64,
    /// Request bytes, head and body.
    pub request_bytes: u64,
    /// Response bytes, head and body.
    pub response_bytes: u64,
    /// Keyed hash of the credential, 16 hexadecimal digits, null when there was none.
    pub identity: Option<String>,
    /// Microseconds to the first byte of the response, null when unanswered.
    pub ttfb_us: Option<u64>,
    /// Caller's display name; empty in a call taken from the log.
    pub src_name: String,
    /// Callee's display name; empty in a call taken from the log.
    pub dst_name: String,
    /// Host that was asked for.
    pub host: String,
    /// Names of the query parameters; empty in a call taken from the log.
    pub query: Vec<String>,
    /// How the caller proved who it is.
    pub auth: String,
    /// Where it was observed: `server` or `client`.
    pub vantage: String,
    /// What was odd about it.
    pub notes: Vec<String>,
    /// The TLS session that it was read from, null when there was none, and in a call taken from the log.
    #[serde(default)]
    pub tls: Option<TlsView>,
}

/// The TLS session that a call was read from; texts are empty when unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsView {
    /// `1.2`, `1.3`.
    pub version: String,
    /// Protocol that was agreed, as far as it could be seen.
    pub alpn: String,
    /// Server name that was asked for.
    pub sni: String,
    /// Subject of the server's certificate, which TLS 1.3 encrypts.
    pub subject: String,
    /// Library that the plaintext was read from.
    pub library: String,
}

impl From<&Tls> for TlsView {
    fn from(tls: &Tls) -> Self {
        Self {
            version: tls.version.to_string(),
            alpn: tls.alpn.to_string(),
            sni: tls.sni.to_string(),
            subject: tls.subject.to_string(),
            library: tls.library.to_string(),
        }
    }
}

impl NdjsonCall {
    /// The object of a call whose operation is `endpoint`.
    #[must_use]
    pub fn from(call: &Call, endpoint: &str) -> Self {
        Self {
            at: rfc3339(call.at),
            src: call.src.workload.id.to_string(),
            dst: call.dst.workload.id.to_string(),
            protocol: vocabulary::protocol(call.protocol).to_owned(),
            method: call.method.to_string(),
            operation: call.operation.to_string(),
            path: call.path.to_string(),
            endpoint: endpoint.to_owned(),
            status: call.status,
            app_status: call.app_status,
            failed: call.failed,
            duration_us: call.duration / 1000,
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            identity: call.identity.map(identity),
            ttfb_us: call.ttfb.map(|ttfb| ttfb / 1000),
            src_name: call.src.workload.name.to_string(),
            dst_name: call.dst.workload.name.to_string(),
            host: call.host.to_string(),
            query: call.query.iter().map(ToString::to_string).collect(),
            auth: vocabulary::auth(call.auth).to_owned(),
            vantage: vocabulary::vantage(call.vantage).to_owned(),
            notes: call.notes.names().map(str::to_owned).collect(),
            tls: call.tls.as_deref().map(TlsView::from),
        }
    }

    /// The object of a call in the log; `None` when the row does not belong to the chunk.
    #[must_use]
    pub fn from_row(chunk: &CallChunk, row: &CallRow) -> Option<Self> {
        let endpoint = chunk.endpoints.get(row.endpoint as usize)?;
        Some(Self {
            at: rfc3339(row.at),
            src: chunk.workloads.get(row.src as usize)?.to_string(),
            dst: chunk.workloads.get(row.dst as usize)?.to_string(),
            protocol: vocabulary::protocol(endpoint.protocol).to_owned(),
            method: endpoint.method.to_string(),
            operation: endpoint.operation.to_string(),
            path: chunk.path(row).to_owned(),
            endpoint: endpoint.path.to_string(),
            status: (row.status > 0).then_some(row.status),
            app_status: row.app_status,
            failed: row.failed,
            duration_us: row.duration / 1000,
            request_bytes: u64::from(row.request_bytes),
            response_bytes: u64::from(row.response_bytes),
            identity: row.identity.map(identity),
            ttfb_us: (row.ttfb < u64::MAX).then_some(row.ttfb / 1000),
            src_name: String::new(),
            dst_name: String::new(),
            host: endpoint.host.to_string(),
            query: Vec::new(),
            auth: vocabulary::auth(row.auth).to_owned(),
            vantage: vocabulary::vantage(row.vantage).to_owned(),
            notes: row.notes.names().map(str::to_owned).collect(),
            tls: None,
        })
    }
}

fn identity(hash: IdentityHash) -> String {
    format!("{:016x}", hash.0)
}

/// Appends the object of a call and the end of the line: what [`NdjsonCall`] would print, without copying
/// its texts first.
pub fn line(call: &Call, endpoint: &str, out: &mut Vec<u8>) {
    let start = out.len();
    let line = Line {
        at: rfc3339(call.at),
        src: &call.src.workload.id,
        dst: &call.dst.workload.id,
        protocol: vocabulary::protocol(call.protocol),
        method: &call.method,
        operation: &call.operation,
        path: &call.path,
        endpoint,
        status: call.status,
        app_status: call.app_status,
        failed: call.failed,
        duration_us: call.duration / 1000,
        request_bytes: call.request_bytes,
        response_bytes: call.response_bytes,
        identity: call.identity.map(identity),
        ttfb_us: call.ttfb.map(|ttfb| ttfb / 1000),
        src_name: &call.src.workload.name,
        dst_name: &call.dst.workload.name,
        host: &call.host,
        query: &call.query,
        auth: vocabulary::auth(call.auth),
        vantage: vocabulary::vantage(call.vantage),
        notes: call.notes,
        tls: call.tls.as_deref(),
    };
    match json::write(&line, &mut *out) {
        Ok(()) => out.push(b'\n'),
        // Nothing of it can fail; half a line would be worse than none.
        Err(_) => out.truncate(start),
    }
}

/// [`NdjsonCall`], borrowed.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    src: &'a str,
    dst: &'a str,
    protocol: &'a str,
    method: &'a str,
    operation: &'a str,
    path: &'a str,
    endpoint: &'a str,
    status: Option<u16>,
    app_status: Option<i32>,
    failed: bool,
    duration_us: u64,
    request_bytes: u64,
    response_bytes: u64,
    identity: Option<String>,
    ttfb_us: Option<u64>,
    src_name: &'a str,
    dst_name: &'a str,
    host: &'a str,
    query: &'a [CompactString],
    auth: &'a str,
    vantage: &'a str,
    #[serde(serialize_with = "names")]
    notes: Notes,
    tls: Option<&'a Tls>,
}

fn names<S: Serializer>(notes: &Notes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call};
    use crate::limits::Limits;
    use crate::observe::Observer;

    #[test]
    fn keeps_the_contract() {
        let mut call = call(&CallSpec { path: "/users/7".into(), ..CallSpec::default() });
        call.identity = Some(IdentityHash(0xab));
        let json = serde_json::to_value(NdjsonCall::from(&call, "/users/{id:int}")).unwrap();
        assert_eq!(json["at"], "1970-01-01T00:00:01.000000000Z");
        assert_eq!(json["endpoint"], "/users/{id:int}");
        assert_eq!(json["status"], 200);
        assert_eq!(json["duration_us"], 2000);
        assert_eq!(json["identity"], "00000000000000ab");
    }

    #[test]
    fn a_line_is_the_object() {
        let mut call = call(&CallSpec { path: "/users/7\u{9b}".into(), ..CallSpec::default() });
        call.identity = Some(IdentityHash(7));
        call.query = ["page".into(), "a\"b".into()].into_iter().collect();
        call.notes = Notes(Notes::GAP.0 | Notes::RESET.0);
        let mut line = Vec::new();
        super::line(&call, "/users/{id:int}", &mut line);
        super::line(&call, "/users/{id:int}", &mut line);
        let text = String::from_utf8(line).unwrap();
        let expected = NdjsonCall::from(&call, "/users/{id:int}");
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            assert_eq!(serde_json::from_str::<NdjsonCall>(line).unwrap(), expected);
            let plain = serde_json::to_string(&expected).unwrap();
            assert_eq!(line, plain.replace('\u{9b}', "\\u009b"));
        }
    }

    #[test]
    fn a_logged_call_reads_like_a_live_one() {
        let call = call(&CallSpec { path: "/users/7".into(), status: None, ..CallSpec::default() });
        let mut observer = Observer::new(Limits::default());
        observer.observe(&call);
        let live = NdjsonCall::from(&call, observer.endpoint());
        let delta = observer.take_delta(0, 1);
        let chunk = &delta.log[0];
        let logged = NdjsonCall::from_row(chunk, &chunk.rows[0]).unwrap();
        let nameless = NdjsonCall { src_name: String::new(), dst_name: String::new(), ..live };
        assert_eq!(logged, nameless);
    }
}
