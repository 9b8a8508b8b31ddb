//! One direction of a WebSocket: frames to messages, unmasked and unpacked as far as they are kept.

use super::frame::{Head, MAX_HEAD, Opcode, Parsed, Rules, chains, parse};
use crate::body::coding::{Ending, Inflate};
use crate::call::Notes;
use crate::exchange::Frame;
use crate::wire::{Context, http1::Pool};

/// Connections whose messages are unpacked at a time, by direction: a window is 32 KiB, with its state 48.
const MAX_WINDOWS: usize = 512;
/// Most bytes that one message is unpacked to; beyond it the rest of the connection stays packed.
const MAX_MESSAGE: usize = 1 << 20;
/// What ends every message of permessage-deflate and is left out on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Where a direction is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// At a head, of which so many bytes were read.
    Head([u8; MAX_HEAD], u8),
    /// In a payload; so many bytes of it were passed.
    Payload(Head, u64),
    /// Anywhere.
    Lost,
}

/// The history that compressed messages refer to.
enum Window {
    /// Not needed yet.
    None,
    Live(Box<Inflate>),
    /// A part of the history is missing, or there were too many.
    Lost,
}

/// A message that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) frame: Frame,
    compressed: bool,
    /// Payload on the wire.
    pub(super) size: u64,
    /// With the heads of its frames.
    pub(super) wire: u64,
    /// When its first byte came.
    pub(super) start: u64,
    pub(super) notes: Notes,
    /// A part is missing: what follows is no longer its beginning.
    broken: bool,
    /// Bytes that it was unpacked to.
    unpacked: usize,
}

/// What came of some bytes.
pub(super) enum Step {
    /// So many were taken.
    Took(usize),
    /// So many were taken, and with them a message is complete.
    Done(usize, Message),
    /// So many were taken, and the last of them break the rules.
    Bad(usize),
}

/// One direction.
pub(super) struct Reader {
    pub(super) rules: Rules,
    /// Every message starts with an empty history.
    pub(super) forgets: bool,
    phase: Phase,
    window: Window,
    message: Option<Message>,
    /// The kept beginning of the message, or the payload of a close frame.
    payload: Vec<u8>,
    farewell: [u8; 2],
    /// When the head that is being read began.
    began: u64,
}

impl Reader {
    pub(super) fn new(rules: Rules, forgets: bool) -> Self {
        Self {
            rules,
            forgets,
            phase: Phase::Head([0; MAX_HEAD], 0),
            window: Window::None,
            message: None,
            payload: Vec::new(),
            farewell: [0; 2],
            began: 0,
        }
    }

    /// Compressed messages refer to what we have not seen, and the position is not known.
    pub(super) fn without_history(mut self) -> Self {
        (self.window, self.phase) = (Window::Lost, Phase::Lost);
        self
    }

