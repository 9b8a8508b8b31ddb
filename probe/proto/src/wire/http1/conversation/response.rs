//! The answering side of a conversation, and which answer is for which request.

use super::super::Role;
use super::super::chunked::Chunked;
use super::super::head::{Coding, Head, Length};
use super::super::open::Asked;
use super::super::reader::{Body, Phase};
use super::super::start_line::plausible;
use super::Http1;
use crate::call::Notes;
use crate::exchange::Fields;
use crate::wire::websocket::{self, Websocket};
use crate::wire::{Context, Conversation, Match, http2};

/// Media type of a stream of events.
const EVENT_STREAM: &[u8] = b"text/event-stream";

impl Http1 {
    pub(super) fn begin_response(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.open.iter().any(|open| open.awaits()) {
            let mut orphan = cx.pool.lend();
            (orphan.orphan, orphan.heard, orphan.request_done) = (true, true, true);
            self.open.insert(0, orphan);
        }
        if let Some((_, open)) = self.current(Role::Response) {
            open.timing.response_start = cx.at;
        }
        true
    }

    pub(super) fn answered(&mut self, cut: bool, cx: &mut Context<'_>) -> bool {
        if self.adrift {
            self.regain(cx);
        }
        let Some((reader, open)) = self.current(Role::Response) else { return false };
        let head = open.response.head;
        open.notes.add(head.notes);
        if (100..200).contains(&head.status) && head.status != 101 {
            open.interim(cx.pool);
            reader.phase = if cut { Phase::Seek } else { Phase::Start };
            return false;
        }
        open.answered = true;
        let leaves = head.status == 101 || (open.asked == Asked::Tunnel && head.status / 100 == 2);
        let body = if cut { Some(Body::Blind) } else { response_body(&head, open.asked) };
        reader.phase = body.map_or(Phase::Start, Phase::Body);
        if matches!(body, Some(Body::UntilClose)) && !leaves {
            open.notes.add(Notes::UNTIL_CLOSE);
        }
        if open.orphan && !leaves && body.is_some_and(|body| body.is_blind()) {
            // An answer to nobody, and nobody can tell where it ends: the next one is looked for.
            self.done(Role::Response, cx);
            self.seek(Role::Response, cx);
            return false;
        }
        let (interim, request_done) = (open.interim, open.request_done);
        open.response.pass(interim);
        if self.requests.phase.is_blind() {
            self.done(Role::Request, cx);
            self.requests.phase = Phase::Seek;
        } else if !request_done {
            self.note_current(Role::Response, Notes::EARLY_RESPONSE);
        }
        if leaves {
            self.leave(cx);
        } else if body.is_none() {
            self.done(Role::Response, cx);
        } else if head.status == 200 && !cut {
            self.stream_if_events(cx);
        }
        leaves
    }

    /// A stream of events is reported when its head was read, or, where the first event is the answer, with that.
    fn stream_if_events(&mut self, cx: &mut Context<'_>) {
        let requester = self.requester;
        let Some((_, open)) = self.current(Role::Response) else { return };
        let answer = open.answer();
        let is_stream = answer.get("content-type").is_some_and(|media| media.starts_with(EVENT_STREAM))
            && answer.get("content-encoding").is_none();
        drop(answer);
        if is_stream && !open.orphan {
            open.stream();
            if !open.waits_for_event() {
                open.report(requester, cx);
            }
        }
    }

