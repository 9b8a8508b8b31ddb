//! WebSocket (RFC 6455), entered by an upgrade of HTTP/1 or met in the middle: every message is an exchange without an answer.
//!
//! Frames are followed by their lengths, also over payloads that were not captured. Where a hole swallows the beginning
//! of a frame, the next segment that consists of whole frames is where it goes on. permessage-deflate (RFC 7692) is
//! undone while its history is complete. Connections that were upgraded before us have no path, and what they agreed on is
//! not known: compressed messages are counted, and have no kind.

mod frame;
mod reader;

use super::http1::{Kept, Pool};
use super::{Beginning, Context, Conversation, Entry, Match, Reading};
use crate::call::{Messages, Notes};
use crate::exchange::{Exchange, Fields, NoFields, Request, Response, Sizes, Timing, Wire};
use crate::segment::Side;
use frame::Rules;
use memchr::memmem;
use reader::{Message, Reader, Step};

/// Messages that make a guess certain.
const PROOF: u8 = 3;

/// WebSocket in the table of protocols: it never begins a connection.
pub const ENTRY: Entry = Entry {
    name: "websocket",
    recognise: |_| Match::No,
    resumes,
    counter: |stats| &mut stats.websockets,
    start: Some(Websocket::resume),
};

/// A connection that was upgraded.
pub(super) struct Websocket {
    requester: Side,
    asked: Kept,
    /// The requester's direction, the responder's.
    readers: [Reader; 2],
    /// It was open before us: what was asked is not known.
    opaque: bool,
    /// Messages that were as they should be; an upgrade counts for all.
    proof: u8,
}

/// Whether these are whole frames as this side sends them: clients mask, servers do not.
fn resumes(from: Side, bytes: &[u8]) -> bool {
    let rules = Rules { masked: from == Side::Client, compressed: true, foreign: false };
    frame::begins_message(bytes, rules) && frame::chains(bytes, rules)
}

