//! One call as one JSON object: the lines of `--output ndjson`. Fields are only ever added.

use crate::call_log::{CallChunk, CallRow};
use crate::moment::rfc3339;
use crate::vocabulary;
use apisec_proto::call::{Call, IdentityHash};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Method token.
    pub method: String,
    /// Path as called, without query, sensitive segments masked.
    pub path: String,
    /// Path template, or the typed path where the template is not known yet.
    pub endpoint: String,
    /// Status, null when unanswered.
    pub status: Option<u16>,
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
            path: call.path.to_string(),
            endpoint: endpoint.to_owned(),
            status: call.status,
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
            path: chunk.path(row).to_owned(),
            endpoint: endpoint.path.to_string(),
            status: (row.status > 0).then_some(row.status),
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
        })
    }
}

fn identity(hash: IdentityHash) -> String {
    format!("{:016x}", hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call, raw};
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
    fn a_logged_call_reads_like_a_live_one() {
        let call = call(&CallSpec { path: "/users/7".into(), status: None, ..CallSpec::default() });
        let mut observer = Observer::new(Limits::default());
        observer.observe(&call, &raw());
        let live = NdjsonCall::from(&call, observer.endpoint());
        let delta = observer.take_delta(0, 1);
        let chunk = &delta.log[0];
        let logged = NdjsonCall::from_row(chunk, &chunk.rows[0]).unwrap();
        let nameless = NdjsonCall { src_name: String::new(), dst_name: String::new(), ..live };
        assert_eq!(logged, nameless);
    }
}
