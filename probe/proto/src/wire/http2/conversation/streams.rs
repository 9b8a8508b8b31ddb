//! The streams of a connection: when they begin, what their bodies hold, when they end.

use super::super::Role;
use super::super::frame::{END_STREAM, Frame, HEADER};
use super::super::hpack::Section;
use super::super::open::{Open, Pseudo};
use super::super::reader::Phase;
use super::Http2;
use crate::call::Notes;
use crate::wire::Context;

/// Streams that are followed on one connection. Servers allow hundreds at once; gRPC allows any number.
const MAX_STREAMS: usize = 4096;
/// Media types whose bodies are messages behind lengths; `application/grpc-web-text` is base64 and not counted.
const GRPC: &[u8] = b"application/grpc";
const GRPC_TEXT: &[u8] = b"application/grpc-web-text";

impl Http2 {
    fn place_of(&self, stream: u32) -> Result<usize, usize> {
        // Nearly always the newest or the only one.
        match self.open.last() {
            Some(last) if last.stream < stream => Err(self.open.len()),
            Some(last) if last.stream == stream => Ok(self.open.len() - 1),
            _ => self.open.binary_search_by_key(&stream, |open| open.stream),
        }
    }

    pub(super) fn stream(&mut self, stream: u32) -> Option<&mut Open> {
        let place = self.place_of(stream).ok()?;
        self.open.get_mut(place).map(|open| &mut **open)
    }

    /// A section of the requester.
    pub(super) fn asked(
        &mut self,
        stream: u32,
        pseudo: Pseudo,
        wire: u64,
        notes: Notes,
        section: &mut Section,
        cx: &mut Context<'_>,
    ) {
        let (place, trailers) = match self.place_of(stream) {
            Ok(place) => (place, true),
            // Trailers of a stream that is over, or that was opened before us.
            Err(_) if stream <= self.last || !pseudo.asks => return,
            Err(place) => {
                let room = cx.limits.buffered.saturating_sub(cx.pool.held());
                if self.open.len() >= MAX_STREAMS || size_of::<Open>() + section.held() > room {
                    cx.stats.streams_refused += 1;
                    return;
                }
                self.last = stream;
                let mut open = cx.streams.lend();
                open.stream = stream;
                open.request.pseudo = pseudo;
                self.open.insert(place, open);
                (place, false)
            }
        };
        let Some(open) = self.open.get_mut(place) else { return };
        open.touch(Role::Request, cx.at);
        open.notes.add(notes);
        take(open, Role::Request, trailers, wire, section);
        open.charge(cx.pool);
    }

    /// A section of the responder.
    pub(super) fn answered(
        &mut self,
        stream: u32,
        pseudo: Pseudo,
        wire: u64,
        notes: Notes,
        section: &mut Section,
        cx: &mut Context<'_>,
    ) {
        let Some(open) = self.stream(stream) else {
            // Even streams were promised, not asked for.
            cx.stats.orphan_responses += u64::from(stream % 2 == 1);
            return;
        };
        open.notes.add(notes);
        open.touch(Role::Response, cx.at);
        let trailers = open.answered;
        if !trailers {
            open.response.pseudo = pseudo;
            open.answered = true;
        }
        take(open, Role::Response, trailers, wire, section);
        if !trailers && (100..200).contains(&pseudo.status) {
            open.answered = false;
            open.interim();
        } else if !trailers && !open.request_done {
            open.notes.add(early(open));
        }
        if !trailers && pseudo.status == 0 && open.answered {
            open.notes.add(Notes::OPAQUE_STATUS);
        }
        open.charge(cx.pool);
    }

    /// A part of a DATA frame.
    pub(super) fn data(&mut self, role: Role, piece: &[u8], cx: &mut Context<'_>) {
        let reader = self.reader(role);
        let stream = reader.frame.stream;
        let whole = reader.left;
        let mut data = piece;
        reader.left -= piece.len() as u32;
        let padding = match (reader.padding, piece.split_first()) {
            (None, Some((padding, rest))) => {
                data = rest;
                *reader.padding.insert(u32::from(*padding).min(whole - 1))
            }
            (padding, _) => padding.unwrap_or_default(),
        };
        // What is behind the data in this piece is padding.
        let excess = padding.saturating_sub(reader.left).min(data.len() as u32);
        let data = data.get(..data.len() - excess as usize).unwrap_or_default();
        let (cap, room) = (cx.limits.body_prefix, cx.limits.buffered.saturating_sub(cx.pool.held()));
        if let Some(open) = self.stream(stream) {
            open.touch(role, cx.at);
            open.message(role).push_body(data, cap, room);
            open.charge(cx.pool);
        }
    }

    /// A part of a DATA frame that was not captured.
    pub(super) fn miss_data(&mut self, role: Role, len: u32, lost: bool, cx: &mut Context<'_>) {
        let reader = self.reader(role);
        let stream = reader.frame.stream;
        reader.left -= len;
        let excess = reader.padding.unwrap_or_default().saturating_sub(reader.left).min(len);
        if let Some(open) = self.stream(stream) {
            open.touch(role, cx.at);
            open.message(role).skip_body(u64::from(len - excess));
            if lost {
                open.notes.add(Notes::GAP);
            }
        }
    }

