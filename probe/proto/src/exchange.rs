//! One request and its response as they were on the wire, lent to the dialects and then forgotten.
//!
//! Holds raw bytes (tokens, cookies, bodies): an `Exchange` is neither cloned nor serialised nor kept.

use crate::call::{Messages, Notes};
use crate::segment::{ConnId, Side};

/// Header fields of a message head, in wire order. Names are as received; compare without case.
pub trait Fields {
    /// Calls `each` with the name and value of every field.
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// The first value of the field `name` (ASCII case-insensitive).
    fn get(&self, name: &str) -> Option<&[u8]>;
}

/// How the exchange was framed on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2: method and target are `:method` and `:path`, the field `host` is `:authority`.
    Http2,
    /// A message of a WebSocket: the method is `SEND` or `RECEIVE`, target and fields are those of the upgrade.
    Websocket(Frame),
    /// A server-sent event: the method is `RECEIVE`, target and fields are those of the request for the stream.
    Events,
}

/// What a message of a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The farewell, with its code.
    Close,
}

/// Of what has no fields.
pub(crate) struct NoFields;

impl Fields for NoFields {
    fn each(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}

    fn get(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// When things happened, in Unix nanoseconds; 0 where it did not (yet) happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// First byte of the request.
    pub request_start: u64,
    /// Last byte of the request that was seen.
    pub request_end: u64,
    /// First byte of the response (of the final one, not of a 1xx).
    pub response_start: u64,
    /// Last byte of the response that was seen.
    pub response_end: u64,
    /// When the exchange was given up or completed.
    pub closed: u64,
}

/// Sizes on the wire, in bytes; a body counts decoded from its transfer coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Start line and fields, with the empty line.
    pub head: u64,
    /// Body without chunk framing and trailers.
    pub body: u64,
    /// All bytes of the message on the wire: head, body, chunk framing, trailers.
    pub wire: u64,
}

/// The request half.
pub struct Request<'a> {
    /// Method token, as received.
    pub method: &'a [u8],
    /// Request target, as received (origin, absolute, authority or asterisk form).
    pub target: &'a [u8],
    /// Minor version of HTTP/1.
    pub minor_version: u8,
    /// Header fields.
    pub fields: &'a dyn Fields,
    /// Fields behind the body, when they were read.
    pub trailers: Option<&'a dyn Fields>,
    /// The captured prefix of the body, decoded from its transfer coding. May be empty.
    pub body: &'a [u8],
    /// Sizes.
    pub sizes: Sizes,
}

/// The response half.
pub struct Response<'a> {
    /// Status code, 100 to 999; 0 for a message that the responder sent on its own ([`Notes::ONE_WAY`]).
    pub status: u16,
    /// Minor version of HTTP/1.
    pub minor_version: u8,
    /// Header fields.
    pub fields: &'a dyn Fields,
    /// Fields behind the body, when they were read.
    pub trailers: Option<&'a dyn Fields>,
    /// The captured prefix of the body, decoded from its transfer coding. May be empty.
    pub body: &'a [u8],
    /// Sizes.
    pub sizes: Sizes,
}

/// One request with the response that belongs to it, if there was one.
pub struct Exchange<'a> {
    /// The connection.
    pub conn: ConnId,
    /// How it was framed.
    pub wire: Wire,
    /// Which side sent the request. `Side::Server` when the source had guessed the ends the wrong way round.
    pub requester: Side,
    /// The request.
    pub request: Request<'a>,
    /// `None`: unanswered when the exchange ended.
    pub response: Option<Response<'a>>,
    /// Timestamps.
    pub timing: Timing,
    /// Messages of the requester and of the responder, where the wire has any.
    pub messages: [Messages; 2],
    /// What was odd about it.
    pub notes: Notes,
}