    /// The connection leaves HTTP/1 with the response whose head was read.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>) {
        cx.stats.upgraded += 1;
        self.note_current(Role::Response, Notes::UPGRADED);
        self.go_on_in_http2(cx);
        let requester = self.requester;
        if let Some((_, open)) = self.current(Role::Response)
            && !open.orphan
            && websocket::is_upgrade(&open.answer())
        {
            let next = Websocket::begin(requester, open.kept(), &open.answer(), cx);
            open.notes.add(if next.is_some() { Notes::STREAMING } else { Notes::default() });
            self.next = next;
        }
        if let Some((_, open)) = self.current(Role::Response) {
            (open.request_done, open.response_done) = (true, true);
        }
        (self.requests.phase, self.responses.phase) = (Phase::Ended, Phase::Ended);
        self.close(false, cx);
    }

    /// The answer to a request that was upgraded to HTTP/2 comes there: it is reported with that.
    fn go_on_in_http2(&mut self, cx: &mut Context<'_>) {
        let Some(place) = self.open.iter().position(|open| open.awaits() && open.becomes_http2()) else {
            return;
        };
        let open = self.open.remove(place);
        self.next = Some(http2::upgraded(self.requester, &open.asked(), cx));
        cx.pool.take_back(open);
    }

    /// A hole may have swallowed responses. Of pipelined requests nobody can tell which answers are missing: none
    /// is given one.
    pub(super) fn lose_answers(&mut self, cx: &mut Context<'_>) {
        self.adrift = true;
        if !self.pipelining || self.open.iter().filter(|open| open.awaits()).nth(1).is_none() {
            return;
        }
        for open in self.open.iter_mut().filter(|open| open.awaits()) {
            open.notes.add(Notes::GAP);
            (open.request_done, open.response_done) = (true, true);
        }
        self.settle(cx);
    }

    /// After a hole that may have swallowed responses: without pipelining, this one is for the newest request,
    /// and the older ones were answered out of our sight.
    pub(super) fn regain(&mut self, cx: &mut Context<'_>) {
        self.adrift = false;
        let waiting = self.open.iter().filter(|open| open.awaits()).count();
        let Some(missed) = waiting.checked_sub(1).filter(|missed| *missed > 0 && !self.pipelining) else {
            return;
        };
        let Some(last) = self.open.iter().rposition(|open| open.awaits()) else { return };
        let Some((before, [newest, ..])) = self.open.split_at_mut_checked(last) else { return };
        if let Some(oldest) = before.iter_mut().find(|open| open.awaits()) {
            std::mem::swap(&mut oldest.response, &mut newest.response);
            newest.timing.response_start = std::mem::take(&mut oldest.timing.response_start);
            newest.timing.response_end = std::mem::take(&mut oldest.timing.response_end);
        }
        for open in before.iter_mut().filter(|open| open.awaits()).take(missed) {
            open.notes.add(Notes::GAP);
            (open.request_done, open.response_done) = (true, true);
        }
        self.settle(cx);
    }

    /// Whether a body without a visible end is followed here by the answer to the next request.
    pub(super) fn answers_next(&self, bytes: &[u8]) -> bool {
        self.responses.phase.is_blind()
            && plausible(Role::Response, bytes) == Match::Yes
            && self.open.iter().filter(|open| open.awaits()).nth(1).is_some()
    }

    /// The responder sends nothing more: what is unanswered stays so.
    pub(super) fn end_responses(&mut self, cx: &mut Context<'_>) {
        let phase = std::mem::replace(&mut self.responses.phase, Phase::Ended);
        match phase {
            Phase::Head => {
                self.responses.phase = phase;
                if self.cut_head(Role::Response, Notes::RESPONSE_CUT, cx) {
                    self.done(Role::Response, cx);
                }
            }
            Phase::Body(body) => {
                if let Some((_, open)) = self.current(Role::Response)
                    && matches!(body, Body::Length(_) | Body::Chunked(_))
                    && !body.is_blind()
                {
                    open.notes.add(Notes::RESPONSE_CUT);
                }
                self.done(Role::Response, cx);
            }
            Phase::Start | Phase::Seek | Phase::Ended => {}
        }
        self.responses.phase = Phase::Ended;
        for open in &mut self.open {
            open.response_done |= open.heard;
        }
        // Nobody listens to the rest of a request that was answered or given up.
        if self.open.first().is_some_and(|open| open.response_done && !open.request_done) {
            let blind = self.requests.phase.is_blind();
            if let Some(open) = self.open.first_mut() {
                open.request_done = true;
                open.notes.add(if blind { Notes::default() } else { Notes::REQUEST_CUT });
            }
            if !matches!(self.requests.phase, Phase::Ended) {
                self.requests.phase = Phase::Seek;
            }
        }
        self.settle(cx);
    }
}

/// How a response body is framed (RFC 9112 §6.3); `None` when there is none.
fn response_body(head: &Head, asked: Asked) -> Option<Body> {
    if asked == Asked::Head || matches!(head.status, 100..200 | 204 | 304) {
        return None;
    }
    match (head.coding, head.length) {
        (Coding::Chunked, _) => Some(Body::Chunked(Chunked::new())),
        (Coding::None, Length::Bad) => Some(Body::Blind),
        (Coding::None, Length::Known(length)) => (length > 0).then_some(Body::Length(length)),
        (Coding::Bad, _) | (Coding::None, Length::None) => Some(Body::UntilClose),
    }
}
