//! What was odd, or special, about an exchange: one bit each.

use serde::{Deserialize, Serialize};

/// What was odd about an exchange: a set of `Notes::*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notes(pub u64);

impl Notes {
    /// Bytes are missing inside the exchange; sizes and the end may be estimates.
    pub const GAP: Self = Self(1);
    /// The request body had not ended when the exchange closed.
    pub const REQUEST_CUT: Self = Self(1 << 1);
    /// The response had not ended when the exchange closed.
    pub const RESPONSE_CUT: Self = Self(1 << 2);
    /// The connection was reset while the exchange was open.
    pub const RESET: Self = Self(1 << 3);
    /// The response body is delimited by the end of the connection.
    pub const UNTIL_CLOSE: Self = Self(1 << 4);
    /// The connection left HTTP/1 with this exchange (101 or an accepted CONNECT).
    pub const UPGRADED: Self = Self(1 << 5);
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.3).
    pub const LENGTH_AND_CHUNKED: Self = Self(1 << 6);
    /// Content-Length that is repeated, differs, or is not a number.
    pub const BAD_LENGTH: Self = Self(1 << 7);
    /// Transfer-Encoding whose last coding is not exactly `chunked`, or repeated.
    pub const BAD_TRANSFER_ENCODING: Self = Self(1 << 8);
    /// A folded header line (obs-fold).
    pub const OBS_FOLD: Self = Self(1 << 9);
    /// Malformed chunk framing.
    pub const BAD_CHUNK: Self = Self(1 << 10);
    /// White space before a colon, or a bare CR or LF in the head.
    pub const ODD_WHITESPACE: Self = Self(1 << 11);
    /// More than one Host, or none in HTTP/1.1.
    pub const BAD_HOST: Self = Self(1 << 12);
    /// The response began before the request had ended.
    pub const EARLY_RESPONSE: Self = Self(1 << 13);
    /// A head larger than the cap, or than what was captured of it: fields may be missing.
    pub const HEAD_TRUNCATED: Self = Self(1 << 14);
    /// Seen from inside an open connection: the first message may be incomplete.
    pub const MID_STREAM: Self = Self(1 << 15);
    /// The method is CONNECT.
    pub const TUNNEL: Self = Self(1 << 16);
    /// The request target is in absolute form.
    pub const ABSOLUTE_FORM: Self = Self(1 << 17);
    /// The server sent an interim (1xx) response.
    pub const INTERIM: Self = Self(1 << 18);
    /// A response without a request that was seen.
    pub const ORPHAN_RESPONSE: Self = Self(1 << 19);
    /// Requests were pipelined behind this one.
    pub const PIPELINED: Self = Self(1 << 20);
    /// A transparent retransmission was merged.
    pub const RETRANSMIT: Self = Self(1 << 21);
    /// More data than the framing allows (a response to nothing, bytes after the end).
    pub const EXCESS: Self = Self(1 << 22);
    /// A message that expects no answer: one of a WebSocket or of an event stream.
    pub const ONE_WAY: Self = Self(1 << 23);
    /// The response is a stream of messages, each a call of its own; it was reported with its head.
    pub const STREAMING: Self = Self(1 << 24);
    /// Header fields whose name or value is not known, because the compression began before us.
    pub const OPAQUE_FIELDS: Self = Self(1 << 25);
    /// Asks a GraphQL server for its schema.
    pub const INTROSPECTION: Self = Self(1 << 26);
    /// Asks a gRPC server for its services.
    pub const REFLECTION: Self = Self(1 << 27);
    /// A compressed body or message that grew beyond the cap: it was not read further.
    pub const BODY_CAPPED: Self = Self(1 << 28);
    /// Malformed framing below the head: a frame of WebSocket or HTTP/2 that no peer may send.
    pub const BAD_FRAME: Self = Self(1 << 29);
    /// The operation was sent by a name or hash that only the server can look up.
    pub const PERSISTED: Self = Self(1 << 30);
    /// Several operations in one request.
    pub const BATCH: Self = Self(1 << 31);
    /// A body that does not parse as what it is declared, as far as it was captured.
    pub const BAD_BODY: Self = Self(1 << 32);
    /// There is a response, and its status is not known.
    pub const OPAQUE_STATUS: Self = Self(1 << 33);
    /// Messages are compressed, one by one.
    pub const COMPRESSED: Self = Self(1 << 34);
    /// A script of another domain than the host that was asked sent it.
    pub const FOREIGN_ORIGIN: Self = Self(1 << 35);
    /// The answer lets a foreign origin in with credentials (CORS).
    pub const OPEN_CORS: Self = Self(1 << 36);
    /// The answer to a failure shows the code that failed.
    pub const STACK_TRACE: Self = Self(1 << 37);
    /// The answer says which version of a server or framework it comes from.
    pub const BANNER: Self = Self(1 << 38);
    /// A document from outside holds what a browser would run.
    pub const MARKUP: Self = Self(1 << 39);
    /// A page without fields that protect whoever shows it.
    pub const UNHARDENED: Self = Self(1 << 40);
    /// A proxy in front says that it ended TLS.
    pub const TLS_IN_FRONT: Self = Self(1 << 41);
    /// A value of the request is a URL of another host.
    pub const NAMES_HOST: Self = Self(1 << 42);
    /// A value of the request is a URL of a host that only exists inside.
    pub const NAMES_INSIDE: Self = Self(1 << 43);
    /// The answer sends the caller to another host.
    pub const REDIRECTED: Self = Self(1 << 44);
    /// The request names an amount below nothing.
    pub const NEGATIVE_AMOUNT: Self = Self(1 << 45);
    /// The request names a price.
    pub const NAMES_PRICE: Self = Self(1 << 46);
    /// The answer says that the operation is deprecated, or when it will be gone (RFC 9745, RFC 8594).
    pub const DEPRECATED: Self = Self(1 << 47);
    /// The server said that it has no such operation, though the transport succeeded (gRPC status 12).
    pub const UNIMPLEMENTED: Self = Self(1 << 48);
    /// What stands before the operation refused, or what is below it failed, though the transport succeeded (gRPC status
    /// 2, 7, 13, 14, 16): nothing says that there is such an operation.
    pub const WITHHELD: Self = Self(1 << 49);
    /// The client showed a certificate of its own to the server (mutual TLS).
    pub const CLIENT_CERTIFICATE: Self = Self(1 << 50);
    /// It begins behind a gap of its connection, where frames were found again by what looks like them: bytes of a body may.
    pub const PLACE_GUESSED: Self = Self(1 << 51);

    /// The caller said how long it would wait (`grpc-timeout`).
    pub const DEADLINE: Self = Self(1 << 52);
    /// It took longer than that.
    pub const OVERDUE: Self = Self(1 << 53);
    /// Answered with 403 by a policy of this tool: the server has not seen the request. A server that answers in the very same
    /// words is taken for us.
    pub const BLOCKED: Self = Self(1 << 54);

    /// Notes whose presence means that two parsers may disagree about where a message ends.
    pub const SMUGGLING: Self = Self(
        Self::LENGTH_AND_CHUNKED.0
            | Self::BAD_LENGTH.0
            | Self::BAD_TRANSFER_ENCODING.0
            | Self::BAD_CHUNK.0
            | Self::ODD_WHITESPACE.0
            | Self::OBS_FOLD.0,
    );

    /// Names, by bit, as printed.
    pub const NAMES: [&'static str; 55] = [
        "gap",
        "request-cut",
        "response-cut",
        "reset",
        "until-close",
        "upgraded",
        "length-and-chunked",
        "bad-length",
        "bad-transfer-encoding",
        "obs-fold",
        "bad-chunk",
        "odd-whitespace",
        "bad-host",
        "early-response",
        "head-truncated",
        "mid-stream",
        "tunnel",
        "absolute-form",
        "interim",
        "orphan-response",
        "pipelined",
        "retransmit",
        "excess",
        "one-way",
        "streaming",
        "opaque-fields",
        "introspection",
        "reflection",
        "body-capped",
        "bad-frame",
        "persisted",
        "batch",
        "bad-body",
        "opaque-status",
        "compressed",
        "foreign-origin",
        "open-cors",
        "stack-trace",
        "banner",
        "markup",
        "unhardened",
        "tls-in-front",
        "names-host",
        "names-inside",
        "redirected",
        "negative-amount",
        "names-price",
        "deprecated",
        "unimplemented",
        "withheld",
        "client-certificate",
        "place-guessed",
        "deadline",
        "overdue",
        "blocked",
    ];

    /// Adds the notes of `other`.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether any note of `other` is present.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the notes that are present.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name)
    }
}
