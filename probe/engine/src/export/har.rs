//! HTTP Archive 1.2 of the calls in the log, without secrets: masked fields, no queries, no bodies.
//!
//! A query's values are never kept, so addresses are without one. Calls whose fields were not sampled have none.

use crate::call_log::{CallChunk, CallRow, LoggedEndpoint};
use crate::json;
use crate::moment::rfc3339;
use crate::snapshot::{SCHEMA, Snapshot};
use crate::vocabulary;
use apisec_proto::call::{Detail, ShownField};
use serde_json::{Value, json};
use std::io;

/// Writes all calls of the log, one after the other.
///
/// # Errors
/// `out` failed.
pub fn write(snapshot: &Snapshot, out: &mut dyn io::Write) -> io::Result<()> {
    let creator = json!({"name": "apisec-top", "version": SCHEMA});
    write!(out, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[")?;
    let rows = snapshot.log.chunks.iter().flat_map(|chunk| chunk.rows.iter().map(move |row| (chunk, row)));
    for (at, (chunk, row)) in rows.enumerate() {
        out.write_all(if at > 0 { b",\n" } else { b"\n" })?;
        json::write(&entry(chunk, row), &mut *out)?;
    }
    out.write_all(b"]}}\n")
}

fn entry(chunk: &CallChunk, row: &CallRow) -> Value {
    let nobody = LoggedEndpoint {
        service: Default::default(),
        protocol: apisec_proto::call::Protocol::Opaque,
        method: Default::default(),
        operation: Default::default(),
        path: Default::default(),
        host: Default::default(),
    };
    let endpoint = chunk.endpoints.get(row.endpoint as usize).unwrap_or(&nobody);
    let detail = (row.detail as usize).checked_sub(1).and_then(|at| chunk.details.get(at));
    let name = |index: u32| chunk.workloads.get(index as usize).map_or("", |id| id.as_str());
    let host = if endpoint.host.is_empty() { "unknown.invalid" } else { endpoint.host.as_str() };
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let answered = row.ttfb != u64::MAX;
    let wait = if answered { row.ttfb.min(row.duration) } else { row.duration };
    json!({
        "startedDateTime": rfc3339(row.at),
        "time": millis(row.duration),
        "request": {
            "method": endpoint.method, "url": format!("http://{}{}", as_uri(host, b"[]"), as_uri(chunk.path(row), b"")),
            "httpVersion": vocabulary::protocol(endpoint.protocol), "cookies": [], "queryString": [],
            "headers": fields(detail, |detail| &detail.request_fields),
            "headersSize": -1, "bodySize": -1,
        },
        "response": {
            "status": row.status, "statusText": "", "httpVersion": vocabulary::protocol(endpoint.protocol),
            "cookies": [], "headers": fields(detail, |detail| &detail.response_fields),
            "content": {"size": row.response_bytes, "mimeType": media_type(detail)},
            "redirectURL": "", "headersSize": -1, "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": millis(wait), "receive": millis(row.duration - wait)},
        "_src": name(row.src), "_dst": name(row.dst), "_endpoint": endpoint.path,
        "_operation": endpoint.operation, "_requestBytes": row.request_bytes,
        "_auth": vocabulary::auth(row.auth), "_answered": answered,
        "_notes": row.notes.names().collect::<Vec<_>>(),
    })
}

/// Text in which everything that no URI may have (RFC 3986) is percent-encoded: `{token}`, which stands for a secret, too.
fn as_uri(text: &str, more: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(&byte) || more.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn fields(detail: Option<&Detail>, pick: fn(&Detail) -> &Vec<ShownField>) -> Value {
    let shown = detail.map(pick).into_iter().flatten();
    shown.map(|field| json!({"name": field.name, "value": field.value})).collect()
}

fn media_type(detail: Option<&Detail>) -> &str {
    let fields = detail.iter().flat_map(|detail| &detail.response_fields);
    fields.filter(|field| field.name == "content-type").map(|field| field.value.as_str()).next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call};
    use crate::knowledge::Knowledge;
    use crate::limits::Limits;
    use crate::observe::Observer;

    #[test]
    fn what_no_uri_may_have_is_encoded() {
        assert_eq!(as_uri("/a/{token}/x y#z\u{202e}?q=%20", b""), "/a/%7Btoken%7D/x%20y%23z%E2%80%AE?q=%20");
    }

    #[test]
    fn every_logged_call_is_an_entry() {
        let mut observer = Observer::new(Limits::default());
        for (at, status) in [(1_000_000_000, Some(200)), (1_500_000_000, None)] {
            let spec = CallSpec { at, status, path: "/users/7".into(), ..CallSpec::default() };
            let mut call = call(&spec);
            let field = |name: &str, value: &str| ShownField { name: name.into(), value: value.into() };
            call.detail = Some(Box::new(Detail {
                request_fields: vec![field("authorization", "<jwt 612 B>")],
                response_fields: vec![field("content-type", "application/json")],
            }));
            observer.observe(&call);
        }
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        known.merge(observer.take_delta(0, 2_000_000_000));
        let mut out = Vec::new();
        write(&known.snapshot(2_000_000_000), &mut out).unwrap();
        let archive: Value = serde_json::from_slice(&out).unwrap();
        let entries = archive["log"]["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["request"]["url"], "http://shop.test/users/7");
        assert_eq!(entries[0]["request"]["headers"][0]["value"], "<jwt 612 B>");
        assert_eq!(entries[0]["response"]["content"]["mimeType"], "application/json");
        assert_eq!(
            entries[0]["timings"]["wait"].as_f64().unwrap()
                + entries[0]["timings"]["receive"].as_f64().unwrap(),
            2.0
        );
        assert_eq!((&entries[1]["response"]["status"], &entries[1]["_answered"]), (&json!(0), &json!(false)));
    }
}
