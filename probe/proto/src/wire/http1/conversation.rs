//! A connection that speaks HTTP/1: pairs what one side asks with what the other answers.

mod opening;
mod request;
mod response;

use super::Role;
use super::head::Scan;
use super::open::Open;
use super::reader::{Phase, Reader, read_body, skip_body};
use super::start_line::plausible;
use crate::call::Notes;
use crate::segment::Side;
use crate::wire::{Beginning, Context, Conversation, Match, Reading};
use smallvec::SmallVec;

/// Requests that may wait for their answers on one connection. Real pipelines hold tens.
const MAX_PIPELINED: usize = 1024;

/// What became of a piece.
enum Step {
    /// So many bytes were taken.
    Took(usize),
    /// So many were taken, and the rest is not HTTP/1 any more.
    Left(usize),
    /// It never was HTTP/1.
    Refused,
}

/// The state of a connection.
pub(super) struct Http1 {
    /// Who asks; by content, not by what the source believes.
    requester: Side,
    requests: Reader,
    responses: Reader,
    /// In the order of their requests.
    open: SmallVec<[Box<Open>; 1]>,
    /// The requester does not wait for answers: two of its requests came in one segment.
    pipelining: bool,
    /// A hole may have swallowed responses: the next one need not be for the oldest request.
    adrift: bool,
    /// No message was read yet and the first may have begun before us.
    middle: bool,
    /// A head was read: it is HTTP/1.
    proven: bool,
    /// An exchange was complete: the requester is certain.
    settled: bool,
    /// What the connection becomes with the response that was read.
    next: Option<Box<dyn Conversation>>,
}

