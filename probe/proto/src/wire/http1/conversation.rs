//! A connection that speaks HTTP/1: pairs what one side asks with what the other answers.

use super::Role;
use super::chunked::Chunked;
use super::head::{self, Coding, Head, Length, MAX_HEAD, Scan};
use super::open::{Asked, Open};
use super::reader::{Body, Phase, Reader, read_body, skip_body};
use super::start_line::{is_line, plausible};
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
    requester: Option<Side>,
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
}

impl Http1 {
    pub(super) fn start(beginning: Beginning) -> Box<dyn Conversation> {
        let middle = beginning == Beginning::Middle;
        let phase = if middle { Phase::Seek } else { Phase::Start };
        let reader = Reader { phase, scan: Scan::default() };
        Box::new(Self {
            requester: None,
            requests: reader,
            responses: reader,
            open: SmallVec::new(),
            pipelining: false,
            adrift: false,
            middle,
            proven: false,
            settled: false,
        })
    }

    /// Who `from` is, which the first bytes decide.
    fn role(&mut self, from: Side, bytes: &[u8]) -> Role {
        let requester = *self.requester.get_or_insert_with(|| {
            if plausible(Role::Response, bytes) == Match::Yes { from.peer() } else { from }
        });
        if requester == from { Role::Request } else { Role::Response }
    }

    fn requester(&self) -> Side {
        self.requester.unwrap_or(Side::Client)
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

    /// Looks for the first byte of a message.
    fn begin(&mut self, role: Role, bytes: &[u8], fresh: bool, cx: &mut Context<'_>) -> Step {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            return Step::Took(blank);
        }
        let seeking = matches!(self.reader(role).phase, Phase::Seek);
        if seeking && !fresh {
            return self.unframed(role, bytes.len(), cx);
        }
        if plausible(role, bytes) == Match::No {
            if self.open.is_empty() && !self.settled && plausible(role.other(), bytes) == Match::Yes {
                self.requester = Some(self.requester().peer());
                return Step::Took(0);
            }
            self.seek(role, cx);
            return self.unframed(role, bytes.len(), cx);
        }
        let began = match role {
            Role::Request => self.begin_request(fresh, cx),
            Role::Response => self.begin_response(cx),
        };
        if !began {
            return Step::Refused;
        }
        *self.reader(role) = Reader { phase: Phase::Head, scan: Scan::default() };
        Step::Took(0)
    }

    fn begin_request(&mut self, fresh: bool, cx: &mut Context<'_>) -> bool {
        if self.open.len() <= 1 && self.responses.phase.is_blind() {
            self.done(Role::Response, cx);
        }
        if self.open.len() >= MAX_PIPELINED {
            cx.stats.pipelines_too_deep += 1;
            self.close(false, cx);
            return false;
        }
        self.pipelining |= !fresh && !self.open.is_empty();
        let mut open = cx.pool.lend();
        open.timing.request_start = cx.at;
        if std::mem::take(&mut self.middle) {
            open.notes.add(Notes::MID_STREAM);
        }
        self.open.push(open);
        true
    }

