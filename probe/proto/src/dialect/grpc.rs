//! gRPC and gRPC-Web: the operation is the path, `/package.Service/Method`; what came back is in the trailers.
//!
//! Over HTTP/2 the messages were counted on the wire. gRPC-Web puts its trailers into the body, and over HTTP/1 its
//! messages are counted here, as far as the body was captured. Messages are never decoded.

use super::{Dialect, Scratch, set_method, set_path};
use crate::call::{Call, Messages, Notes, Protocol};
use crate::exchange::{Exchange, Fields, Wire};
use crate::path::{MAX_PATH, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const MEDIA: &[u8] = b"application/grpc";
const WEB: &[u8] = b"application/grpc-web";
const WEB_TEXT: &[u8] = b"application/grpc-web-text";
/// Every version of the reflection service.
const REFLECTION: &[u8] = b"/grpc.reflection.";
/// What the operation is called while a stream goes on: see [`Notes::STREAMING`].
const STREAM: &[u8] = b"STREAM";
/// Octets before a message, and the flags in the first of them.
const PREFIX: usize = 5;
const COMPRESSED: u8 = 1;
const TRAILERS: u8 = 0x80;
/// Longest identifier in a path.
const MAX_IDENTIFIER: usize = 128;

/// The dialect.
pub struct Grpc;

impl Dialect for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        media(exchange).starts_with(MEDIA)
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        call.protocol = Protocol::Grpc;
        let goes_on = exchange.notes.any(Notes::ONE_WAY);
        set_method(if goes_on { STREAM } else { exchange.request.method }, &mut call.method);
        call.operation.clear();
        call.query.clear();
        match str::from_utf8(target.path) {
            Ok(path) if is_method(target.path) => {
                call.path.clear();
                call.path.push_str(path);
            }
            _ => set_path(exchange, target, scratch, &mut call.path),
        }
        if target.path.starts_with(REFLECTION) {
            call.notes.add(Notes::REFLECTION);
        }
        if let Some(patience) = exchange.request.fields.get("grpc-timeout").and_then(patience) {
            call.notes.add(Notes::DEADLINE);
            call.notes.add(if call.duration > patience { Notes::OVERDUE } else { Notes::default() });
        }
        call.app_status = in_fields(exchange);
        if media(exchange).starts_with(WEB) {
            read_web(exchange, &mut scratch.text, call);
        }
        call.failed = call.app_status.is_some_and(|status| status != 0);
        call.notes.add(match call.app_status {
            Some(12) => Notes::UNIMPLEMENTED,
            Some(2 | 7 | 13 | 14 | 16) => Notes::WITHHELD,
            _ => Notes::default(),
        });
    }
}

/// The media type of the request, or of the response where that of the request is not known.
fn media<'a>(exchange: &Exchange<'a>) -> &'a [u8] {
    let asked = exchange.request.fields.get("content-type");
    let answered = || exchange.response.as_ref().and_then(|response| response.fields.get("content-type"));
    asked.or_else(answered).unwrap_or_default()
}

