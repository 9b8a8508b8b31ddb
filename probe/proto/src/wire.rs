//! The wire protocols: recognised by content, then read from the ordered runs of both directions.
//!
//! One file and one line in [`PROTOCOLS`] per protocol. A guess is never final: a conversation that finds
//! it was wrong hands the connection back.

pub mod http1;
pub mod http2;
pub mod tls;
pub mod websocket;

use crate::decoder::limits::Limits;
use crate::decoder::stats::DecoderStats;
use crate::exchange::Exchange;
use crate::segment::{ConnId, Side};

/// How well first bytes fit a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// They cannot be it.
    No,
    /// They are a beginning of it; more bytes will tell.
    Maybe,
    /// They are it.
    Yes,
}

/// A protocol in the table.
pub struct Entry {
    /// Its name, and that of its file.
    pub name: &'static str,
    /// Judges the first bytes that one side of a connection sent.
    pub recognise: fn(&[u8]) -> Match,
    /// Judges what a side sends on a connection that was met in the middle, where nothing was recognised.
    pub(crate) resumes: fn(Side, &[u8]) -> bool,
    /// Its counter of connections.
    pub(crate) counter: fn(&mut DecoderStats) -> &mut u64,
    /// Begins to read it; `None` for a protocol that is recognised, counted and left unread.
    pub(crate) start: Option<Start>,
}

/// Begins a conversation, told the first bytes that one side sent; they are read afterwards.
pub(crate) type Start = fn(Beginning, Side, &[u8]) -> Box<dyn Conversation>;

/// The protocols, in the order in which they are tried.
pub const PROTOCOLS: &[Entry] = &[tls::ENTRY, http2::ENTRY, http1::ENTRY, websocket::ENTRY];

/// Where in its life a connection is when a conversation takes it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// With the first byte of both directions.
    First,
    /// Somewhere inside.
    Middle,
}

/// What a conversation may use of the decoder while it reads.
pub(crate) struct Context<'a> {
    pub(crate) conn: ConnId,
    /// Time of the run that is being read, Unix nanoseconds.
    pub(crate) at: u64,
    /// Lends to HTTP/1, and knows what the open exchanges of all protocols hold.
    pub(crate) pool: &'a mut http1::Pool,
    /// Lends to HTTP/2.
    pub(crate) streams: &'a mut http2::Pool,
    pub(crate) stats: &'a mut DecoderStats,
    pub(crate) limits: &'a Limits,
    pub(crate) out: &'a mut dyn FnMut(&Exchange<'_>),
}

/// What became of bytes that a conversation was given.
pub(crate) enum Reading {
    /// All were read.
    On,
    /// The connection leaves this protocol; so many of the bytes, the last ones, belong to the next.
    Left(usize),
    /// The connection goes on in another protocol, to which so many of the bytes, the last ones, belong.
    Became(Box<dyn Conversation>, usize),
    /// It is not this protocol after all.
    Refused,
}

/// A connection that speaks one protocol. Sees each direction in order.
pub(crate) trait Conversation: Send {
    /// Reads what `from` sent; a call begins where a segment began.
    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Reading;

    /// `from` sent `len` bytes that were not captured, or, when `lost`, never seen.
    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>);

    /// `from` will send nothing more.
    fn end(&mut self, from: Side, cx: &mut Context<'_>);

    /// The connection is gone, by reset when `reset`. Reports everything that is open.
    fn close(&mut self, reset: bool, cx: &mut Context<'_>);

    /// Time has passed: reports what has waited too long.
    fn sweep(&mut self, now: u64, cx: &mut Context<'_>);

    /// Whether bytes from `from` would now be an answer to something its peer sent that is not read yet.
    fn turns(&self, from: Side) -> bool;

    /// A part of what `from` sent came again.
    fn repeated(&mut self, from: Side);

    /// Nothing is open: the connection may be forgotten without losing an exchange.
    fn is_idle(&self) -> bool;
}

/// The protocol that first bytes belong to.
pub(crate) enum Identity {
    Known(&'static Entry),
    Open,
    None,
}

/// The protocol that what `from` sends in the middle of a connection belongs to.
pub(crate) fn resumed(from: Side, bytes: &[u8]) -> Option<&'static Entry> {
    PROTOCOLS.iter().find(|entry| (entry.resumes)(from, bytes))
}

/// Asks every protocol of the table.
pub(crate) fn identify(bytes: &[u8]) -> Identity {
    let mut open = false;
    for entry in PROTOCOLS {
        match (entry.recognise)(bytes) {
            Match::Yes => return Identity::Known(entry),
            Match::Maybe => open = true,
            Match::No => {}
        }
    }
    if open { Identity::Open } else { Identity::None }
}

/// Whether first bytes are, or may become, those of a protocol that is read.
#[must_use]
pub fn may_be_read(bytes: &[u8]) -> bool {
    match identify(bytes) {
        Identity::Known(entry) => entry.start.is_some(),
        Identity::Open => true,
        Identity::None => false,
    }
}

/// Compares the beginning of `bytes` with `pattern`.
pub(crate) fn prefix(bytes: &[u8], pattern: &[u8]) -> Match {
    if bytes.starts_with(pattern) {
        Match::Yes
    } else if pattern.starts_with(bytes) {
        Match::Maybe
    } else {
        Match::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire");
        let files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(PROTOCOLS.iter().any(|entry| entry.name == file), "wire/{file}.rs is not in PROTOCOLS");
        }
    }

    #[test]
    fn content_names_the_protocol() {
        let name = |bytes: &[u8]| match identify(bytes) {
            Identity::Known(entry) => entry.name,
            Identity::Open => "open",
            Identity::None => "none",
        };
        assert_eq!(name(b"GET / HTTP/1.1\r\n\r\n"), "http1");
        assert_eq!(name(b"HTTP/1.0 200 OK\r\n"), "http1");
        assert_eq!(name(b"\r\n\r\nPOST /a HTTP/1.1\r\n"), "http1");
        assert_eq!(name(b"FROBNICATE x HTTP/1.1\r\n"), "http1");
        assert_eq!(name(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "http2");
        assert_eq!(name(b"PRI * H"), "open");
        assert_eq!(name(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), "tls");
        assert_eq!(name(&[0x16, 3]), "open");
        assert_eq!(name(b""), "open");
        assert_eq!(name(b"SSH-2.0-OpenSSH_9.2\r\n"), "none");
        assert_eq!(name(b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), "none");
        assert_eq!(name(b"EHLO example.org\r\n"), "none");
        let startup = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        assert!(
            may_be_read(b"GET / HTTP/1.1\r\n") && !may_be_read(startup) && !may_be_read(&[0x16, 3, 1, 2, 0])
        );
    }
}
