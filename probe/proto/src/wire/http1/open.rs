//! An exchange while it is open, and the pool that lends the buffers for it.

use super::Role;
use super::events::Events;
use super::head::{self, Field, Head, View};
use crate::call::{Messages, Notes};
use crate::exchange::{Exchange, Fields, NoFields, Request, Response, Sizes, Timing, Wire};
use crate::segment::Side;
use crate::wire::Context;

/// Open exchanges whose buffers are kept for reuse.
const MAX_FREE: usize = 1024;
/// Buffers larger than this are not kept, so that a burst of large heads does not stay.
const MAX_FREE_BYTES: usize = 4096;

/// One half of an exchange: the head, then the captured prefix of the body.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    head_len: usize,
    pub(super) head: Head,
    pub(super) sizes: Sizes,
    /// A part of the body is missing: what follows is no longer its prefix.
    broken: bool,
    /// The body is a stream of events.
    events: Option<Box<Events>>,
}

impl Message {
    /// The bytes of the head so far.
    pub(super) fn partial(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends to the head.
    pub(super) fn push_head(&mut self, bytes: &[u8], pool: &mut Pool) {
        self.bytes.extend_from_slice(bytes);
        pool.held += bytes.len();
    }

    /// Takes a head that lies whole in `bytes`; says how long it is.
    pub(super) fn take_head(
        &mut self,
        role: Role,
        bytes: &[u8],
        room: usize,
        pool: &mut Pool,
    ) -> Option<usize> {
        let (head, len) = head::read_whole(role, bytes, &mut self.fields).filter(|(_, len)| *len <= room)?;
        self.push_head(bytes.get(..len)?, pool);
        self.set_head(head);
        Some(len)
    }

    /// Reads the head with `read`; the message then has its head sizes.
    pub(super) fn read_head(&mut self, read: impl FnOnce(&[u8], &mut Vec<Field>) -> Option<Head>) -> bool {
        let head = read(&self.bytes, &mut self.fields);
        head.map(|head| self.set_head(head)).is_some()
    }

    const fn set_head(&mut self, head: Head) {
        self.head = head;
        self.head_len = self.bytes.len();
        let len = self.head_len as u64;
        self.sizes = Sizes { head: len, body: 0, wire: len };
    }

    /// Counts body bytes and keeps them as long as the prefix is unbroken and within the cap.
    pub(super) fn push_body(&mut self, data: &[u8], cap: usize, room: usize) -> usize {
        self.sizes.body = self.sizes.body.saturating_add(data.len() as u64);
        if let Some(events) = &mut self.events {
            events.push(data);
        }
        if self.broken {
            return 0;
        }
        let free = cap.saturating_sub(self.bytes.len() - self.head_len).min(room);
        let kept = data.get(..free).unwrap_or(data);
        self.broken = kept.len() < data.len();
        self.bytes.extend_from_slice(kept);
        kept.len()
    }

    /// Counts body bytes that are missing.
    pub(super) fn skip_body(&mut self, len: u64) {
        self.sizes.body = self.sizes.body.saturating_add(len);
        self.broken = true;
        if let Some(events) = &mut self.events {
            events.lose();
        }
    }

    /// Counts bytes on the wire.
    pub(super) const fn pass(&mut self, len: u64) {
        self.sizes.wire = self.sizes.wire.saturating_add(len);
    }

    /// Forgets everything but the capacity, within reason.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        pool.held = pool.held.saturating_sub(self.bytes.len());
        self.bytes.clear();
        self.bytes.shrink_to(MAX_FREE_BYTES);
        self.fields.clear();
        (self.head_len, self.broken, self.events) = (0, false, None);
        (self.head, self.sizes) = (Head::default(), Sizes::default());
    }

    pub(super) fn method(&self) -> &[u8] {
        self.head.method.within(&self.bytes)
    }

    pub(super) fn target(&self) -> &[u8] {
        self.head.target.within(&self.bytes)
    }

    fn view(&self) -> View<'_> {
        View { bytes: self.bytes.get(..self.head_len).unwrap_or_default(), fields: &self.fields }
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(self.head_len..).unwrap_or_default()
    }
}

/// The head of a request that outlives its exchange: messages of an upgraded connection are named by it.
#[derive(Default)]
pub(in crate::wire) struct Kept {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    head: Head,
}

