//! A connection that speaks HTTP/2: frames to blocks and bodies, blocks and bodies to exchanges.

mod blocks;
mod streams;

use super::super::http1::Asking;
use super::Role;
use super::frame::{self, Frame, HEADER};
use super::open::Open;
use super::reader::{Phase, Reader};
use super::{PREFACE, frame::resembles};
use crate::call::Notes;
use crate::segment::Side;
use crate::wire::{Beginning, Context, Conversation, Match, Reading};

/// Frames after which a guess is certain.
const PROOF: u8 = 3;

/// The state of a connection.
pub(super) struct Http2 {
    /// Who asks.
    requester: Side,
    requests: Reader,
    responses: Reader,
    /// By stream.
    #[expect(clippy::vec_box, reason = "the boxes are lent by the pool")]
    open: Vec<Box<Open>>,
    /// Streams up to this one were begun by the requester.
    last: u32,
    /// Frames that were as they should be; the preface counts for all.
    proof: u8,
    /// The requester is certain: it sent the preface, or was heard asking.
    settled: bool,
    /// Bytes that the pool has charged for the tables.
    charged: usize,
}

/// What became of a piece.
enum Step {
    /// So many bytes were taken.
    Took(usize),
    /// It never was HTTP/2.
    Refused,
}

impl Http2 {
    pub(super) fn start(beginning: Beginning, from: Side, first: &[u8]) -> Box<dyn Conversation> {
        let prefaced = PREFACE.starts_with(first.get(..PREFACE.len()).unwrap_or(first));
        let whole = beginning == Beginning::First || prefaced;
        let mut requester = Side::Client;
        if prefaced {
            requester = from;
        } else if whole {
            // Who speaks without the preface answers.
            requester = from.peer();
        }
        let phase = |side: Side| match (whole, side == requester) {
            (true, true) => Phase::Preface,
            (true, false) => Phase::Header,
            (false, _) if side == from => Phase::Header,
            (false, _) => Phase::Seek,
        };
        Box::new(Self {
            requester,
            requests: Reader::new(phase(requester), whole),
            responses: Reader::new(phase(requester.peer()), whole),
            open: Vec::new(),
            last: 0,
            proof: 0,
            settled: prefaced,
            charged: 0,
        })
    }

    /// Begins with a request that was made in HTTP/1: stream 1, of which the requester says no more.
    pub(super) fn upgraded(
        requester: Side,
        request: &Asking<'_>,
        cx: &mut Context<'_>,
    ) -> Box<dyn Conversation> {
        let mut open = cx.streams.lend();
        open.ask(request);
        open.charge(cx.pool);
        Box::new(Self {
            requester,
            requests: Reader::new(Phase::Preface, true),
            responses: Reader::new(Phase::Header, true),
            open: vec![open],
            last: 1,
            proof: PROOF,
            settled: true,
            charged: 0,
        })
    }

    fn role(&self, from: Side) -> Role {
        if self.requester == from { Role::Request } else { Role::Response }
    }

    const fn reader(&mut self, role: Role) -> &mut Reader {
        match role {
            Role::Request => &mut self.requests,
            Role::Response => &mut self.responses,
        }
    }

    const fn is_proven(&self) -> bool {
        self.proof >= PROOF
    }

    /// Compares with the preface.
    fn preface(&mut self, role: Role, bytes: &[u8]) -> Step {
        let reader = self.reader(role);
        let wanted = PREFACE.get(reader.left as usize..).unwrap_or_default();
        let taken = wanted.len().min(bytes.len());
        if bytes.get(..taken) != wanted.get(..taken) {
            return Step::Refused;
        }
        reader.left += taken as u32;
        if taken == wanted.len() {
            (reader.left, reader.phase) = (0, Phase::Header);
            (self.proof, self.settled) = (PROOF, true);
        }
        Step::Took(taken)
    }

    /// Collects the header of a frame.
    fn header(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let reader = self.reader(role);
        let (taken, frame) = match bytes.first_chunk() {
            Some(octets) if reader.have == 0 => (HEADER, Frame::parse(octets)),
            _ => {
                let taken = reader.gather(bytes, HEADER);
                if usize::from(reader.have) < HEADER {
                    return Step::Took(taken);
                }
                (taken, Frame::parse(&reader.octets))
            }
        };
        if frame.kind == frame::CONTINUATION && !reader.block.is_pending() || !frame.is_lawful() {
            return self.unlawful(role, bytes.len(), cx);
        }
        if reader.block.is_pending()
            && (frame.kind, frame.stream) != (frame::CONTINUATION, reader.block.first.stream)
        {
            // Nothing may come between the frames of a block (§6.10).
            self.drop_block(role, Notes::BAD_FRAME, cx);
        }
        self.proof = self.proof.saturating_add(1);
        let reader = self.reader(role);
        reader.doubt = reader.doubt.saturating_sub(1);
        reader.begin(frame);
        if frame.is_block() {
            reader.block.begin(frame);
        }
        if frame.len == 0 {
            self.end_frame(role, &[], cx);
        }
        Step::Took(taken)
    }

