//! What the bodies of a call look like: format, coding, shape, and which sensitive classes occur. Never a value.

pub(crate) mod coding;
mod document;
mod form;
mod format;
pub mod shape;
mod sketch;

pub use format::format as form_of;

use crate::call::Notes;
use crate::exchange::Fields;
use crate::json;
use coding::{Ending, Unpacker};
use serde::{Deserialize, Serialize};
use shape::{Shape, Tally};
use sketch::Sketch;

/// The bodies of a call, those that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bodies {
    /// What was asked with.
    pub request: Option<Body>,
    /// What was answered.
    pub response: Option<Body>,
    /// The parameters of the query, as if they were a form whose values have kinds.
    pub query: Option<Body>,
}

impl Bodies {
    /// Keeps the promises of bodies that were read from a file.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bounded = |body: Body| Body { shape: body.shape.bounded(), ..body };
        let Self { request, response, query } = self;
        Self { request: request.map(bounded), response: response.map(bounded), query: query.map(bounded) }
    }
}

/// One body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What it is.
    pub format: Format,
    /// How it was compressed.
    pub coding: Coding,
    /// Bytes that were read, decompressed.
    pub read: u64,
    /// All of it was read: what is not in the shape is not in the body.
    pub whole: bool,
    /// Its keys and types.
    pub shape: Shape,
    /// Sensitive values by class.
    pub sensitive: Tally,
}

/// What a body is, by its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Nothing that we read.
    #[default]
    Binary,
    /// JSON (RFC 8259), also as a prefix.
    Json,
    /// `a=1&b=2`.
    Form,
    /// `multipart/*`.
    Multipart,
    /// XML.
    Xml,
    /// Other text.
    Text,
    /// The query of a request target.
    Query,
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// None.
    #[default]
    Identity,
    /// gzip.
    Gzip,
    /// zlib, or raw deflate as some send it.
    Deflate,
    /// Brotli.
    Br,
    /// Zstandard.
    Zstd,
    /// Another, or several: left unread.
    Unknown,
}

/// Bytes of a text without structure that are searched for sensitive words.
const MAX_TEXT: usize = 16 * 1024;

/// What one body on the wire is, as captured: `size` is its whole length. `None` when there is nothing to read.
pub(crate) fn read(
    fields: &dyn Fields,
    body: &[u8],
    size: u64,
    (unpacker, scratch): (&mut Unpacker, &mut Vec<u8>),
    notes: &mut Notes,
) -> Option<Body> {
    if body.is_empty() {
        return None;
    }
    let coding = Coding::named(fields.get("content-encoding").unwrap_or_default());
    let (text, ending) = unpacker.unpack(coding, body, coding::MAX_UNPACKED);
    notes.add(match ending {
        Ending::Capped => Notes::BODY_CAPPED,
        Ending::Bad if coding != Coding::Unknown => Notes::BAD_BODY,
        _ => Notes::default(),
    });
    let whole = body.len() as u64 >= size && ending == Ending::Whole;
    let mut sketch = Sketch::default();
    let media = fields.get("content-type").unwrap_or_default();
    let (format, whole) = walk(media, text, whole, scratch, &mut sketch, notes);
    let Sketch { shape, sensitive, .. } = sketch;
    Some(Body { format, coding, read: text.len() as u64, whole, shape, sensitive })
}

/// What the query of a request target is; `None` when there is none. `whole` when its end was captured.
pub(crate) fn read_query(query: &[u8], whole: bool, scratch: &mut Vec<u8>) -> Option<Body> {
    if query.is_empty() {
        return None;
    }
    let mut sketch = Sketch::default();
    form::query(query, scratch, &mut sketch);
    let Sketch { shape, sensitive, .. } = sketch;
    let read = query.len() as u64;
    Some(Body { format: Format::Query, coding: Coding::Identity, read, whole, shape, sensitive })
}

/// The whole text of a body that was captured to its end, its content coding undone.
pub(crate) fn whole<'a>(
    fields: &dyn Fields,
    body: &'a [u8],
    size: u64,
    unpacker: &'a mut Unpacker,
) -> Option<&'a [u8]> {
    if body.is_empty() || (body.len() as u64) < size {
        return None;
    }
    let coding = Coding::named(fields.get("content-encoding").unwrap_or_default());
    let (text, ending) = unpacker.unpack(coding, body, coding::MAX_UNPACKED);
    (ending == Ending::Whole).then_some(text)
}

/// Reads a document by its content, with its media type as a hint.
fn walk(
    media: &[u8],
    text: &[u8],
    whole: bool,
    scratch: &mut Vec<u8>,
    sketch: &mut Sketch,
    notes: &mut Notes,
) -> (Format, bool) {
    let declared = |part: &[u8]| memchr::memmem::find(media, part).is_some();
    let first = text.trim_ascii_start().first();
    if declared(b"json") || matches!(first, Some(b'{' | b'[')) {
        let mut document = Sketch::default();
        let ending = document::walk(text, scratch, &mut document);
        if ending != json::Ending::Bad || declared(b"json") {
            *sketch = document;
            notes.add(if ending == json::Ending::Bad { Notes::BAD_BODY } else { Notes::default() });
            return (Format::Json, whole && ending == json::Ending::Whole);
        }
    }
    if declared(b"x-www-form-urlencoded") {
        form::pairs(text, whole, scratch, sketch);
        return (Format::Form, whole);
    }
    if declared(b"multipart/") {
        form::parts(text, whole, sketch);
        return (Format::Multipart, whole);
    }
    let start = text.get(..MAX_TEXT).unwrap_or(text);
    if !is_text(start) {
        return (Format::Binary, whole);
    }
    sketch.words(start);
    (if first == Some(&b'<') { Format::Xml } else { Format::Text }, whole)
}