impl Kept {
    fn of(message: &Message) -> Self {
        let bytes = message.view().bytes.to_vec();
        Self { bytes, fields: message.fields.clone(), head: message.head }
    }

    /// Bytes that it holds.
    pub(in crate::wire) const fn len(&self) -> usize {
        self.bytes.len() + self.fields.len() * size_of::<Field>()
    }

    pub(in crate::wire) fn target(&self) -> &[u8] {
        self.head.target.within(&self.bytes)
    }

    pub(in crate::wire) fn fields(&self) -> impl Fields {
        View { bytes: &self.bytes, fields: &self.fields }
    }
}

/// How a response to this request is framed, which outlives the request's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing special.
    #[default]
    Plain,
    /// HEAD: no body.
    Head,
    /// CONNECT: a tunnel when accepted.
    Tunnel,
}

/// A request whose answer comes in another protocol.
pub(in crate::wire) struct Asking<'a> {
    pub(in crate::wire) method: &'a [u8],
    pub(in crate::wire) target: &'a [u8],
    pub(in crate::wire) fields: View<'a>,
    pub(in crate::wire) sizes: Sizes,
    pub(in crate::wire) timing: Timing,
    pub(in crate::wire) notes: Notes,
}

/// An exchange that is not complete.
#[derive(Default)]
pub(super) struct Open {
    pub(super) request: Message,
    pub(super) response: Message,
    pub(super) timing: Timing,
    pub(super) notes: Notes,
    pub(super) asked: Asked,
    /// The head of the request was read.
    pub(super) heard: bool,
    pub(super) request_done: bool,
    /// The head of the final response was read.
    pub(super) answered: bool,
    pub(super) response_done: bool,
    /// There was no request.
    pub(super) orphan: bool,
    /// It was reported before its end.
    pub(super) reported: bool,
    /// Bytes of interim responses.
    pub(super) interim: u64,
}

impl Open {
    pub(super) const fn message(&mut self, role: Role) -> &mut Message {
        match role {
            Role::Request => &mut self.request,
            Role::Response => &mut self.response,
        }
    }

    /// Forgets everything but the buffers' capacity.
    fn clear(&mut self, pool: &mut Pool) {
        let Self { request, response, timing, notes, asked, interim, .. } = self;
        request.clear(pool);
        response.clear(pool);
        (*timing, *notes, *asked, *interim) = Default::default();
        let Self { heard, request_done, answered, response_done, orphan, reported, .. } = self;
        (*heard, *request_done, *answered, *response_done, *orphan, *reported) = Default::default();
    }

    /// The last byte so far of one half came at `at`.
    pub(super) fn touch(&mut self, role: Role, at: u64) {
        let (start, end) = match role {
            Role::Request => (self.timing.request_start, &mut self.timing.request_end),
            Role::Response => (self.timing.response_start, &mut self.timing.response_end),
        };
        *end = (*end).max(at).max(start);
    }

    /// The response that was read is an interim one: the final one is still to come.
    pub(super) fn interim(&mut self, pool: &mut Pool) {
        self.notes.add(Notes::INTERIM);
        self.interim = self.interim.saturating_add(self.response.sizes.wire);
        self.response.clear(pool);
        (self.timing.response_start, self.timing.response_end) = (0, 0);
    }

    /// Whether a response may be for this.
    pub(super) const fn awaits(&self) -> bool {
        self.heard && !self.response_done
    }

    /// What the messages of the connection are named by when it is upgraded.
    pub(super) fn kept(&self) -> Kept {
        Kept::of(&self.request)
    }

    /// The fields of the response.
    pub(super) fn answer(&self) -> impl Fields {
        self.response.view()
    }

    /// The response is a stream of events: they are read one by one from here.
    pub(super) fn stream(&mut self) {
        self.notes.add(Notes::STREAMING);
        self.response.events = Some(Box::default());
    }

    /// Events wait to be reported.
    pub(super) fn has_events(&self) -> bool {
        self.response.events.as_ref().is_some_and(|events| events.has_any())
    }

    /// Whether the request reads the stream only for its first event, which is the answer.
    pub(super) fn waits_for_event(&self) -> bool {
        self.request.method() == b"POST"
    }

