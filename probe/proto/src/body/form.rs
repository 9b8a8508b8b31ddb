//! The shapes of forms: `application/x-www-form-urlencoded`, and the parts of `multipart/*`.

use super::shape::Kinds;
use super::sketch::Sketch;
use memchr::memmem;

/// Pairs or parts of one form that are looked at.
const MAX_PAIRS: usize = 256;

/// Walks the query of a request target into `sketch`, as [`pairs`].
pub(super) fn query(text: &[u8], scratch: &mut Vec<u8>, sketch: &mut Sketch) {
    each(text, scratch, sketch, |sketch, value, _last| sketch.query(value));
}

/// Walks `a=b&c=d` into `sketch`.
pub(super) fn pairs(text: &[u8], whole: bool, scratch: &mut Vec<u8>, sketch: &mut Sketch) {
    each(text, scratch, sketch, |sketch, value, last| sketch.text(value, Kinds::STRING, whole || !last));
}

/// Each value with its sketch at its key, and whether it is the last.
fn each(text: &[u8], scratch: &mut Vec<u8>, sketch: &mut Sketch, take: impl Fn(&mut Sketch, &[u8], bool)) {
    sketch.value(Kinds::OBJECT);
    let mut pairs =
        text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(MAX_PAIRS).peekable();
    while let Some(pair) = pairs.next() {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let key = pair.get(..at).unwrap_or_default();
        let value = pair.get(at + 1..).unwrap_or_default();
        let key = decoded(key, scratch);
        let before = sketch.enter(key);
        let value = decoded(value, scratch);
        take(sketch, value, pairs.peek().is_none());
        sketch.leave(before);
    }
}

/// Without percent-encoding and plus signs.
fn decoded<'s>(text: &'s [u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return text;
    }
    crate::path::decode_form(text, scratch)
}

/// Walks the parts between boundaries into `sketch`.
pub(super) fn parts(body: &[u8], whole: bool, sketch: &mut Sketch) {
    sketch.value(Kinds::OBJECT);
    // A body names its own boundary in its first line.
    let line = memmem::find(body, b"\r\n").and_then(|end| body.get(..end)).unwrap_or_default();
    if !line.starts_with(b"--") || line.len() < 3 {
        return;
    }
    let finder = memmem::Finder::new(line);
    let mut starts = finder.find_iter(body).take(MAX_PAIRS).peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().copied();
        let part = body.get(start + line.len()..end.unwrap_or(body.len())).unwrap_or_default();
        if part.starts_with(b"--") {
            return;
        }
        self::part(part, end.is_some() || whole, sketch);
    }
}

fn part(part: &[u8], whole: bool, sketch: &mut Sketch) {
    let Some(head) = memmem::find(part, b"\r\n\r\n") else { return };
    let (head, value) = part.split_at_checked(head + 4).unwrap_or((part, &[]));
    let value = value.strip_suffix(b"\r\n").unwrap_or(value);
    let before = sketch.enter(parameter(head, b" name=\"").unwrap_or_default());
    if parameter(head, b"filename=\"").is_some() {
        sketch.file(value.len());
    } else {
        sketch.text(value, Kinds::STRING, whole);
    }
    sketch.leave(before);
}

/// A quoted parameter of a content disposition.
fn parameter<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = memmem::find(head, name).and_then(|at| head.get(at + name.len()..))?;
    memchr::memchr(b'"', rest).and_then(|end| rest.get(..end))
}