impl Http1 {
    pub(super) fn start(beginning: Beginning, from: Side, first: &[u8]) -> Box<dyn Conversation> {
        let answers = plausible(Role::Response, first.trim_ascii_start()) == Match::Yes;
        let middle = beginning == Beginning::Middle;
        let phase = if middle { Phase::Seek } else { Phase::Start };
        let reader = Reader { phase, scan: Scan::default() };
        Box::new(Self {
            requester: if answers { from.peer() } else { from },
            requests: reader,
            responses: reader,
            open: SmallVec::new(),
            pipelining: false,
            adrift: false,
            middle,
            proven: false,
            settled: false,
            next: None,
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

    /// The reader of a direction with the exchange whose message it is in.
    fn current(&mut self, role: Role) -> Option<(&mut Reader, &mut Open)> {
        match role {
            Role::Request => Some((&mut self.requests, self.open.last_mut()?)),
            Role::Response => {
                let open = self.open.iter_mut().find(|open| open.awaits())?;
                Some((&mut self.responses, open))
            }
        }
    }

    fn note_current(&mut self, role: Role, notes: Notes) {
        if let Some((_, open)) = self.current(role) {
            open.notes.add(notes);
        }
    }

    fn seek(&mut self, role: Role, cx: &mut Context<'_>) {
        let reader = self.reader(role);
        if !matches!(reader.phase, Phase::Seek | Phase::Ended) {
            reader.phase = Phase::Seek;
            cx.stats.resyncs += 1;
        }
    }

    /// Bytes that belong to no message.
    fn unframed(&mut self, role: Role, len: usize, cx: &mut Context<'_>) -> Step {
        cx.stats.unframed_bytes += len as u64;
        match self.open.last_mut() {
            Some(open) if role == Role::Request && open.request_done => open.notes.add(Notes::EXCESS),
            _ => {}
        }
        Step::Took(len)
    }

    /// Gives a body its bytes.
    fn body(&mut self, role: Role, bytes: &[u8], fresh: bool, cx: &mut Context<'_>) -> Step {
        if fresh && role == Role::Response && self.answers_next(bytes) {
            self.done(role, cx);
            return Step::Took(0);
        }
        let Some((reader, open)) = self.current(role) else { return self.abandon(role, bytes.len(), cx) };
        let Phase::Body(body) = &mut reader.phase else { return Step::Took(0) };
        let taken = read_body(body, open.message(role), bytes, cx.limits, cx.pool);
        open.notes.add(taken.notes);
        open.touch(role, cx.at);
        if open.has_events() {
            self.events(cx);
        }
        if taken.done {
            if role == Role::Response && self.open.len() == 1 && taken.used < bytes.len() {
                self.note_all(Notes::EXCESS);
            }
            self.done(role, cx);
        }
        Step::Took(taken.used)
    }

    /// Reports the events that a response has brought, behind the exchange that they belong to.
    fn events(&mut self, cx: &mut Context<'_>) {
        let requester = self.requester;
        let Some((_, open)) = self.current(Role::Response) else { return };
        if !open.reported {
            open.report(requester, cx);
        }
        open.report_events(requester, cx);
    }

    /// A message has ended.
    fn done(&mut self, role: Role, cx: &mut Context<'_>) {
        let Some((reader, open)) = self.current(role) else { return };
        reader.phase = Phase::Start;
        match role {
            Role::Request => open.request_done = true,
            Role::Response => open.response_done = true,
        }
        self.settle(cx);
    }

    /// Reports the exchanges that are complete.
    fn settle(&mut self, cx: &mut Context<'_>) {
        while self.open.first().is_some_and(|open| open.request_done && open.response_done) {
            self.settled = true;
            let mut open = self.open.remove(0);
            open.report(self.requester, cx);
            cx.pool.take_back(open);
        }
        if self.open.is_empty() && self.open.spilled() {
            self.open = SmallVec::new();
        }
    }

    fn note_all(&mut self, notes: Notes) {
        for open in &mut self.open {
            open.notes.add(notes);
        }
    }
}

impl Conversation for Http1 {
    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Reading {
        let mut rest = bytes;
        let mut fresh = true;
        while !rest.is_empty() {
            let role = self.role(from);
            let step = match self.reader(role).phase {
                Phase::Start | Phase::Seek => self.begin(role, rest, fresh, cx),
                Phase::Head => self.head(role, rest, cx),
                Phase::Body(_) => self.body(role, rest, fresh, cx),
                Phase::Ended => self.unframed(role, rest.len(), cx),
            };
            let taken = match step {
                Step::Took(taken) => taken,
                Step::Left(taken) => {
                    let left = rest.len().saturating_sub(taken);
                    return match self.next.take() {
                        Some(next) => Reading::Became(next, left),
                        None => Reading::Left(left),
                    };
                }
                Step::Refused => return Reading::Refused,
            };
            let (done, left) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            fresh &= done.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            rest = left;
        }
        Reading::On
    }

    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>) {
        let role = self.role(from);
        let why = if lost { Notes::GAP } else { Notes::default() };
        let mut left = len;
        if matches!(self.reader(role).phase, Phase::Head) {
            cx.stats.heads_cut += 1;
            self.cut_head(role, why, cx);
        }
        while left > 0 {
            let Some((reader, open)) = self.current(role) else { break };
            let Phase::Body(body) = &mut reader.phase else { break };
            let (used, done) = skip_body(body, open.message(role), left);
            open.notes.add(why);
            open.touch(role, cx.at);
            left = left.saturating_sub(used);
            if done {
                self.done(role, cx);
            }
        }
        if left > 0 {
            if role == Role::Response {
                self.lose_answers(cx);
            }
            self.seek(role, cx);
            if !lost {
                cx.stats.unframed_bytes += left;
            }
        }
    }

    fn end(&mut self, from: Side, cx: &mut Context<'_>) {
        match self.role(from) {
            Role::Request => self.end_requests(cx),
            Role::Response => self.end_responses(cx),
        }
    }

    fn close(&mut self, reset: bool, cx: &mut Context<'_>) {
        if reset {
            self.note_all(Notes::RESET);
        }
        self.end_requests(cx);
        self.end_responses(cx);
        while let Some(mut open) = (!self.open.is_empty()).then(|| self.open.remove(0)) {
            if open.heard {
                open.report(self.requester, cx);
            }
            cx.pool.take_back(open);
        }
    }

    fn sweep(&mut self, now: u64, cx: &mut Context<'_>) {
        if self.responses.phase.is_blind()
            && let Some((_, open)) = self.current(Role::Response)
            && now > open.timing.response_end.saturating_add(cx.limits.silence)
        {
            self.done(Role::Response, cx);
            self.responses.phase = Phase::Seek;
        }
        let requester = self.requester;
        for open in &mut self.open {
            if now > open.timing.request_start.saturating_add(cx.limits.longest_exchange)
                && open.heard
                && !open.reported
            {
                if open.answered {
                    open.notes.add(Notes::RESPONSE_CUT);
                }
                open.report(requester, cx);
            }
        }
    }

    fn turns(&self, from: Side) -> bool {
        if self.requester == from {
            self.requests.phase.is_between() && (!self.pipelining || self.open.len() <= 1)
        } else {
            self.responses.phase.is_between() && !self.open.iter().any(|open| open.awaits())
        }
    }

    fn repeated(&mut self, from: Side) {
        let role = self.role(from);
        if let Some((_, open)) = self.current(role) {
            open.notes.add(Notes::RETRANSMIT);
        }
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}