/// `/package.Service/Method`: names of a schema, which need no redaction.
fn is_method(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/").filter(|path| path.len() < MAX_PATH) else { return false };
    let mut parts = path.split(|byte| *byte == b'/');
    let (Some(service), Some(method), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    service.split(|byte| *byte == b'.').all(is_identifier) && is_identifier(method)
}

fn is_identifier(name: &[u8]) -> bool {
    name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name.len() <= MAX_IDENTIFIER
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Nanoseconds that the caller waits: up to eight digits and a unit.
fn patience(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.trim_ascii().split_last()?;
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    let count: u32 = str::from_utf8(digits).ok().filter(|digits| digits.len() <= 8)?.parse().ok()?;
    Some(u64::from(count).saturating_mul(unit))
}

/// The status from the trailers, or from the head where there is nothing else (a response of trailers only).
fn in_fields(exchange: &Exchange<'_>) -> Option<i32> {
    let response = exchange.response.as_ref()?;
    let trailers = response.trailers.and_then(|trailers| trailers.get("grpc-status"));
    number(trailers.or_else(|| response.fields.get("grpc-status"))?)
}

fn number(value: &[u8]) -> Option<i32> {
    str::from_utf8(value.trim_ascii()).ok()?.parse().ok().filter(|status| (0..1000).contains(status))
}

/// Counts the messages of gRPC-Web and reads the trailers behind them, as far as the bodies were captured.
fn read_web(exchange: &Exchange<'_>, scratch: &mut Vec<u8>, call: &mut Call) {
    let text =
        |fields: &dyn Fields| fields.get("content-type").is_some_and(|media| media.starts_with(WEB_TEXT));
    let mut messages = [Messages::default(); 2];
    let [asked, answered] = &mut messages;
    read_frames(exchange.request.body, text(exchange.request.fields), scratch, asked, call);
    if let Some(response) = &exchange.response {
        read_frames(response.body, text(response.fields), scratch, answered, call);
    }
    if exchange.wire == Wire::Http1 {
        call.messages = messages;
    }
}

/// Reads the messages and the trailers of one body.
fn read_frames(body: &[u8], text: bool, scratch: &mut Vec<u8>, messages: &mut Messages, call: &mut Call) {
    let mut rest = body;
    if text {
        decode_text(body, scratch);
        rest = scratch;
    }
    while let Some(([flags, len @ ..], after)) = rest.split_first_chunk::<PREFIX>() {
        let len = u32::from_be_bytes(*len);
        let (message, next) = after.split_at_checked(len as usize).unwrap_or((after, &[]));
        if flags & TRAILERS == 0 {
            messages.merge(Messages::one(u64::from(len)));
            call.notes.add(if flags & COMPRESSED != 0 { Notes::COMPRESSED } else { Notes::default() });
        } else if flags & COMPRESSED == 0 {
            call.app_status = in_trailers(message).or(call.app_status);
        }
        rest = next;
    }
}

/// Lines like those of HTTP/1.
fn in_trailers(lines: &[u8]) -> Option<i32> {
    lines.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at_checked(colon)?;
        name.eq_ignore_ascii_case(b"grpc-status").then(|| number(value.get(1..)?))?
    })
}

/// Base64 that may end, with its padding, after every message: decoded in groups of four characters.
fn decode_text(body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut bytes = [0; 3];
    for group in body.chunks_exact(4) {
        let Ok(len) = STANDARD.decode_slice(group, &mut bytes) else { return };
        out.extend_from_slice(bytes.get(..len).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_a_schema_are_shown_as_they_are() {
        for path in [
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/A/b",
            "/shop.v1_2.Cart/Add_1",
        ] {
            assert!(is_method(path.as_bytes()), "{path}");
        }
        for path in
            ["", "/", "/A", "/A/", "/A/b/c", "/A/1b", "/a b/c", "/a..b/c", "/A/b?c", "//b", "/A/eyJ.eyJ.x-y"]
        {
            assert!(!is_method(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn deadlines_are_read() {
        let read = ["1H", "99999999H", "5S", "250m", "7u", "3n", "1", "H", "123456789n", "-1S", "1s", ""]
            .map(|value| patience(value.as_bytes()));
        let [hour, most, seconds, milli, micro, nano, wrong @ ..] = read;
        assert_eq!((hour, seconds, milli), (Some(3_600_000_000_000), Some(5_000_000_000), Some(250_000_000)));
        assert_eq!((micro, nano, most), (Some(7000), Some(3), Some(u64::MAX)));
        assert!(wrong.iter().all(Option::is_none), "{wrong:?}");
    }

    #[test]
    fn trailers_in_a_body_are_read() {
        assert_eq!(in_trailers(b"grpc-status:5\r\ngrpc-message:no\r\n"), Some(5));
        assert_eq!(in_trailers(b"Grpc-Message: 7\r\nGrpc-Status: 0\r\n"), Some(0));
        assert_eq!(in_trailers(b"grpc-status:x\r\n"), None);
        let mut text = Vec::new();
        decode_text(b"AAAAAAE=QQ==?", &mut text);
        assert_eq!(text, [0, 0, 0, 0, 1, b'A']);
    }
}
