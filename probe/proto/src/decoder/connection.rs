//! One connection: its two streams, and which protocol they carry.

use crate::segment::{Segment, Side};
use crate::stream::{Room, Run, Stream};
use crate::wire::{Beginning, Context, Conversation, Reading};

use super::openness::{Found, Openness};

/// A connection.
pub(super) struct Connection {
    streams: [Stream; 2],
    speech: Speech,
    /// When it last sent something.
    pub(super) last: u64,
    /// It is in the decoder's list of those that time can change.
    pub(super) watched: bool,
}

/// What is spoken, as far as known.
enum Speech {
    /// Not known yet.
    Open(Openness),
    /// Known and read.
    Known(Box<dyn Conversation>),
    /// Left unread.
    Opaque,
    /// The connection is closed.
    Over,
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Connection {
    pub(super) fn new(segment: &Segment<'_>) -> Self {
        let openness = if segment.syn_seen { Openness::new(Beginning::First) } else { Openness::inside() };
        let speech = Speech::Open(openness);
        Self { streams: Default::default(), speech, last: segment.at, watched: false }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.speech, Speech::Over)
    }

    /// Nothing is open on it: time cannot change it.
    pub(super) fn is_idle(&self) -> bool {
        let speaks = matches!(&self.speech, Speech::Known(conversation) if !conversation.is_idle());
        !speaks && self.streams.iter().all(|stream| stream.held_since().is_none())
    }

    /// Takes a segment.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, room: &mut Room, cx: &mut Context<'_>) {
        self.last = self.last.max(segment.at);
        let waits = |stream: &Stream| {
            stream.held_since().is_some_and(|since| since.saturating_add(cx.limits.reorder_wait) < segment.at)
        };
        if self.streams.iter().any(waits) {
            self.give_up(None, room, cx);
        }
        let (mine, peer) = (index(segment.from), segment.from.peer());
        let [client, server] = &self.streams;
        let (own, other) = if mine == 0 { (client, server) } else { (server, client) };
        if other.held_since().is_some() && own.is_next(segment) && self.speech.turns(segment.from) {
            self.give_up(Some(peer), room, cx);
        }
        self.push(segment, room, cx);
        cx.at = segment.at;
        if segment.rst {
            self.close(true, room, cx);
        } else if self.streams.iter().all(Stream::has_ended) {
            self.close(false, room, cx);
        }
    }

    fn push(&mut self, segment: &Segment<'_>, room: &mut Room, cx: &mut Context<'_>) {
        let Self { streams, speech, .. } = self;
        let Some(stream) = streams.get_mut(index(segment.from)) else { return };
        if matches!(speech, Speech::Opaque | Speech::Over) {
            return;
        }
        let pushed = stream.push(segment, room, &mut |at, run| {
            cx.at = at;
            speech.run(segment.from, run, cx);
        });
        cx.stats.reordered += u64::from(pushed.held);
        if pushed.repeated {
            cx.stats.retransmits += 1;
            speech.repeated(segment.from);
        }
    }

    /// Gives up the holes of one side or of both, in the order in which what waits behind them came.
    fn give_up(&mut self, side: Option<Side>, room: &mut Room, cx: &mut Context<'_>) {
        let Self { streams, speech, .. } = self;
        let now = cx.at;
        loop {
            let oldest = [Side::Client, Side::Server]
                .into_iter()
                .filter(|one| side.is_none_or(|side| side == *one))
                .filter_map(|one| Some((streams.get(index(one))?.held_since()?, one)))
                .min_by_key(|(since, _)| *since);
            let Some((_, one)) = oldest else { break };
            let Some(stream) = streams.get_mut(index(one)) else { break };
            stream.give_up(room, &mut |at, run| {
                cx.at = at;
                speech.run(one, run, cx);
            });
        }
        cx.at = now;
    }

    /// The connection is gone: reports what is open.
    pub(super) fn close(&mut self, reset: bool, room: &mut Room, cx: &mut Context<'_>) {
        self.give_up(None, room, cx);
        if let Speech::Known(conversation) = &mut self.speech {
            conversation.close(reset, cx);
        }
        self.speech = Speech::Over;
    }

    /// Time has passed.
    pub(super) fn sweep(&mut self, now: u64, room: &mut Room, cx: &mut Context<'_>) {
        let waits = |since: u64| since.saturating_add(cx.limits.reorder_wait) < now;
        if self.streams.iter().filter_map(Stream::held_since).any(waits) {
            self.give_up(None, room, cx);
        }
        cx.at = now;
        if let Speech::Known(conversation) = &mut self.speech {
            conversation.sweep(now, cx);
        }
    }
}