    /// The kept beginning of the message that was completed.
    pub(super) fn kept(&self, message: &Message) -> &[u8] {
        match message.frame {
            Frame::Close => self.farewell.get(..message.size.min(2) as usize).unwrap_or_default(),
            _ => &self.payload,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.message.is_none() && matches!(self.phase, Phase::Head(_, 0) | Phase::Lost)
    }

    /// Takes bytes up to the end of a frame; `fresh`: a segment begins here.
    pub(super) fn step(&mut self, bytes: &[u8], fresh: bool, cx: &mut Context<'_>) -> Step {
        match self.phase {
            Phase::Head(head, len) => self.head(head, usize::from(len), bytes, cx),
            Phase::Payload(head, at) => self.payload(head, at, bytes, cx),
            Phase::Lost if fresh && chains(bytes, self.rules) => {
                self.phase = Phase::Head([0; MAX_HEAD], 0);
                Step::Took(0)
            }
            Phase::Lost => {
                cx.stats.unframed_bytes += bytes.len() as u64;
                Step::Took(bytes.len())
            }
        }
    }

    fn head(&mut self, mut head: [u8; MAX_HEAD], had: usize, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        if had == 0 {
            self.began = cx.at;
        }
        for (taken, byte) in bytes.iter().enumerate() {
            let len = had + taken + 1;
            if let Some(slot) = head.get_mut(len - 1) {
                *slot = *byte;
            }
            match parse(head.get(..len).unwrap_or_default(), self.rules) {
                Parsed::Short => {}
                Parsed::Bad => return Step::Bad(taken + 1),
                Parsed::Head(parsed) => {
                    return if self.begin(parsed, cx) {
                        self.passed(parsed, 0, taken + 1, cx)
                    } else {
                        Step::Bad(taken + 1)
                    };
                }
            }
        }
        self.phase = Phase::Head(head, (had + bytes.len()) as u8);
        Step::Took(bytes.len())
    }

    /// A frame begins; whether it may here.
    fn begin(&mut self, head: Head, cx: &mut Context<'_>) -> bool {
        let frame = match head.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => return true,
            Opcode::Continuation => {
                let Some(message) = &mut self.message else { return false };
                message.wire = message.wire.saturating_add(head.size as u64);
                return true;
            }
            Opcode::Text => Frame::Text,
            Opcode::Binary => Frame::Binary,
        };
        if self.message.is_some() {
            return false;
        }
        self.payload.clear();
        let broken = self.rules.foreign || (head.compressed && !self.open_window(cx.pool));
        self.message = Some(Message {
            frame,
            compressed: head.compressed,
            size: 0,
            wire: head.size as u64,
            start: self.began,
            notes: Notes::default(),
            broken,
            unpacked: 0,
        });
        true
    }

    /// Makes the history ready for a message; whether there is one.
    fn open_window(&mut self, pool: &mut Pool) -> bool {
        if matches!(self.window, Window::None) {
            let free = pool.windows < MAX_WINDOWS;
            pool.windows += usize::from(free);
            self.window = if free { Window::Live(Box::new(Inflate::raw())) } else { Window::Lost };
        }
        match &mut self.window {
            Window::Live(inflate) => {
                if self.forgets {
                    inflate.reset();
                }
                true
            }
            Window::None | Window::Lost => false,
        }
    }

    /// The history is of no use any more, or not needed.
    pub(super) fn close_window(&mut self, pool: &mut Pool) {
        if matches!(self.window, Window::Live(_)) {
            pool.windows = pool.windows.saturating_sub(1);
        }
        self.window = Window::Lost;
    }