/// Whether bytes are text in an encoding that ASCII is a part of.
fn is_text(bytes: &[u8]) -> bool {
    let control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    bytes.iter().take(512).filter(control).count() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::List;
    use crate::sensitive::Sensitive;
    use proptest::prelude::*;

    fn of(media: &str, body: &[u8], size: usize) -> (Body, Notes) {
        let fields = List(vec![("content-type", media.to_owned())]);
        let mut notes = Notes::default();
        let mut unpacker = Unpacker::default();
        let body = read(&fields, body, size as u64, (&mut unpacker, &mut Vec::new()), &mut notes);
        (body.unwrap(), notes)
    }

    fn paths(body: &Body) -> Vec<&str> {
        body.shape.places().iter().map(|place| place.path.as_str()).collect()
    }

    #[test]
    fn formats() {
        let json = br#"{"a":1}"#;
        let (body, _) = of("application/vnd.api+json", json, json.len());
        assert_eq!((body.format, body.whole, paths(&body)), (Format::Json, true, vec!["", ".a"]));
        let (body, _) = of("", json, json.len() + 1);
        assert_eq!((body.format, body.whole), (Format::Json, false));
        let (body, notes) = of("application/json", b"{nope", 5);
        assert!(body.format == Format::Json && notes.any(Notes::BAD_BODY));
        let (body, _) =
            of("application/x-www-form-urlencoded", b"user=ada%40example.com&pw=x&password=hunter2", 44);
        assert_eq!(paths(&body), ["", ".password", ".pw", ".user"]);
        assert_eq!(body.sensitive.iter().collect::<Vec<_>>(), [(Sensitive::Email, 1), (Sensitive::Token, 1)]);
        let multipart = b"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--b\r\n\
            Content-Disposition: form-data; name=\"doc\"; filename=\"a.pdf\"\r\n\r\n%PDF\r\n--b--\r\n";
        let (body, _) = of("multipart/form-data; boundary=b", multipart, multipart.len());
        assert_eq!((body.format, paths(&body)), (Format::Multipart, vec!["", ".doc", ".note"]));
        assert_eq!(body.shape.at(".doc").unwrap().kinds.words().collect::<Vec<_>>(), ["file"]);
        let (body, _) = of("text/plain", b"call +49 30 901820 or write to ada@example.com.", 46);
        assert_eq!(body.sensitive.iter().collect::<Vec<_>>(), [(Sensitive::Email, 1)]);
        assert_eq!(of("text/xml", b"<a/>", 4).0.format, Format::Xml);
        assert_eq!(of("image/png", b"\x89PNG\r\n\x1a\n\0\0", 10).0.format, Format::Binary);
    }

    #[test]
    fn values_of_a_query_have_kinds() {
        let query =
            b"page=2&ratio=0.5&all=true&code=007&by=ada%40example.com&since=2026-11-24&empty=&flag&x=-3";
        let body = read_query(query, true, &mut Vec::new()).unwrap();
        let told = |path: &str| {
            let place = body.shape.at(path).unwrap();
            place.kinds.words().chain(place.formats.words()).collect::<Vec<_>>().join(" ")
        };
        for (path, kinds) in [
            (".page", "integer"),
            (".ratio", "number"),
            (".all", "boolean"),
            (".code", "string digits"),
            (".by", "string email"),
            (".since", "string date"),
            (".empty", "string empty"),
            (".flag", "string empty"),
            (".x", "integer"),
        ] {
            assert_eq!(told(path), kinds, "{path}");
        }
        assert_eq!(body.sensitive.iter().collect::<Vec<_>>(), [(Sensitive::Email, 1)]);
        assert_eq!((body.format, read_query(b"", true, &mut Vec::new())), (Format::Query, None));
    }

    #[test]
    fn what_is_about_health_is_told_by_its_place() {
        for (json, values) in [
            (
                &br#"{"patient": {"diagnosis": {"code": "E11.9"}, "bloodType": "0+", "heart_rate": 72}}"#[..],
                3,
            ),
            (br#"{"resourceType": "Observation", "status": "final"}"#, 1),
            (br#"{"allergies": ["nuts", "pollen"], "Medication": ""}"#, 2),
            (br#"{"condition": "used", "treatment": "B", "resourceType": "Bundle"}"#, 0),
        ] {
            let (body, _) = of("application/json", json, json.len());
            let found: u32 = body
                .sensitive
                .iter()
                .map(|(class, values)| if class == Sensitive::Health { values } else { 100 })
                .sum();
            assert_eq!(found, values, "{}", String::from_utf8_lossy(json));
        }
    }

    proptest! {
        #[test]
        fn queries_of_any_text(query in proptest::collection::vec(any::<u8>(), 1..200)) {
            let body = read_query(&query, true, &mut Vec::new()).unwrap();
            prop_assert!(body.shape.places().len() <= shape::MAX_PLACES);
        }

        #[test]
        fn nothing_panics(media in 0_usize..5, body in proptest::collection::vec(any::<u8>(), 1..300)) {
            let media = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""][media];
            let (body, _) = of(media, &body, body.len());
            prop_assert!(body.shape.places().len() <= shape::MAX_PLACES);
        }

        #[test]
        fn forms_of_any_text(body in "[a-z=&%+0-9\\-\r\n\":{}]{1,120}") {
            for media in ["application/x-www-form-urlencoded", "multipart/form-data", "application/json"] {
                of(media, body.as_bytes(), body.len());
            }
        }
    }
}
