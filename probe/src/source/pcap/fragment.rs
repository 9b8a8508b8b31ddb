//! Reassembly of fragmented IP datagrams, bounded in datagrams, pieces, bytes and time.
//!
//! Like Linux we give a datagram up when its pieces overlap: that is how firewalls are deceived
//! (RFC 5722), not how networks work.

use super::ip::{Address, Fragment, Packet};
use lru::LruCache;

/// Datagrams that wait for pieces; Linux keeps about as many bytes.
const MAX_DATAGRAMS: usize = 256;
/// Pieces of one datagram: the largest datagram over the smallest common MTU (576) has 119.
const MAX_PIECES: usize = 128;
/// Largest datagram.
const MAX_LENGTH: u32 = 65_535;
/// How long pieces wait, as in Linux (`net.ipv4.ipfrag_time`), nanoseconds.
const MAX_WAIT: u64 = 30_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    id: u32,
    protocol: u8,
}

/// One piece: where it begins and ends in the datagram, and where what was captured of it ends.
#[derive(Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
    captured: u32,
}

/// A datagram's payload while and after it is put together.
#[derive(Default)]
pub(super) struct Datagram {
    since: u64,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    length: Option<u32>,
}

/// What became of a piece.
enum Placed {
    Waiting,
    Complete,
    Refused,
}

/// Datagrams that are incomplete.
pub(super) struct Fragments {
    waiting: LruCache<Key, Datagram, foldhash::fast::RandomState>,
    incomplete: u64,
    refused: u64,
}

impl Fragments {
    pub(super) fn new() -> Self {
        let waiting = LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default());
        Self { waiting, incomplete: 0, refused: 0 }
    }

    /// Datagrams given up because pieces did not come, with those that still wait.
    pub(super) fn incomplete(&self) -> u64 {
        self.incomplete + self.waiting.len() as u64
    }

    /// Datagrams given up because their pieces overlap or are impossible.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes a fragment; gives the datagram when this was its last missing piece.
    pub(super) fn add(&mut self, packet: &Packet<'_>, fragment: Fragment, at: u64) -> Option<Datagram> {
        let key = Key {
            source: packet.source,
            destination: packet.destination,
            id: fragment.id,
            protocol: packet.protocol,
        };
        if self.waiting.peek(&key).is_some_and(|old| old.since.saturating_add(MAX_WAIT) < at) {
            self.waiting.pop(&key);
            self.incomplete += 1;
        }
        if !self.waiting.contains(&key) && self.waiting.len() >= MAX_DATAGRAMS {
            self.waiting.pop_lru();
            self.incomplete += 1;
        }
        let datagram = self.waiting.get_or_insert_mut(key, || Datagram { since: at, ..Datagram::default() });
        match datagram.place(fragment, packet.payload, packet.length) {
            Placed::Waiting => None,
            Placed::Complete => self.waiting.pop(&key),
            Placed::Refused => {
                self.waiting.pop(&key);
                self.refused += 1;
                None
            }
        }
    }
}

impl Datagram {
    /// The payload up to the first byte that was not captured, and its length on the wire.
    pub(super) fn payload(&self) -> (&[u8], u32) {
        let mut end = 0;
        for piece in &self.pieces {
            if piece.start == end {
                end = piece.captured;
            }
        }
        (self.bytes.get(..end as usize).unwrap_or_default(), self.length.unwrap_or(0))
    }

    fn place(&mut self, fragment: Fragment, payload: &[u8], length: u32) -> Placed {
        let Some(end) = fragment.offset.checked_add(length).filter(|end| *end <= MAX_LENGTH) else {
            return Placed::Refused;
        };
        let captured = fragment.offset + (payload.len() as u32).min(length);
        let piece = Piece { start: fragment.offset, end, captured };
        if self.pieces.iter().any(|other| other.start == piece.start && other.end == piece.end) {
            return Placed::Waiting;
        }
        if !self.accepts(piece, fragment.more) {
            return Placed::Refused;
        }
        self.write(piece, payload);
        if !fragment.more {
            self.length = Some(end);
        }
        if self.is_complete() { Placed::Complete } else { Placed::Waiting }
    }

    fn accepts(&self, piece: Piece, more: bool) -> bool {
        let overlaps = self.pieces.iter().any(|other| piece.start < other.end && other.start < piece.end);
        let last = self.pieces.iter().map(|other| other.end).max().unwrap_or(0);
        let ends = match self.length {
            Some(length) => more && piece.end <= length,
            None => more || piece.end >= last,
        };
        let aligned = !more || (piece.end - piece.start).is_multiple_of(8);
        let empty = piece.start == piece.end;
        !overlaps && ends && aligned && !empty && self.pieces.len() < MAX_PIECES
    }

    fn write(&mut self, piece: Piece, payload: &[u8]) {
        let (start, captured) = (piece.start as usize, piece.captured as usize);
        if self.bytes.len() < captured {
            self.bytes.resize(captured, 0);
        }
        if let Some(room) = self.bytes.get_mut(start..captured) {
            room.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        }
        let place = self.pieces.partition_point(|other| other.start < piece.start);
        self.pieces.insert(place, piece);
    }

    fn is_complete(&self) -> bool {
        let mut end = 0;
        self.pieces.iter().all(|piece| std::mem::replace(&mut end, piece.end) == piece.start)
            && self.length == Some(end)
    }
}