    /// Reports the events that are complete.
    pub(super) fn report_events(&mut self, requester: Side, cx: &mut Context<'_>) {
        let Some(mut events) = self.response.events.take() else { return };
        let fields = self.request.view();
        events.drain(|size, event| {
            cx.stats.exchanges += 1;
            (cx.out)(&Exchange {
                conn: cx.conn,
                wire: Wire::Events,
                requester,
                request: Request {
                    method: b"RECEIVE",
                    target: self.request.target(),
                    minor_version: self.request.head.minor,
                    fields: &fields,
                    trailers: None,
                    body: &[],
                    sizes: Sizes::default(),
                },
                response: Some(Response {
                    status: 0,
                    minor_version: self.response.head.minor,
                    fields: &NoFields,
                    trailers: None,
                    body: event,
                    sizes: Sizes { head: 0, body: size, wire: size },
                }),
                timing: Timing {
                    request_start: cx.at,
                    request_end: 0,
                    response_start: cx.at,
                    response_end: cx.at,
                    closed: cx.at,
                },
                messages: [Messages::default(), Messages::one(size)],
                notes: Notes::ONE_WAY,
            });
        });
        self.response.events = Some(events);
    }

    /// Whether the response agrees to HTTP/2 in clear.
    pub(super) fn becomes_http2(&self) -> bool {
        let agreed = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"h2c");
        !self.orphan
            && self.response.head.status == 101
            && self.response.view().get("upgrade").is_some_and(agreed)
    }

    /// The request, for the protocol in which it is answered.
    pub(super) fn asked(&self) -> Asking<'_> {
        let Self { request, timing, notes, .. } = self;
        let (method, target) = (request.method(), request.target());
        Asking {
            method,
            target,
            fields: request.view(),
            sizes: request.sizes,
            timing: *timing,
            notes: *notes,
        }
    }

    /// Hands the exchange on as it stands.
    pub(super) fn report(&mut self, requester: Side, cx: &mut Context<'_>) {
        if self.reported {
            cx.stats.late_responses += u64::from(self.answered && !self.notes.any(Notes::STREAMING));
            return;
        }
        self.reported = true;
        if self.orphan {
            cx.stats.orphan_responses += 1;
            return;
        }
        cx.stats.exchanges += 1;
        cx.stats.unanswered += u64::from(!self.answered);
        self.timing.closed = cx.at.max(self.timing.request_end).max(self.timing.response_end);
        let (asked, answer) = (self.request.view(), self.response.view());
        let request = Request {
            method: self.request.method(),
            target: self.request.target(),
            minor_version: self.request.head.minor,
            fields: &asked,
            trailers: None,
            body: self.request.body(),
            sizes: self.request.sizes,
        };
        let response = self.answered.then(|| Response {
            status: self.response.head.status,
            minor_version: self.response.head.minor,
            fields: &answer,
            trailers: None,
            body: self.response.body(),
            sizes: self.response.sizes,
        });
        (cx.out)(&Exchange {
            conn: cx.conn,
            wire: Wire::Http1,
            requester,
            request,
            response,
            timing: self.timing,
            messages: [Messages::default(); 2],
            notes: self.notes,
        });
    }
}

/// Lends open exchanges with warm buffers and knows how many bytes all of them hold.
#[derive(Default)]
pub struct Pool {
    #[expect(clippy::vec_box, reason = "the boxes themselves are lent: neither moved nor allocated again")]
    free: Vec<Box<Open>>,
    held: usize,
    /// Windows of permessage-deflate that are alive.
    pub(in crate::wire) windows: usize,
}

impl Pool {
    /// Bytes of heads and bodies that open exchanges hold.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Something of another protocol held `before` bytes and now holds `now`.
    pub(in crate::wire) const fn recharge(&mut self, before: usize, now: usize) {
        self.held = self.held.saturating_sub(before) + now;
    }

    /// So many body bytes were kept.
    pub(super) const fn keep(&mut self, len: usize) {
        self.held += len;
    }

    pub(super) fn lend(&mut self) -> Box<Open> {
        self.free.pop().unwrap_or_default()
    }

    pub(super) fn take_back(&mut self, mut open: Box<Open>) {
        open.clear(self);
        if self.free.len() < MAX_FREE {
            self.free.push(open);
        }
    }
}