    fn begin_response(&mut self, cx: &mut Context<'_>) -> bool {
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

    /// Collects a head.
    fn head(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let Some((reader, open)) = self.current(role) else { return self.abandon(role, bytes.len(), cx) };
        let message = open.message(role);
        if message.partial().is_empty() {
            let room = cx.limits.buffered.saturating_sub(cx.pool.held());
            if let Some(taken) = message.take_head(role, bytes, room, cx.pool) {
                open.touch(role, cx.at);
                return if self.headed(role, false, cx) { Step::Left(taken) } else { Step::Took(taken) };
            }
        }
        let end = reader.scan.end(bytes);
        let take = end.unwrap_or(bytes.len());
        let room =
            (MAX_HEAD - message.partial().len()).min(cx.limits.buffered.saturating_sub(cx.pool.held()));
        if take > room {
            message.push_head(bytes.get(..room).unwrap_or_default(), cx.pool);
            cx.stats.heads_too_large += 1;
            let going = self.cut_head(role, Notes::default(), cx);
            return if going { Step::Took(room) } else { self.unframed(role, bytes.len(), cx) };
        }
        let unread = reader.scan.first_line.filter(|line| *line as usize > message.partial().len());
        message.push_head(bytes.get(..take).unwrap_or_default(), cx.pool);
        if end.is_none() {
            let line = unread.and_then(|line| message.partial().get(..line as usize));
            let wrong = line.is_some_and(|line| !is_line(role, line));
            return if wrong { self.abandon(role, take, cx) } else { Step::Took(take) };
        }
        let scan = reader.scan;
        if !message.read_head(|bytes, fields| head::read(role, bytes, &scan, fields)) {
            return self.abandon(role, take, cx);
        }
        open.touch(role, cx.at);
        if self.headed(role, false, cx) { Step::Left(take) } else { Step::Took(take) }
    }

    /// A head was read, or its beginning when it was `cut`. Whether the connection leaves HTTP/1 with it.
    fn headed(&mut self, role: Role, cut: bool, cx: &mut Context<'_>) -> bool {
        self.proven = true;
        match role {
            Role::Request => {
                self.asked(cut, cx);
                false
            }
            Role::Response => self.answered(cut, cx),
        }
    }

    fn asked(&mut self, cut: bool, cx: &mut Context<'_>) {
        let before = self.open.len().checked_sub(2).and_then(|at| self.open.get_mut(at));
        if let Some(before) = before {
            before.notes.add(Notes::PIPELINED);
        }
        let Some((reader, open)) = self.current(Role::Request) else { return };
        open.heard = true;
        open.notes.add(open.request.head.notes);
        open.asked = match open.request.method() {
            b"HEAD" => Asked::Head,
            b"CONNECT" => Asked::Tunnel,
            _ => Asked::Plain,
        };
        if open.asked == Asked::Tunnel {
            open.notes.add(Notes::TUNNEL);
        } else if is_absolute(open.request.target()) {
            open.notes.add(Notes::ABSOLUTE_FORM);
        }
        let body = if cut { Some(Body::Blind) } else { request_body(&open.request.head) };
        match body {
            Some(body) => reader.phase = Phase::Body(body),
            None => self.done(Role::Request, cx),
        }
    }

    fn answered(&mut self, cut: bool, cx: &mut Context<'_>) -> bool {
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
        }
        leaves
    }

    /// The connection leaves HTTP/1 with the response whose head was read.
    fn leave(&mut self, cx: &mut Context<'_>) {
        cx.stats.upgraded += 1;
        self.note_current(Role::Response, Notes::UPGRADED);
        if let Some((_, open)) = self.current(Role::Response) {
            (open.request_done, open.response_done) = (true, true);
        }
        (self.requests.phase, self.responses.phase) = (Phase::Ended, Phase::Ended);
        self.close(false, cx);
    }

    fn note_current(&mut self, role: Role, notes: Notes) {
        if let Some((_, open)) = self.current(role) {
            open.notes.add(notes);
        }
    }

