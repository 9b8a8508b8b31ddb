//! One direction of a connection: where it is within its frames, and the header block that is being collected.

use super::frame::{Frame, HEADER, PADDED, PRIORITISED, PUSH_PROMISE};
use super::hpack::Table;

/// Octets of one header block that are collected, over all its frames: more than servers accept.
const MAX_BLOCK: usize = 64 * 1024;
/// Buffers larger than this are not kept.
const MAX_KEPT: usize = 4096;

/// Where a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Within the preface of the client.
    Preface,
    /// Within the header of a frame, or before it.
    Header,
    /// Within the payload of a frame.
    Payload,
    /// Anywhere: frames are looked for where a segment begins.
    Seek,
    /// The sender has closed.
    Ended,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) phase: Phase,
    pub(super) frame: Frame,
    /// Octets of the payload that are to come.
    pub(super) left: u32,
    /// Octets of padding at the end of the payload, once known.
    pub(super) padding: Option<u32>,
    /// Octets of a frame header, or of a short payload, that came in pieces.
    pub(super) octets: [u8; HEADER],
    pub(super) have: u8,
    /// Frames to come until a place that was found behind a gap is certain.
    pub(super) doubt: u8,
    pub(super) block: Block,
    pub(super) table: Table,
}

impl Reader {
    pub(super) const fn new(phase: Phase, whole: bool) -> Self {
        Self {
            phase,
            frame: Frame { len: 0, kind: 0, flags: 0, stream: 0 },
            left: 0,
            padding: None,
            octets: [0; HEADER],
            have: 0,
            doubt: 0,
            block: Block::new(),
            table: Table::new(whole),
        }
    }

    /// Takes octets until there are `wanted`; says how many it took.
    pub(super) fn gather(&mut self, octets: &[u8], wanted: usize) -> usize {
        let have = usize::from(self.have);
        let taken = octets.len().min(wanted.min(HEADER).saturating_sub(have));
        let part = octets.get(..taken).unwrap_or_default();
        if let Some(to) = self.octets.get_mut(have..have + taken) {
            to.copy_from_slice(part);
        }
        self.have += taken as u8;
        taken
    }

    /// Begins the payload of `frame`.
    pub(super) fn begin(&mut self, frame: Frame) {
        self.frame = frame;
        self.left = frame.len;
        self.have = 0;
        self.padding = (!frame.has(PADDED)).then_some(0);
        self.phase = Phase::Payload;
    }
}

/// What is missing of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiled {
    /// Nothing.
    No,
    /// It is longer than what is collected.
    Long,
    /// Octets were not captured.
    Gap,
}

/// A header block while it is collected.
#[derive(Debug)]
pub(super) struct Block {
    octets: Vec<u8>,
    /// Where the payload of the current frame begins.
    from: usize,
    /// The frame that began the block; stream 0 when none is pending.
    pub(super) first: Frame,
    pub(super) spoiled: Spoiled,
    /// It is too long, and was read as far as it goes: the rest of it is passed over.
    pub(super) passed: bool,
    /// Octets of its frames on the wire.
    pub(super) wire: u64,
}

impl Block {
    const fn new() -> Self {
        let first = Frame { len: 0, kind: 0, flags: 0, stream: 0 };
        Self { octets: Vec::new(), from: 0, first, spoiled: Spoiled::No, passed: false, wire: 0 }
    }

    pub(super) const fn is_pending(&self) -> bool {
        self.first.stream != 0
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// A frame of it begins.
    pub(super) fn begin(&mut self, frame: Frame) {
        if !self.is_pending() {
            self.octets.clear();
            (self.first, self.spoiled, self.wire) = (frame, Spoiled::No, 0);
        }
        self.from = self.octets.len();
        self.wire += u64::from(frame.len) + HEADER as u64;
    }

    /// A part of the payload of the current frame.
    pub(super) fn push(&mut self, payload: &[u8]) {
        if self.spoiled != Spoiled::No {
            return;
        }
        let room = MAX_BLOCK.saturating_sub(self.octets.len());
        if payload.len() > room {
            self.spoiled = Spoiled::Long;
        }
        self.octets.extend_from_slice(payload.get(..room).unwrap_or(payload));
    }

    /// A part of it is missing.
    pub(super) fn miss(&mut self) {
        if self.spoiled == Spoiled::No {
            self.spoiled = Spoiled::Gap;
        }
    }

    /// The current frame is complete: what does not belong to the block is taken out.
    pub(super) fn close_frame(&mut self, frame: &Frame) {
        let payload = self.octets.get(self.from..).unwrap_or_default();
        let whole = payload.len() == frame.len as usize;
        let (start, end) = fragment(frame, payload);
        if whole {
            self.octets.truncate(self.from + end);
        }
        self.octets.drain(self.from..(self.from + start).min(self.octets.len()));
    }

    /// It goes on, and what comes is not collected.
    pub(super) fn pass(&mut self, first: Frame) {
        (self.first, self.spoiled, self.passed) = (first, Spoiled::Long, true);
    }

    /// It was read.
    pub(super) fn finish(&mut self) {
        self.first = Frame::default();
        self.passed = false;
        self.octets.clear();
        self.octets.shrink_to(MAX_KEPT);
    }
}

/// Where in the payload of a frame its part of the block begins and ends.
pub(super) fn fragment(frame: &Frame, payload: &[u8]) -> (usize, usize) {
    let padded = frame.has(PADDED) && frame.is_block() && frame.kind != super::frame::CONTINUATION;
    let padding = if padded { payload.first().map_or(0, |octet| usize::from(*octet)) } else { 0 };
    let promised = if frame.kind == PUSH_PROMISE { 4 } else { 0 };
    let prioritised = frame.kind == super::frame::HEADERS && frame.has(PRIORITISED);
    let start = usize::from(padded) + promised + if prioritised { 5 } else { 0 };
    let start = start.min(payload.len());
    (start, payload.len().saturating_sub(padding).max(start))
}
