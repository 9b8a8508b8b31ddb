//! HTTP/1.0 and HTTP/1.1 (RFC 9112), read from what was captured of both directions.
//!
//! Sizes on the wire are exact, also where bodies were not captured: they come from positions, not from
//! copies. A chunked body that was cut beyond a chunk cannot be followed; it then ends with the next message of the
//! other side, with the connection, or with silence, and its decoded size is an estimate (no note: nothing was lost).
//! `Sizes::wire` of a response includes its interim responses, as nginx's `$bytes_sent` does.
//!
//! Nothing is guessed about messages that two servers could read differently: they carry the notes of
//! [`Notes::SMUGGLING`](crate::call::Notes::SMUGGLING), and framing that is void is followed blindly.

mod chunked;
mod conversation;
mod events;
mod head;
mod open;
mod reader;
mod start_line;

pub(super) use open::Asking;
pub use open::Pool;

pub(super) use open::Kept;

use super::{Entry, Match};

/// HTTP/1 in the table of protocols.
pub const ENTRY: Entry = Entry {
    name: "http1",
    recognise,
    resumes: |_, _| false,
    counter: |stats| &mut stats.http1,
    start: Some(conversation::Http1::start),
};

/// The two kinds of message.
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

/// First bytes of a request or a response, after any empty lines (RFC 9112 §2.2).
fn recognise(bytes: &[u8]) -> Match {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(blank..).unwrap_or_default();
    match (start_line::plausible(Role::Request, bytes), start_line::plausible(Role::Response, bytes)) {
        (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
        (Match::No, Match::No) => Match::No,
        _ => Match::Maybe,
    }
}
