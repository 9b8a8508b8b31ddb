//! Frame headers (RFC 9113 §4.1): what they say, and whether a sane peer would send them.

use crate::wire::Match;

/// Octets of a frame header.
pub(super) const HEADER: usize = 9;
/// Largest frame without settings (§6.5.2); few peers agree on more, and those for DATA alone.
const MAX_FRAME: u32 = 16_384;
/// Frames in a row that make what looks like HTTP/2 certain.
const CERTAIN: usize = 2;
/// SETTINGS parameters of one frame: there are fewer than ten, and some peers add one at random.
const MAX_SETTINGS: u32 = 64;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// On DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// On SETTINGS and PING.
const ACK: u8 = 1;
/// On HEADERS, PUSH_PROMISE and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;
/// On DATA, HEADERS and PUSH_PROMISE.
pub(super) const PADDED: u8 = 8;
/// On HEADERS: five octets of priority come first.
pub(super) const PRIORITISED: u8 = 0x20;

/// A frame header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Octets of payload.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    pub(super) const fn parse(octets: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *octets;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Self { len: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// It carries a header block, or a part of one.
    pub(super) const fn is_block(&self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    /// Whether no rule of its type is broken; unknown types and flags are to be ignored, and are.
    pub(super) const fn is_lawful(&self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            DATA | HEADERS | CONTINUATION => on_stream,
            PRIORITY => on_stream && self.len == 5,
            RST_STREAM => on_stream && self.len == 4,
            SETTINGS => !on_stream && self.len.is_multiple_of(6) && (!self.has(ACK) || self.len == 0),
            PUSH_PROMISE => on_stream && self.len >= 4,
            PING => !on_stream && self.len == 8,
            GOAWAY => !on_stream && self.len >= 8,
            WINDOW_UPDATE => self.len == 4,
            _ => true,
        }
    }

    /// Whether real peers send such a frame: what is looked for where the position is not known.
    fn is_usual(&self) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | PRIORITISED,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            SETTINGS | PING => ACK,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return false,
        };
        let of_client = self.stream % 2 == 1 || self.stream == 0;
        let short = self.len <= MAX_FRAME && (self.kind != SETTINGS || self.len <= 6 * MAX_SETTINGS);
        self.is_lawful() && self.flags & !flags == 0 && of_client && short
    }
}

/// How well frames in a row fit `bytes`, which begin where a segment began.
pub(super) fn resembles(bytes: &[u8]) -> Match {
    let mut rest = bytes;
    let mut whole = 0;
    while let Some((octets, payload)) = rest.split_first_chunk() {
        let frame = Frame::parse(octets);
        // The reserved bit is never set, and no header block is longer than its first frame by habit.
        if !frame.is_usual() || octets.get(5).is_some_and(|octet| octet & 0x80 != 0) {
            return Match::No;
        }
        if frame.kind == HEADERS && !block_is_usual(&frame, payload) {
            return Match::No;
        }
        let Some(next) = payload.get(frame.len as usize..) else {
            // The payload goes on in the next segment: the header alone must do.
            return Match::Yes;
        };
        whole += 1;
        if whole >= CERTAIN || next.is_empty() {
            return Match::Yes;
        }
        rest = next;
    }
    if is_beginning(rest) { Match::Maybe } else { Match::No }
}

/// Whether a block may begin like this: a size update, an indexed pseudo field or a literal one, never index 0.
fn block_is_usual(frame: &Frame, payload: &[u8]) -> bool {
    let fragment = usize::from(frame.has(PADDED)) + if frame.has(PRIORITISED) { 5 } else { 0 };
    payload.get(fragment).is_none_or(|first| *first != 0x80)
}

/// Whether fewer octets than a header may begin one.
fn is_beginning(octets: &[u8]) -> bool {
    let mut all = [0; HEADER];
    let Some(part) = all.get_mut(..octets.len()) else { return false };
    part.copy_from_slice(octets);
    let mut frame = Frame::parse(&all);
    if octets.len() < 4 {
        return frame.len <= MAX_FRAME;
    }
    frame.stream = u32::from(!matches!(frame.kind, SETTINGS | PING | GOAWAY));
    frame.is_usual()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn frames_are_told_from_other_protocols() {
        let headers = frame(HEADERS, END_HEADERS | END_STREAM, 7, &[0x82, 0x86, 0x84]);
        assert_eq!(resembles(&headers), Match::Yes);
        assert_eq!(resembles(&frame(SETTINGS, 0, 0, &[0; 18])), Match::Yes);
        assert_eq!(resembles(&[frame(WINDOW_UPDATE, 0, 0, &[0; 4]), headers.clone()].concat()), Match::Yes);
        assert_eq!(resembles(&headers[..5]), Match::Maybe);
        assert_eq!(resembles(&[headers, b"garbage garbage".to_vec()].concat()), Match::No);
        for other in [
            &b"\x00\x00\x00\x08\x04\xd2\x16\x2f"[..],
            b"\x00\x00\x00\x1f\x00\x03\x00\x07\x00\x00\x00\x01\x00\x04test",
            b"\x00\x00\x01\x00\x00\x03\x00\x07\x00\x00\x00\x01\x00\x04test-and-what-follows",
            b"\x00\x1d\x12\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01",
            b"\x00\x00\x00\xa4\xffSMB",
            b"\x00\x00\x00\x1c\x80\x01\x00\x01\x00\x00\x00\x04ping",
            b"\x4a\x00\x00\x00\x0a8.0.36",
            b"\x01\x00\x00\x00\x00\x00\x0d\x00\x0a",
        ] {
            assert_eq!(resembles(other), Match::No, "{}", other.escape_ascii());
        }
    }
}
