//! What one request hands on to the calls that it causes: its request id, its trace, its credential.

use crate::clock;
use crate::random::mix;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

/// Field that names a request across all servers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Field that carries the trace (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Field that carries the key of a server.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Spans started by this process.
static SPANS: AtomicU64 = AtomicU64::new(0);

/// The context of one inbound request.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    request_id: HeaderValue,
    trace_id: String,
    credential: Option<(HeaderName, HeaderValue)>,
}

impl Hop {
    /// Takes over what the request carries and makes up what it lacks.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let request_id = headers.get(REQUEST_ID).cloned().unwrap_or_else(new_request_id);
        let trace_id = headers.get(TRACEPARENT).and_then(trace_id_of).unwrap_or_else(new_trace_id);
        let credential =
            headers.get(header::AUTHORIZATION).map(|value| (header::AUTHORIZATION, value.clone()));
        Self { request_id, trace_id, credential }
    }

    /// The same, with the server's own key in place of the customer's credential.
    pub(crate) fn with_api_key(&self, key: &'static str) -> Self {
        Self { credential: Some((API_KEY, HeaderValue::from_static(key))), ..self.clone() }
    }

    /// The name of the request across all servers.
    pub(crate) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Writes the fields of an outbound call, as a new span of the same trace.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request_id.clone());
        let parent = format!("00-{}-{:016x}-01", self.trace_id, next_span());
        if let Ok(parent) = HeaderValue::from_str(&parent) {
            headers.insert(TRACEPARENT, parent);
        }
        if let Some((name, value)) = &self.credential {
            headers.insert(name, value.clone());
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Hop {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

/// The trace id of a version 00 `traceparent`, if it is well formed.
fn trace_id_of(value: &HeaderValue) -> Option<String> {
    let mut parts = value.to_str().ok()?.split('-');
    let (version, trace_id) = (parts.next()?, parts.next()?);
    let well_formed =
        version == "00" && trace_id.len() == 32 && trace_id.bytes().all(|b| b.is_ascii_hexdigit());
    well_formed.then(|| trace_id.to_owned())
}

fn new_request_id() -> HeaderValue {
    HeaderValue::try_from(format!("req-{:016x}", next_span())).unwrap_or(HeaderValue::from_static("req-0"))
}

fn new_trace_id() -> String {
    format!("{:016x}{:016x}", next_span(), next_span())
}

/// Never repeats within a process; the process id keeps the servers apart.
fn next_span() -> u64 {
    let number = SPANS.fetch_add(1, Ordering::Relaxed);
    // A recording is one process, and the same again the next time.
    let process = if clock::is_recorded() { 1 } else { std::process::id() };
    mix((u64::from(process) << 40) | (number & 0xff_ffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_and_a_broken_one_is_replaced() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let written = |traceparent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
            headers.insert(REQUEST_ID, HeaderValue::from_static("mine"));
            let mut out = HeaderMap::new();
            Hop::from_headers(&headers).write(&mut out);
            assert_eq!(out[REQUEST_ID], "mine");
            out[TRACEPARENT].to_str().unwrap().to_owned()
        };
        let next = written(&format!("00-{trace}-b7ad6b7169203331-01"));
        assert!(next.starts_with(&format!("00-{trace}-")) && !next.contains("b7ad6b7169203331"), "{next}");
        assert!(!written("00-short-b7ad6b7169203331-01").contains("short"));
    }
}
