//! HTTP/2 (RFC 9113), read from what was captured of both directions.
//!
//! Nothing is asked of the settings: what they allow is obeyed by the peers, and what matters here (the size of the header
//! table) is said again in the blocks. Sizes come from positions, also where DATA was not captured. A connection that was
//! met in the middle is recognised by frames in a row; its header tables are unknown, and so are the fields that rest on
//! them: see [`hpack`]. Pushed responses are counted, and not calls: nobody asked.

mod conversation;
mod envelope;
mod frame;
mod hpack;
mod open;
mod reader;

pub use open::Pool;

use super::http1::Asking;
use super::{Context, Conversation, Entry, Match, prefix};
use crate::segment::Side;

/// HTTP/2 in the table of protocols.
pub const ENTRY: Entry = Entry {
    name: "http2",
    recognise,
    resumes: |_, _| false,
    counter: |stats| &mut stats.http2,
    start: Some(conversation::Http2::start),
};

/// What a client sends first (§3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Request,
    Response,
}

impl Role {
    const fn other(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// A connection that left HTTP/1 with a request, which is answered on stream 1 (RFC 7540 §3.2).
pub(super) fn upgraded(requester: Side, request: &Asking<'_>, cx: &mut Context<'_>) -> Box<dyn Conversation> {
    cx.stats.http2 += 1;
    conversation::Http2::upgraded(requester, request, cx)
}

/// The preface, or frames.
fn recognise(bytes: &[u8]) -> Match {
    match prefix(bytes, PREFACE) {
        Match::No => frame::resembles(bytes),
        found => found,
    }
}