    /// After a hole that may have swallowed responses: without pipelining, this one is for the newest request,
    /// and the older ones were answered out of our sight.
    fn regain(&mut self, cx: &mut Context<'_>) {
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

    /// The head ends here as far as we see: takes what its start line says, and follows the rest blindly.
    fn cut_head(&mut self, role: Role, why: Notes, cx: &mut Context<'_>) -> bool {
        let Some((reader, open)) = self.current(role) else { return false };
        let scan = reader.scan;
        if !open.message(role).read_head(|bytes, fields| head::read_cut(role, bytes, &scan, fields)) {
            open.notes.add(why);
            self.abandon(role, 0, cx);
            return false;
        }
        open.notes.add(why);
        open.touch(role, cx.at);
        self.headed(role, true, cx);
        true
    }

    /// What was collected is not a head.
    fn abandon(&mut self, role: Role, taken: usize, cx: &mut Context<'_>) -> Step {
        cx.stats.bad_heads += 1;
        let mut collected = 0;
        if let Some((_, open)) = self.current(role) {
            collected = open.message(role).partial().len();
            open.message(role).clear(cx.pool);
            if role == Role::Response {
                (open.timing.response_start, open.timing.response_end) = (0, 0);
            }
        }
        let dropped = match role {
            Role::Request => self.open.pop(),
            Role::Response => {
                self.adrift = true;
                self.open.first().is_some_and(|open| open.orphan).then(|| self.open.remove(0))
            }
        };
        if let Some(open) = dropped {
            cx.pool.take_back(open);
        }
        if !self.proven {
            return Step::Refused;
        }
        cx.stats.unframed_bytes += collected as u64;
        self.seek(role, cx);
        Step::Took(taken)
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
        if taken.done {
            if role == Role::Response && self.open.len() == 1 && taken.used < bytes.len() {
                self.note_all(Notes::EXCESS);
            }
            self.done(role, cx);
        }
        Step::Took(taken.used)
    }

    /// Whether a body without a visible end is followed here by the answer to the next request.
    fn answers_next(&self, bytes: &[u8]) -> bool {
        self.responses.phase.is_blind()
            && plausible(Role::Response, bytes) == Match::Yes
            && self.open.iter().filter(|open| open.awaits()).nth(1).is_some()
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
            open.report(self.requester(), cx);
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

    /// The requester sends nothing more.
    fn end_requests(&mut self, cx: &mut Context<'_>) {
        let phase = std::mem::replace(&mut self.requests.phase, Phase::Ended);
        if matches!(phase, Phase::Head) {
            self.requests.phase = phase;
            if self.cut_head(Role::Request, Notes::REQUEST_CUT, cx) {
                self.done(Role::Request, cx);
            }
        } else if let (Phase::Body(body), Some(open)) = (phase, self.open.last_mut()) {
            if !body.is_blind() {
                open.notes.add(Notes::REQUEST_CUT);
            }
            self.done(Role::Request, cx);
        }
        self.requests.phase = Phase::Ended;
    }

    /// The responder sends nothing more: what is unanswered stays so.
    fn end_responses(&mut self, cx: &mut Context<'_>) {
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

impl Conversation for Http1 {
    fn bytes(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Reading {
        let mut rest = bytes;
        let mut fresh = true;
        while !rest.is_empty() {
            let role = self.role(from, rest);
            let step = match self.reader(role).phase {
                Phase::Start | Phase::Seek => self.begin(role, rest, fresh, cx),
                Phase::Head => self.head(role, rest, cx),
                Phase::Body(_) => self.body(role, rest, fresh, cx),
                Phase::Ended => self.unframed(role, rest.len(), cx),
            };
            let taken = match step {
                Step::Took(taken) => taken,
                Step::Left(taken) => return Reading::Left(rest.len().saturating_sub(taken)),
                Step::Refused => return Reading::Refused,
            };
            let (done, left) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            fresh &= done.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            rest = left;
        }
        Reading::On
    }

    fn gap(&mut self, from: Side, len: u64, lost: bool, cx: &mut Context<'_>) {
        let role = self.role(from, &[]);
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
            self.adrift |= role == Role::Response;
            self.seek(role, cx);
            if !lost {
                cx.stats.unframed_bytes += left;
            }
        }
    }

    fn end(&mut self, from: Side, cx: &mut Context<'_>) {
        match self.role(from, &[]) {
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
                open.report(self.requester(), cx);
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
        let requester = self.requester();
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
        if self.requester() == from {
            self.requests.phase.is_between() && (!self.pipelining || self.open.len() <= 1)
        } else {
            self.responses.phase.is_between() && !self.open.iter().any(|open| open.awaits())
        }
    }

    fn repeated(&mut self, from: Side) {
        let role = self.role(from, &[]);
        if let Some((_, open)) = self.current(role) {
            open.notes.add(Notes::RETRANSMIT);
        }
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

/// `scheme://`, as for proxies (RFC 9112 §3.2.2).
fn is_absolute(target: &[u8]) -> bool {
    let scheme =
        target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    target.get(scheme.count()..).is_some_and(|rest| rest.starts_with(b"://"))
}

/// How a request body is framed (RFC 9112 §6.3); `None` when there is none.
fn request_body(head: &Head) -> Option<Body> {
    match (head.coding, head.length) {
        (Coding::Chunked, _) => Some(Body::Chunked(Chunked::new())),
        (Coding::Bad, _) | (Coding::None, Length::Bad) => Some(Body::Blind),
        (Coding::None, Length::Known(length)) => (length > 0).then_some(Body::Length(length)),
        (Coding::None, Length::None) => None,
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
