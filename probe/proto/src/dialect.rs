//! The dialects: what kind of API an exchange belongs to, and what its operation is called.
//!
//! One file and one line in [`DIALECTS`] per dialect; the first that claims an exchange names it. A dialect is
//! recognised by content, in the request and in the answer: a request alone must not make an endpoint of another kind.

pub mod graphql;
pub mod grpc;
pub mod jsonrpc;
pub mod mcp;
pub mod rest;
pub mod soap;
pub mod sse;
pub mod websocket;

use crate::body::coding::Unpacker;
use crate::call::{Call, Notes};
use crate::exchange::Exchange;
use crate::path::{Target, normalise, query_names};
use compact_str::CompactString;

/// A way to read exchanges.
pub trait Dialect: Sync {
    /// Its name, and that of its file.
    fn name(&self) -> &'static str;

    /// Whether the exchange is in this dialect. Asked of every exchange: refusing must cost next to nothing.
    fn claims(&self, exchange: &Exchange<'_>) -> bool;

    /// Writes protocol, method, operation, path and query of the call, and what the application answered.
    /// `target` is that of the request; `scratch` is reused between calls.
    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call);
}

/// The dialects, in the order in which they are asked. REST claims what is left.
pub const DIALECTS: &[&dyn Dialect] = &[
    &websocket::Websocket,
    &sse::Sse,
    &grpc::Grpc,
    &graphql::Graphql,
    &mcp::Mcp,
    &jsonrpc::Jsonrpc,
    &soap::Soap,
    &rest::Rest,
];

/// What dialects reuse between calls.
#[derive(Default)]
pub struct Scratch {
    /// Text that had to be decoded.
    pub(crate) text: Vec<u8>,
    pub(crate) unpacker: Unpacker,
}

/// What stands for a path whose compressed field is not known.
const OPAQUE: &str = "/{opaque}";
/// Longest method that a call shows.
const MAX_METHOD: usize = 24;
/// Most bytes of a packed answer that are unpacked to see whether it is a failure.
const MAX_ANSWER: usize = 16 * 1024;

/// Writes method, path and query as every HTTP dialect has them.
fn set_target(exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
    set_method(exchange.request.method, &mut call.method);
    set_path(exchange, target, scratch, &mut call.path);
    query_names(target.query, &mut scratch.text, &mut call.query);
}

/// The normalised path, or what stands for one that is not known.
fn set_path(exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, path: &mut CompactString) {
    if exchange.request.target.is_empty() && exchange.notes.any(Notes::OPAQUE_FIELDS) {
        path.clear();
        path.push_str(OPAQUE);
        return;
    }
    normalise(target.path, &mut scratch.text, path);
}

/// A method without what no token contains.
fn set_method(method: &[u8], shown: &mut CompactString) {
    let method = method.get(..MAX_METHOD).unwrap_or(method);
    if shown.as_bytes() == method {
        return;
    }
    shown.clear();
    shown.extend(method.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)));
}

/// The captured beginning of the answer, unpacked.
fn answer<'a>(exchange: &Exchange<'a>, unpacker: &'a mut Unpacker) -> &'a [u8] {
    let Some(response) = &exchange.response else { return &[] };
    let coding = response.fields.get("content-encoding").unwrap_or_default();
    unpacker.unpack(crate::body::Coding::named(coding), response.body, MAX_ANSWER).0
}

/// Whether an answer, as far as it can be told without unpacking it, is a JSON document that holds `mark`.
fn answers_with(exchange: &Exchange<'_>, mark: &[u8]) -> bool {
    let Some(response) = &exchange.response else { return true };
    match response.body.trim_ascii_start().first() {
        Some(b'{' | b'[') => memchr::memmem::find(response.body, mark).is_some(),
        // Nothing to say, or nothing captured.
        None => response.status < 400,
        Some(_) => {
            let holds = |name: &str, part: &[u8]| {
                response.fields.get(name).is_some_and(|value| memchr::memmem::find(value, part).is_some())
            };
            holds("content-encoding", b"") && holds("content-type", b"json")
                || holds("content-type", b"text/event-stream")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect");
        let files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(
                DIALECTS.iter().any(|dialect| dialect.name() == file),
                "dialect/{file}.rs is not in DIALECTS"
            );
        }
    }
}