    fn payload(&mut self, head: Head, at: u64, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let left = usize::try_from(head.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let piece = bytes.get(..left).unwrap_or(bytes);
        if head.opcode == Opcode::Close {
            let rest = self.farewell.iter_mut().skip(usize::try_from(at).unwrap_or(usize::MAX));
            rest.zip(piece).zip(at..).for_each(|((slot, byte), at)| *slot = byte ^ mask_at(head.mask, at));
        } else if !head.opcode.is_control() {
            self.keep(head, at, piece, cx);
        }
        self.passed(head, at.saturating_add(piece.len() as u64), piece.len(), cx)
    }

    /// Keeps a piece of a message as long as it is wanted.
    fn keep(&mut self, head: Head, at: u64, piece: &[u8], cx: &mut Context<'_>) {
        let Some(message) = &mut self.message else { return };
        message.size = message.size.saturating_add(piece.len() as u64);
        message.wire = message.wire.saturating_add(piece.len() as u64);
        if message.broken {
            return;
        }
        if !message.compressed {
            let room = cx.limits.body_prefix.saturating_sub(self.payload.len());
            message.broken = room < piece.len();
            let kept = piece.iter().take(room).zip(at..).map(|(byte, at)| byte ^ mask_at(head.mask, at));
            self.payload.extend(kept);
            return;
        }
        let mut clear = [0; 2048];
        let mut done = 0;
        for part in piece.chunks(clear.len()) {
            let from = at.saturating_add(done);
            for ((to, byte), at) in clear.iter_mut().zip(part).zip(from..) {
                *to = byte ^ mask_at(head.mask, at);
            }
            done += part.len() as u64;
            self.unpack(clear.get(..part.len()).unwrap_or_default(), cx);
        }
    }

    fn unpack(&mut self, packed: &[u8], cx: &mut Context<'_>) {
        let (Window::Live(inflate), Some(message)) = (&mut self.window, &mut self.message) else { return };
        if message.broken {
            return;
        }
        let mut room = MAX_MESSAGE.saturating_sub(message.unpacked);
        let (ending, _) = inflate.run(packed, cx.limits.body_prefix, &mut room, &mut self.payload);
        message.unpacked = MAX_MESSAGE - room;
        if matches!(ending, Ending::Capped | Ending::Bad) {
            message.broken = true;
            message.notes.add(if ending == Ending::Capped { Notes::BODY_CAPPED } else { Notes::BAD_BODY });
            self.close_window(cx.pool);
        }
    }

    /// So much of the payload was passed; the last `taken` bytes belong to the frame.
    fn passed(&mut self, head: Head, at: u64, taken: usize, cx: &mut Context<'_>) -> Step {
        if at < head.len {
            self.phase = Phase::Payload(head, at);
            return Step::Took(taken);
        }
        self.phase = Phase::Head([0; MAX_HEAD], 0);
        match head.opcode {
            Opcode::Close => Step::Done(taken, self.farewell(head)),
            Opcode::Ping | Opcode::Pong => {
                cx.stats.websocket_controls += 1;
                Step::Took(taken)
            }
            _ if head.fin => {
                if self.message.is_some_and(|message| message.compressed) {
                    self.unpack(&TAIL, cx);
                }
                self.message.take().map_or(Step::Took(taken), |message| Step::Done(taken, message))
            }
            _ => Step::Took(taken),
        }
    }

    fn farewell(&self, head: Head) -> Message {
        Message {
            frame: Frame::Close,
            compressed: false,
            size: head.len,
            wire: head.len.saturating_add(head.size as u64),
            start: self.began,
            notes: Notes::default(),
            broken: false,
            unpacked: 0,
        }
    }

    /// So many bytes are missing. A message that they were the rest of is complete.
    pub(super) fn gap(&mut self, len: u64, why: Notes, cx: &mut Context<'_>) -> Option<Message> {
        if let Phase::Payload(head, at) = self.phase {
            let inside = len.min(head.len.saturating_sub(at));
            self.miss(head, inside, why, cx);
            let step = self.passed(head, at.saturating_add(inside), 0, cx);
            if inside == len {
                return if let Step::Done(_, message) = step { Some(message) } else { None };
            }
            if let Step::Done(_, message) = step {
                self.lose(cx);
                return Some(message);
            }
        }
        self.lose(cx)
    }

    fn miss(&mut self, head: Head, len: u64, why: Notes, cx: &mut Context<'_>) {
        let Some(message) = self.message.as_mut().filter(|_| !head.opcode.is_control()) else { return };
        message.size = message.size.saturating_add(len);
        message.wire = message.wire.saturating_add(len);
        message.notes.add(why);
        message.broken = true;
        if message.compressed && !self.forgets {
            self.close_window(cx.pool);
        }
    }

    /// The position is lost; gives the message that was open.
    pub(super) fn lose(&mut self, cx: &mut Context<'_>) -> Option<Message> {
        self.phase = Phase::Lost;
        cx.stats.resyncs += 1;
        if self.rules.compressed && !self.forgets {
            // Messages that we did not see may be what later ones refer to.
            self.close_window(cx.pool);
        }
        let mut message = self.message.take()?;
        message.notes.add(Notes::GAP);
        Some(message)
    }

    /// The sender sends nothing more: gives the message that was open.
    pub(super) fn end(&mut self) -> Option<Message> {
        self.phase = Phase::Lost;
        self.message.take()
    }
}

/// What the byte of a payload at this place is masked with.
fn mask_at(mask: Option<[u8; 4]>, at: u64) -> u8 {
    mask.and_then(|mask| mask.get((at & 3) as usize).copied()).unwrap_or(0)
}