impl Speech {
    const fn new(beginning: Beginning) -> Self {
        Self::Open(Openness::new(beginning))
    }

    fn turns(&self, from: Side) -> bool {
        match self {
            Self::Known(conversation) => conversation.turns(from),
            Self::Open(_) => true,
            Self::Opaque | Self::Over => false,
        }
    }

    fn repeated(&mut self, from: Side) {
        if let Self::Known(conversation) = self {
            conversation.repeated(from);
        }
    }

    fn run(&mut self, from: Side, run: Run<'_>, cx: &mut Context<'_>) {
        match run {
            Run::Bytes(bytes) => self.bytes(from, bytes, cx),
            Run::Skipped(len) => {
                cx.stats.skipped_bytes += len;
                self.gap(from, len, false, cx);
            }
            Run::Lost(len) => {
                cx.stats.holes += 1;
                cx.stats.lost_bytes += len;
                self.gap(from, len, true, cx);
            }
            Run::End => {
                if let Self::Known(conversation) = self {
                    conversation.end(from, cx);
                }
            }
        }
    }

    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) {
        let reading = match self {
            Self::Known(conversation) => conversation.bytes(from, bytes, cx),
            Self::Open(openness) => {
                if let Some(found) = openness.listen(from, bytes, cx) {
                    self.found(found, from, bytes, cx);
                }
                return;
            }
            Self::Opaque | Self::Over => return,
        };
        self.react(reading, from, bytes, cx);
    }

    /// The conversation has read, or has found that the bytes are not for it.
    fn react(&mut self, reading: Reading, from: Side, bytes: &[u8], cx: &mut Context<'_>) {
        match reading {
            Reading::On => {}
            Reading::Left(rest) => {
                *self = Self::new(Beginning::First);
                let rest = bytes.get(bytes.len().saturating_sub(rest)..).unwrap_or_default();
                if !rest.is_empty() {
                    self.bytes(from, rest, cx);
                }
            }
            Reading::Became(conversation, rest) => {
                *self = Self::Known(conversation);
                let rest = bytes.get(bytes.len().saturating_sub(rest)..).unwrap_or_default();
                if !rest.is_empty() {
                    self.bytes(from, rest, cx);
                }
            }
            Reading::Refused => {
                if let Self::Known(conversation) = self {
                    conversation.close(false, cx);
                }
                *self = Self::new(Beginning::Middle);
            }
        }
    }

    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>) {
        match self {
            Self::Known(conversation) => conversation.gap(from, len, lost, cx),
            Self::Open(openness) => openness.interrupt(from),
            Self::Opaque | Self::Over => {}
        }
    }

    /// The protocol was found, or will not be. The bytes that were kept are read before the newest.
    fn found(&mut self, found: Found, from: Side, bytes: &[u8], cx: &mut Context<'_>) {
        let Found::Known { conversation, preludes } = found else {
            *self = Self::Opaque;
            return;
        };
        *self = Self::Known(conversation);
        let now = cx.at;
        let [own, other] = preludes;
        if !own.bytes.is_empty() {
            cx.at = own.at;
            self.bytes(from, &own.bytes, cx);
            cx.at = now;
        }
        self.bytes(from, bytes, cx);
        if !other.bytes.is_empty() {
            self.bytes(from.peer(), &other.bytes, cx);
        }
    }
}
