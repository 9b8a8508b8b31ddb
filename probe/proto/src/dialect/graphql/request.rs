//! Where the document of a GraphQL request is, in each way to send it.

use crate::exchange::Exchange;
use crate::json::{self, Text};
use crate::path::{Target, decode_form, form_byte};
use memchr::memmem;

/// Operations of one batch that are looked at.
const MAX_BATCH: usize = 64;
/// Bytes of a value in a query that tell whether it is a document.
const MAX_LOOK: usize = 32;
/// Longest query string whose document is decoded.
const MAX_QUERY: usize = 16 * 1024;

/// One operation that was asked for.
pub(super) struct Asked<'a> {
    /// Its document, empty when it was sent by hash.
    pub(super) document: &'a [u8],
    /// The document was not cut.
    pub(super) whole: bool,
    /// The name of the operation within the document.
    pub(super) operation: &'a [u8],
    /// The document was sent before and is named by its hash.
    pub(super) persisted: bool,
}

/// Whether the request can be GraphQL; costs two searches for one that is not.
pub(super) fn is_likely(exchange: &Exchange<'_>) -> bool {
    let request = &exchange.request;
    match request.method {
        b"GET" => {
            let query = memchr::memchr(b'?', request.target).and_then(|at| request.target.get(at + 1..));
            query.is_some_and(is_likely_query)
        }
        b"POST" if is_raw(exchange) => is_document(request.body),
        b"POST" => is_likely_body(request.body),
        _ => false,
    }
}

/// The body is the document itself.
fn is_raw(exchange: &Exchange<'_>) -> bool {
    exchange.request.fields.get("content-type").is_some_and(|value| value.starts_with(b"application/graphql"))
        && !exchange.request.body.trim_ascii_start().starts_with(b"{\"")
}

fn is_likely_body(body: &[u8]) -> bool {
    if let Some(operations) = operations(body) {
        return is_likely_body(operations);
    }
    let first = body.trim_ascii_start().first();
    if !matches!(first, Some(b'{' | b'['))
        || !(contains(body, b"\"query\"") || contains(body, b"\"persistedQuery\""))
    {
        return false;
    }
    let element = json::array(body).and_then(|mut list| list.element()).map(|first| first.raw);
    let Some(mut members) = json::object(element.unwrap_or(body)) else { return false };
    while let Some((key, value)) = members.member() {
        match key.raw {
            b"query" if value.text().is_some_and(|text| is_document(after_escapes(text.raw))) => return true,
            b"extensions" if contains(value.raw, b"\"persistedQuery\"") => return true,
            _ => {}
        }
    }
    false
}

fn is_likely_query(query: &[u8]) -> bool {
    let begins = |value: &[u8]| {
        let mut text = [0; MAX_LOOK];
        let text = decode_beginning(value, &mut text);
        let opens = [&b"{"[..], b"%7B", b"%7b"].iter().any(|mark| contains(value, mark));
        opens && (is_document(text) || is_named(text.trim_ascii_start()))
    };
    parameter(query, b"query").is_some_and(begins)
        || parameter(query, b"extensions").is_some_and(|value| contains(value, b"persistedQuery"))
}

/// Decodes as much of a value in a query as there is room for.
fn decode_beginning<'a>(value: &[u8], room: &'a mut [u8; MAX_LOOK]) -> &'a [u8] {
    let (mut rest, mut len) = (value, 0);
    for slot in room.iter_mut() {
        let Some((byte, after)) = form_byte(rest) else { break };
        *slot = byte;
        len += 1;
        rest = after;
    }
    room.get(..len).unwrap_or_default()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// The text of a JSON string behind the line ends and blanks that it begins with.
fn after_escapes(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'\\', b'n' | b'r' | b't', rest @ ..] | [b' ', rest @ ..] => rest,
            _ => return text,
        };
    }
}

/// Whether a text begins like an executable document.
fn is_document(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    match text.first() {
        Some(b'{') => !text.starts_with(b"{\"") && !text.starts_with(b"{\\\""),
        Some(b'#') => true,
        _ => is_named(text) && text.contains(&b'{'),
    }
}

/// Whether a text begins with a word that definitions begin with.
fn is_named(text: &[u8]) -> bool {
    [&b"query"[..], b"mutation", b"subscription", b"fragment"].into_iter().any(|word| {
        text.strip_prefix(word).is_some_and(|rest| {
            rest.first().is_none_or(|next| {
                !next.is_ascii_alphanumeric() && !matches!(next, b'_' | b'\'' | b'=' | b':')
            })
        })
    })
}

/// Calls `each` for every operation of a request.
pub(super) fn asked(
    exchange: &Exchange<'_>,
    target: &Target<'_>,
    scratch: &mut Vec<u8>,
    each: &mut dyn FnMut(&Asked<'_>),
) {
    let request = &exchange.request;
    let whole = request.sizes.body <= request.body.len() as u64;
    if request.method == b"GET" {
        in_query(target.query, scratch, each);
    } else if is_raw(exchange) {
        each(&Asked { document: request.body, whole, operation: b"", persisted: false });
    } else {
        let body = operations(request.body).unwrap_or(request.body);
        let Some(mut batch) = json::array(body) else { return in_object(body, scratch, each) };
        let mut count = 0;
        while let Some(element) = batch.element().filter(|_| count < MAX_BATCH) {
            in_object(element.raw, scratch, each);
            count += 1;
        }
    }
}

fn in_object(text: &[u8], scratch: &mut Vec<u8>, each: &mut dyn FnMut(&Asked<'_>)) {
    let Some(mut members) = json::object(text) else { return };
    let mut query = Text { raw: b"", whole: true };
    let (mut operation, mut persisted) = (&b""[..], false);
    while let Some((key, value)) = members.member() {
        match (key.raw, value.text()) {
            (b"query", Some(text)) => query = text,
            (b"operationName", Some(text)) if text.whole => operation = text.raw,
            (b"extensions", _) => persisted = contains(value.raw, b"\"persistedQuery\""),
            (b"documentId" | b"id", Some(_)) => persisted = true,
            _ => {}
        }
    }
    let document = query.unescaped(scratch);
    each(&Asked { document, whole: query.whole, operation, persisted });
}

fn in_query(query: &[u8], scratch: &mut Vec<u8>, each: &mut dyn FnMut(&Asked<'_>)) {
    let persisted = parameter(query, b"extensions").is_some_and(|value| contains(value, b"persistedQuery"));
    let operation = parameter(query, b"operationName").unwrap_or_default();
    let document = parameter(query, b"query").unwrap_or_default();
    let document = document.get(..MAX_QUERY).unwrap_or(document);
    each(&Asked { document: decode_form(document, scratch), whole: true, operation, persisted });
}

/// The value of a query parameter, as sent.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = query.split(|byte| *byte == b'&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// The part `operations` of a multipart request.
fn operations(body: &[u8]) -> Option<&[u8]> {
    if !body.starts_with(b"--") {
        return None;
    }
    let part = memmem::find(body, b"name=\"operations\"").and_then(|at| body.get(at..))?;
    memmem::find(part, b"\r\n\r\n").and_then(|at| part.get(at + 4..)).map(until_boundary)
}

/// What stands before the boundary that ends a part.
fn until_boundary(part: &[u8]) -> &[u8] {
    memmem::find(part, b"\r\n--").and_then(|at| part.get(..at)).unwrap_or(part)
}