    /// A DATA frame is complete.
    pub(super) fn end_data(&mut self, role: Role, frame: &Frame, cx: &mut Context<'_>) {
        if let Some(open) = self.stream(frame.stream) {
            open.message(role).sizes.wire += u64::from(frame.len) + HEADER as u64;
        }
        if frame.has(END_STREAM) {
            self.finish(role, frame.stream, cx);
        }
    }

    /// One half of a stream has ended.
    pub(super) fn finish(&mut self, role: Role, stream: u32, cx: &mut Context<'_>) {
        let Ok(place) = self.place_of(stream) else { return };
        let Some(open) = self.open.get_mut(place) else { return };
        open.finish(role);
        if open.is_done() {
            let open = self.open.remove(place);
            self.give_back(open, cx);
        }
    }

    /// A side resets a stream. After a whole response that only means that nobody listens to the rest of the request.
    pub(super) fn reset(&mut self, stream: u32, code: u32, cx: &mut Context<'_>) {
        let Ok(place) = self.place_of(stream) else { return };
        let mut open = self.open.remove(place);
        cx.stats.resets += 1;
        if !open.response_done || code != 0 {
            open.notes.add(Notes::RESET);
        }
        self.give_back(open, cx);
    }

    /// The responder will not look at streams above `last`; the requester's own promise says nothing about its requests.
    pub(super) fn go_away(&mut self, role: Role, last: u32, cx: &mut Context<'_>) {
        if role == Role::Request {
            return;
        }
        while let Some(mut open) = self.open.pop_if(|open| open.stream > last) {
            open.notes.add(Notes::RESET);
            self.give_back(open, cx);
        }
    }

    /// A direction sends nothing more.
    pub(super) fn end_side(&mut self, role: Role, cx: &mut Context<'_>) {
        let reader = self.reader(role);
        if reader.phase == Phase::Ended {
            return;
        }
        reader.phase = Phase::Ended;
        reader.block.finish();
        for open in &mut self.open {
            match role {
                Role::Request if !open.request_done => open.notes.add(Notes::REQUEST_CUT),
                Role::Response if open.answered && !open.response_done => open.notes.add(Notes::RESPONSE_CUT),
                _ => {}
            }
            open.finish(role);
            if role == Role::Response {
                // Nobody answers any more.
                open.request_done = true;
            }
        }
        self.report_done(cx);
    }

    fn report_done(&mut self, cx: &mut Context<'_>) {
        let mut place = 0;
        while let Some(open) = self.open.get(place) {
            if open.is_done() {
                let open = self.open.remove(place);
                self.give_back(open, cx);
            } else {
                place += 1;
            }
        }
    }

    /// Reports an exchange for the last time and returns its buffers.
    pub(super) fn give_back(&mut self, mut open: Box<Open>, cx: &mut Context<'_>) {
        if self.is_proven() {
            open.report(self.requester, cx);
        }
        cx.streams.take_back(open, cx.pool);
        if self.open.is_empty() && self.open.capacity() > 64 {
            self.open = Vec::new();
        }
    }

    /// Time has passed.
    pub(super) fn sweep_streams(&mut self, now: u64, cx: &mut Context<'_>) {
        let requester = self.requester;
        let silence = cx.limits.silence;
        for open in &mut self.open {
            let over = now > open.timing.request_start.saturating_add(cx.limits.longest_exchange);
            if open.is_due(now) {
                open.show(requester, cx);
            } else if over && !open.reported && !open.is_stream() {
                if open.answered {
                    open.notes.add(Notes::RESPONSE_CUT);
                }
                open.report(requester, cx);
            }
            // A whole answer ends the exchange, also where nobody resets what is left of the request.
            if open.response_done && now > open.timing.response_end.saturating_add(silence) {
                open.notes.add(Notes::REQUEST_CUT);
                open.request_done = true;
            }
        }
        self.report_done(cx);
    }
}

/// Takes over a section: the head of a message, or its trailers.
fn take(open: &mut Open, role: Role, trailers: bool, wire: u64, section: &mut Section) {
    let grpc = is_grpc(section);
    let message = open.message(role);
    message.sizes.wire = message.sizes.wire.saturating_add(wire);
    if trailers {
        std::mem::swap(&mut message.trailers, section);
        return;
    }
    message.sizes.head = message.sizes.head.saturating_add(wire);
    std::mem::swap(&mut message.head, section);
    if grpc {
        message.envelope.get_or_insert_default();
        let other = open.message(role.other());
        if other.sizes.body == 0 {
            other.envelope.get_or_insert_default();
        }
    }
}

fn is_grpc(section: &Section) -> bool {
    section.get(b"content-type").is_some_and(|media| media.starts_with(GRPC) && !media.starts_with(GRPC_TEXT))
}

/// An answer before the end of the request is normal where messages go both ways.
fn early(open: &Open) -> Notes {
    if open.request.envelope.is_some() { Notes::default() } else { Notes::EARLY_RESPONSE }
}