/// Whether the fields of a response with status 101 upgrade to a WebSocket.
pub(super) fn is_upgrade(answer: &dyn Fields) -> bool {
    answer.get("upgrade").is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

impl Websocket {
    /// Goes on behind an upgrade; `None` when there is no room to remember what was asked.
    pub(super) fn begin(
        requester: Side,
        asked: Kept,
        answer: &dyn Fields,
        cx: &mut Context<'_>,
    ) -> Option<Box<dyn Conversation>> {
        if cx.pool.held() + asked.len() > cx.limits.buffered {
            return None;
        }
        cx.stats.websockets += 1;
        cx.pool.recharge(0, asked.len());
        let extensions = answer.get("sec-websocket-extensions").unwrap_or_default().trim_ascii();
        let deflates = extensions.starts_with(b"permessage-deflate") && !extensions.contains(&b',');
        let foreign = !extensions.is_empty() && !deflates;
        let reader = |masked: bool, forgets: &[u8]| {
            let rules = Rules { masked, compressed: deflates, foreign };
            Reader::new(rules, memmem::find(extensions, forgets).is_some())
        };
        let readers =
            [reader(true, b"client_no_context_takeover"), reader(false, b"server_no_context_takeover")];
        Some(Box::new(Self { requester, asked, readers, opaque: false, proof: PROOF }))
    }

    /// Goes on with a connection that was upgraded before us.
    fn resume(_: Beginning, _: Side, _: &[u8]) -> Box<dyn Conversation> {
        let reader =
            |masked| Reader::new(Rules { masked, compressed: true, foreign: false }, false).without_history();
        Box::new(Self {
            requester: Side::Client,
            asked: Kept::default(),
            readers: [reader(true), reader(false)],
            opaque: true,
            proof: 0,
        })
    }

    fn reader(&mut self, from: Side) -> &mut Reader {
        let [requests, responses] = &mut self.readers;
        if from == self.requester { requests } else { responses }
    }

    /// Reports a message of `from`.
    fn report(&mut self, from: Side, message: &Message, cx: &mut Context<'_>) {
        cx.stats.exchanges += 1;
        self.proof = self.proof.saturating_add(1);
        let known = if self.opaque { Notes::OPAQUE_FIELDS } else { Notes::default() };
        let [requests, responses] = &self.readers;
        let sends = from == self.requester;
        let body = (if sends { requests } else { responses }).kept(message);
        let sizes = Sizes { head: 0, body: message.size, wire: message.wire };
        let (sent, received) = if sends { (sizes, None) } else { (Sizes::default(), Some(sizes)) };
        let count = Messages::one(message.size);
        let fields = self.asked.fields();
        (cx.out)(&Exchange {
            conn: cx.conn,
            wire: Wire::Websocket(message.frame),
            requester: self.requester,
            request: Request {
                method: if sends { b"SEND" } else { b"RECEIVE" },
                target: self.asked.target(),
                minor_version: 1,
                fields: &fields,
                trailers: None,
                body: if sends { body } else { &[] },
                sizes: sent,
            },
            response: received.map(|sizes| Response {
                status: 0,
                minor_version: 1,
                fields: &NoFields,
                trailers: None,
                body,
                sizes,
            }),
            timing: Timing {
                request_start: message.start,
                request_end: if sends { cx.at } else { 0 },
                response_start: if sends { 0 } else { message.start },
                response_end: if sends { 0 } else { cx.at },
                closed: cx.at,
            },
            messages: if sends { [count, Messages::default()] } else { [Messages::default(), count] },
            notes: Notes(message.notes.0 | Notes::ONE_WAY.0 | known.0),
        });
    }

    /// A frame that breaks the rules: what was open is reported, and the rest of the direction has to be found again.
    fn refuse(&mut self, from: Side, cx: &mut Context<'_>) {
        cx.stats.bad_frames += 1;
        let open = self.reader(from).lose(cx);
        if let Some(mut message) = open {
            message.notes.add(Notes::BAD_FRAME);
            self.report(from, &message, cx);
        }
    }

    fn give_up(&mut self, from: Side, why: Notes, cx: &mut Context<'_>) {
        if let Some(mut message) = self.reader(from).end() {
            message.notes.add(why);
            self.report(from, &message, cx);
        }
    }

    const fn cut(&self, from: Side) -> Notes {
        match (from, self.requester) {
            (Side::Client, Side::Client) | (Side::Server, Side::Server) => Notes::REQUEST_CUT,
            _ => Notes::RESPONSE_CUT,
        }
    }
}

impl Conversation for Websocket {
    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Reading {
        let mut rest = bytes;
        let mut fresh = true;
        while !rest.is_empty() {
            let taken = match self.reader(from).step(rest, fresh, cx) {
                Step::Took(taken) => taken,
                Step::Done(taken, message) => {
                    self.report(from, &message, cx);
                    taken
                }
                Step::Bad(_) if self.proof < PROOF => {
                    cx.stats.guesses_revised += 1;
                    return Reading::Refused;
                }
                Step::Bad(taken) => {
                    self.refuse(from, cx);
                    taken
                }
            };
            fresh &= taken == 0;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Reading::On
    }

    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>) {
        let why = if lost { Notes::GAP } else { Notes::default() };
        if let Some(message) = self.reader(from).gap(len, why, cx) {
            self.report(from, &message, cx);
        }
    }

    fn end(&mut self, from: Side, cx: &mut Context<'_>) {
        self.give_up(from, self.cut(from), cx);
    }

    fn close(&mut self, reset: bool, cx: &mut Context<'_>) {
        let why = if reset { Notes::RESET } else { Notes::default() };
        for from in [self.requester, self.requester.peer()] {
            self.give_up(from, Notes(why.0 | self.cut(from).0), cx);
        }
        let pool: &mut Pool = cx.pool;
        self.readers.iter_mut().for_each(|reader| reader.close_window(pool));
        pool.recharge(self.asked.len(), 0);
        self.asked = Kept::default();
    }

    fn sweep(&mut self, _: u64, _: &mut Context<'_>) {}

    fn turns(&self, _: Side) -> bool {
        false
    }

    fn repeated(&mut self, _: Side) {}

    fn is_idle(&self) -> bool {
        self.readers.iter().all(Reader::is_idle)
    }
}

#[cfg(test)]
mod tests;