    /// No peer may send this: we are not where we believe, or it is not HTTP/2.
    fn unlawful(&mut self, role: Role, len: usize, cx: &mut Context<'_>) -> Step {
        if !self.is_proven() {
            return Step::Refused;
        }
        cx.stats.bad_frames += 1;
        self.note_all(Notes::BAD_FRAME);
        self.seek(role, cx);
        Step::Took(len)
    }

    /// The payload of a frame, or a part of it.
    fn payload(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let reader = self.reader(role);
        let taken = bytes.len().min(reader.left as usize);
        let (piece, _) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        let whole = reader.left == reader.frame.len && piece.len() == reader.frame.len as usize;
        let kind = reader.frame.kind;
        if kind == frame::DATA {
            self.data(role, piece, cx);
        } else {
            reader.left -= taken as u32;
            match kind {
                frame::RST_STREAM | frame::GOAWAY => drop(reader.gather(piece, HEADER - 1)),
                frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION if !whole => {
                    reader.block.push(piece);
                }
                _ => {}
            }
        }
        if self.reader(role).left == 0 {
            self.end_frame(role, if whole { piece } else { &[] }, cx);
        }
        Step::Took(taken)
    }

    /// A frame is complete; `payload` is all of it where it came in one piece.
    fn end_frame(&mut self, role: Role, payload: &[u8], cx: &mut Context<'_>) {
        let reader = self.reader(role);
        reader.phase = Phase::Header;
        let (frame, octets) = (reader.frame, reader.octets);
        let gathered = std::mem::take(&mut reader.have);
        match frame.kind {
            frame::DATA => self.end_data(role, &frame, cx),
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                self.end_block_frame(role, payload, cx);
            }
            frame::RST_STREAM if gathered >= 4 => {
                let [a, b, c, d, ..] = octets;
                self.reset(frame.stream, u32::from_be_bytes([a, b, c, d]), cx);
            }
            frame::GOAWAY if gathered >= 8 => {
                let [a, b, c, d, ..] = octets;
                self.go_away(role, u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff, cx);
            }
            _ => {}
        }
    }

    /// Where `role` is within its frames is not known any more, nor what its blocks have put into the table.
    fn seek(&mut self, role: Role, cx: &mut Context<'_>) {
        let reader = self.reader(role);
        if matches!(reader.phase, Phase::Seek | Phase::Ended) {
            return;
        }
        reader.phase = Phase::Seek;
        (reader.have, reader.left) = (0, 0);
        reader.doubt = PROOF;
        reader.block.finish();
        reader.table.forget();
        cx.stats.resyncs += 1;
        self.charge_tables(cx);
    }

    /// Looks for frames where a segment begins.
    fn find(&mut self, role: Role, bytes: &[u8], fresh: bool) -> Step {
        if fresh && resembles(bytes) == Match::Yes {
            self.reader(role).phase = Phase::Header;
            return Step::Took(0);
        }
        Step::Took(bytes.len())
    }

    fn note_all(&mut self, notes: Notes) {
        for open in &mut self.open {
            open.notes.add(notes);
        }
    }

    /// Tells the pool what the tables hold now.
    fn charge_tables(&mut self, cx: &mut Context<'_>) {
        let now = self.requests.table.held() + self.responses.table.held();
        if now != self.charged {
            cx.pool.recharge(self.charged, now);
            cx.streams.tables = cx.streams.tables.saturating_sub(self.charged) + now;
            self.charged = now;
        }
    }
}

impl Conversation for Http2 {
    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Reading {
        let mut rest = bytes;
        while !rest.is_empty() {
            let role = self.role(from);
            let step = match self.reader(role).phase {
                Phase::Preface => self.preface(role, rest),
                Phase::Header => self.header(role, rest, cx),
                Phase::Payload => self.payload(role, rest, cx),
                Phase::Seek => self.find(role, rest, rest.len() == bytes.len()),
                Phase::Ended => Step::Took(rest.len()),
            };
            let Step::Took(taken) = step else {
                cx.stats.guesses_revised += 1;
                return Reading::Refused;
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Reading::On
    }

    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>) {
        let role = self.role(from);
        let reader = self.reader(role);
        let inside = if reader.phase == Phase::Payload { len.min(u64::from(reader.left)) } else { 0 };
        if inside > 0 {
            self.miss(role, inside as u32, lost, cx);
        }
        if len > inside {
            self.note_all(Notes::GAP);
            self.seek(role, cx);
        }
    }

    fn end(&mut self, from: Side, cx: &mut Context<'_>) {
        self.end_side(self.role(from), cx);
    }

    fn close(&mut self, reset: bool, cx: &mut Context<'_>) {
        if reset {
            self.note_all(Notes::RESET);
        }
        self.end_side(Role::Request, cx);
        self.end_side(Role::Response, cx);
        while let Some(open) = self.open.pop() {
            self.give_back(open, cx);
        }
        self.requests.table.forget();
        self.responses.table.forget();
        self.charge_tables(cx);
    }

    fn sweep(&mut self, now: u64, cx: &mut Context<'_>) {
        self.sweep_streams(now, cx);
    }

    fn turns(&self, _: Side) -> bool {
        // Both sides speak at once: what one says tells nothing of what the other has said.
        false
    }

    fn repeated(&mut self, _: Side) {}

    fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}
