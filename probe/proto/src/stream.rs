//! One direction of a TCP connection put back in order by sequence number.
//!
//! In-order bytes are lent to the consumer as they came, without a copy. What is missing becomes an
//! explicit run: [`Run::Skipped`] (on the wire, not captured: normal for bodies) or [`Run::Lost`] (a hole
//! nobody filled). It does not know acknowledgements; who may give a hole up is said by the caller.

use crate::segment::Segment;
use std::collections::VecDeque;

/// Pieces held behind a hole, per direction: more than a full default receive window of small segments.
pub const MAX_HELD_PIECES: usize = 512;
/// Bytes held behind a hole, per direction: heads are small, bodies come without their bytes.
pub const MAX_HELD_BYTES: usize = 256 * 1024;
/// What a held piece costs beyond its bytes, for the global budget.
const PIECE_OVERHEAD: usize = size_of::<Piece>();

/// What a direction holds next, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    /// Bytes that were captured.
    Bytes(&'a [u8]),
    /// So many bytes were on the wire but not captured.
    Skipped(u64),
    /// So many bytes were never seen.
    Lost(u64),
    /// The sender closed its direction.
    End,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// At least a part of it had been seen before.
    pub repeated: bool,
    /// It had to be held behind a hole.
    pub held: bool,
    /// Holes that were given up to make room.
    pub given_up: u32,
}

/// Memory that all directions of a decoder may hold together.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes held now.
    pub used: usize,
    /// Bytes that may be held.
    pub limit: usize,
}

/// A segment that waits behind a hole.
#[derive(Debug)]
struct Piece {
    from: u64,
    len: u64,
    at: u64,
    bytes: Box<[u8]>,
}

impl Piece {
    const fn cost(&self) -> usize {
        self.bytes.len() + PIECE_OVERHEAD
    }
}

#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    /// Stream offset of the next byte.
    offset: u64,
    /// Offset at which the sender closed, and when that was seen.
    end: Option<(u64, u64)>,
    held: Option<Box<Held>>,
    /// Sequence number of the next byte, once `based`.
    next: u32,
    based: bool,
    ended: bool,
}

