//! HTTP/2: recognised by its preface and, so far, left unread.

mod hpack;

use super::{Entry, Match, prefix};

/// HTTP/2 in the table of protocols.
pub const ENTRY: Entry =
    Entry { name: "http2", recognise, counter: |stats| &mut stats.opaque_http2, start: None };

/// What a client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn recognise(bytes: &[u8]) -> Match {
    prefix(bytes, PREFACE)
}
