//! The asking side of a conversation.

use super::super::Role;
use super::super::chunked::Chunked;
use super::super::head::{Coding, Head, Length};
use super::super::open::Asked;
use super::super::reader::{Body, Phase};
use super::{Http1, MAX_PIPELINED};
use crate::call::Notes;
use crate::wire::{Context, Conversation};

impl Http1 {
    pub(super) fn begin_request(&mut self, fresh: bool, cx: &mut Context<'_>) -> bool {
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

    pub(super) fn asked(&mut self, cut: bool, cx: &mut Context<'_>) {
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

    /// The requester sends nothing more.
    pub(super) fn end_requests(&mut self, cx: &mut Context<'_>) {
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