impl Stream {
    /// Takes a segment and hands on, with its time, everything that is now in order.
    pub fn push(
        &mut self,
        segment: &Segment<'_>,
        room: &mut Room,
        each: &mut impl FnMut(u64, Run<'_>),
    ) -> Pushed {
        let mut pushed = Pushed::default();
        if self.ended {
            pushed.repeated = segment.len > 0;
            return pushed;
        }
        if !self.based {
            self.based = true;
            self.next = segment.seq;
        }
        let len = u64::from(segment.len);
        let bytes = segment.bytes.get(..segment.len as usize).unwrap_or(segment.bytes);
        let ahead = segment.seq.wrapping_sub(self.next).cast_signed();
        if segment.fin && self.end.is_none() {
            let end = self.offset.saturating_add_signed(i64::from(ahead)).saturating_add(len);
            self.end = Some((end, segment.at));
        }
        if ahead > 0 {
            if len > 0 {
                pushed.held = true;
                let from = self.offset.saturating_add(u64::from(ahead.unsigned_abs()));
                self.hold(Piece { from, len, at: segment.at, bytes: bytes.into() }, room, &mut pushed);
                pushed.given_up = self.make_room(room, each);
            }
            return pushed;
        }
        let seen = u64::from(ahead.unsigned_abs());
        pushed.repeated = seen > 0 && len > 0;
        if let Some(rest) = len.checked_sub(seen).filter(|rest| *rest > 0) {
            let bytes = bytes.get(seen as usize..).unwrap_or_default();
            self.deliver(bytes, rest, segment.at, each);
            self.drain(room, each);
        }
        self.finish(segment.at, each);
        pushed
    }

    /// Whether this segment would be handed on at once.
    #[must_use]
    pub fn is_next(&self, segment: &Segment<'_>) -> bool {
        let behind = self.next.wrapping_sub(segment.seq).cast_signed();
        !self.ended && (!self.based || (behind >= 0 && behind.unsigned_abs() < segment.len))
    }

    /// Whether everything up to the end was handed on.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// When that came which waits first behind a hole: a piece, or the end.
    #[must_use]
    pub fn held_since(&self) -> Option<u64> {
        match &self.held {
            Some(held) => held.pieces.front().map(|piece| piece.at),
            None => self.end.filter(|_| !self.ended).map(|(_, at)| at),
        }
    }

    /// Gives up the first hole: what is missing is lost; what waits first behind it is handed on.
    pub fn give_up(&mut self, room: &mut Room, each: &mut impl FnMut(u64, Run<'_>)) {
        if let Some(piece) = self.take_first(room) {
            self.lose(piece.from, piece.at, each);
            self.deliver_piece(&piece, each);
            self.finish(piece.at, each);
        } else if let Some((end, at)) = self.end.filter(|_| !self.ended) {
            self.lose(end, at, each);
            self.finish(at, each);
        }
    }

    /// Forgets what is held.
    pub fn discard(&mut self, room: &mut Room) {
        while self.take_first(room).is_some() {}
    }

    fn lose(&mut self, until: u64, at: u64, each: &mut impl FnMut(u64, Run<'_>)) {
        let missing = until.saturating_sub(self.offset);
        if missing > 0 {
            self.advance(missing);
            each(at, Run::Lost(missing));
        }
    }

    fn deliver(&mut self, bytes: &[u8], len: u64, at: u64, each: &mut impl FnMut(u64, Run<'_>)) {
        self.advance(len);
        if !bytes.is_empty() {
            each(at, Run::Bytes(bytes));
        }
        let skipped = len.saturating_sub(bytes.len() as u64);
        if skipped > 0 {
            each(at, Run::Skipped(skipped));
        }
    }

    fn deliver_piece(&mut self, piece: &Piece, each: &mut impl FnMut(u64, Run<'_>)) {
        let seen = self.offset.saturating_sub(piece.from);
        if let Some(rest) = piece.len.checked_sub(seen).filter(|rest| *rest > 0) {
            let bytes = piece.bytes.get(seen as usize..).unwrap_or_default();
            self.deliver(bytes, rest, piece.at, each);
        }
    }

    fn advance(&mut self, len: u64) {
        self.offset = self.offset.saturating_add(len);
        self.next = self.next.wrapping_add(len as u32);
    }

    /// Hands on the held pieces that are now in order.
    fn drain(&mut self, room: &mut Room, each: &mut impl FnMut(u64, Run<'_>)) {
        while self.first_held().is_some_and(|from| from <= self.offset) {
            let Some(piece) = self.take_first(room) else { return };
            self.deliver_piece(&piece, each);
        }
    }

    fn finish(&mut self, at: u64, each: &mut impl FnMut(u64, Run<'_>)) {
        if !self.ended && self.held.is_none() && self.end.is_some_and(|(end, _)| end <= self.offset) {
            self.ended = true;
            each(at, Run::End);
        }
    }

    fn first_held(&self) -> Option<u64> {
        self.held.as_ref()?.pieces.front().map(|piece| piece.from)
    }

    /// Keeps a piece in order of position; of two at one position the longer survives.
    fn hold(&mut self, piece: Piece, room: &mut Room, pushed: &mut Pushed) {
        let held = self.held.get_or_insert_default();
        let place = held.pieces.partition_point(|other| (other.from, other.len) < (piece.from, piece.len));
        if held.pieces.get(place).is_some_and(|other| other.from == piece.from && other.len >= piece.len) {
            pushed.repeated = true;
            return;
        }
        held.bytes += piece.cost();
        room.used += piece.cost();
        held.pieces.insert(place, piece);
    }

    /// Gives up holes until the caps are kept; says how many.
    fn make_room(&mut self, room: &mut Room, each: &mut impl FnMut(u64, Run<'_>)) -> u32 {
        let mut given_up = 0;
        while self.held.as_ref().is_some_and(|held| {
            held.pieces.len() > MAX_HELD_PIECES || held.bytes > MAX_HELD_BYTES || room.used > room.limit
        }) {
            self.give_up(room, each);
            self.drain(room, each);
            given_up += 1;
        }
        given_up
    }

    fn take_first(&mut self, room: &mut Room) -> Option<Piece> {
        let held = self.held.as_mut()?;
        let piece = held.pieces.pop_front()?;
        held.bytes -= piece.cost();
        room.used -= piece.cost();
        if held.pieces.is_empty() {
            self.held = None;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
