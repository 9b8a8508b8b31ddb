//! An exchange while its stream is open, and the pool that lends the buffers for it.

use super::Role;
use super::envelope::Envelope;
use super::hpack::{Section, Span};
use crate::call::{Messages, Notes};
use crate::exchange::{Exchange, Fields, Request, Response, Sizes, Timing, Wire};
use crate::segment::Side;
use crate::wire::http1::Asking;
use crate::wire::{Context, http1};

/// Open exchanges whose buffers are kept for reuse.
const MAX_FREE: usize = 1024;
/// Buffers larger than this are not kept, so that a burst of large heads does not stay.
const MAX_FREE_BYTES: usize = 4096;
/// How long a stream of messages is open before it is shown for the first time; the next time takes twice as long.
const SHOW_AFTER: u64 = 2_000_000_000;
/// Doublings of that time: a minute is the longest.
const MAX_DOUBLINGS: u32 = 5;

/// What the pseudo fields say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pseudo {
    method: Span,
    target: Span,
    authority: Option<Span>,
    /// 0 when there is none, or none that is known.
    pub(super) status: u16,
    pub(super) asks: bool,
}

impl Pseudo {
    /// They come before the other fields (RFC 9113 §8.3).
    pub(super) fn of(section: &Section) -> Self {
        let mut pseudo = Self::default();
        for (field, (name, value)) in section.fields.iter().zip(section.each()) {
            match name {
                b":method" => pseudo.method = field.value,
                b":path" => pseudo.target = field.value,
                b":authority" => pseudo.authority = Some(field.value),
                b":status" => pseudo.status = status(value),
                b":scheme" | b":protocol" => {}
                _ => break,
            }
            pseudo.asks |= name != b":status";
        }
        pseudo
    }
}

fn status(value: &[u8]) -> u16 {
    let number = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|status| (100..1000).contains(status) && value.len() == 3).unwrap_or_default()
}

/// One half of an exchange.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) head: Section,
    pub(super) trailers: Section,
    pub(super) pseudo: Pseudo,
    pub(super) sizes: Sizes,
    body: Vec<u8>,
    /// A part of the body is missing: what follows is no longer its prefix.
    broken: bool,
    /// Set when the body holds messages of gRPC.
    pub(super) envelope: Option<Envelope>,
    shown: Shown,
}

/// What earlier reports of the same stream counted.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    sizes: Sizes,
    messages: Messages,
}

impl Message {
    /// Counts body bytes and keeps them as long as the prefix is unbroken and within the cap.
    pub(super) fn push_body(&mut self, data: &[u8], cap: usize, room: usize) {
        self.sizes.body = self.sizes.body.saturating_add(data.len() as u64);
        if let Some(envelope) = &mut self.envelope {
            envelope.read(data);
        }
        if self.broken {
            return;
        }
        let kept = data.get(..cap.saturating_sub(self.body.len()).min(room)).unwrap_or(data);
        self.broken = kept.len() < data.len();
        self.body.extend_from_slice(kept);
    }

    /// Counts body bytes that are missing.
    pub(super) fn skip_body(&mut self, len: u64) {
        self.sizes.body = self.sizes.body.saturating_add(len);
        self.broken |= len > 0;
        if let Some(envelope) = &mut self.envelope {
            envelope.skip(len);
        }
    }

    fn messages(&self) -> Messages {
        self.envelope.map_or_else(Messages::default, |envelope| envelope.messages)
    }

    fn is_compressed(&self) -> bool {
        self.envelope.is_some_and(|envelope| envelope.compressed)
    }

    fn bytes(&self) -> usize {
        self.head.held() + self.trailers.held() + self.body.len()
    }

    /// What was not counted by an earlier report.
    fn unshown(&self) -> (Sizes, Messages) {
        let Shown { sizes, messages } = self.shown;
        let all = self.messages();
        let left = |now: u64, before: u64| now.saturating_sub(before);
        (
            Sizes {
                head: left(self.sizes.head, sizes.head),
                body: left(self.sizes.body, sizes.body),
                wire: left(self.sizes.wire, sizes.wire),
            },
            Messages {
                count: left(all.count, messages.count),
                bytes: left(all.bytes, messages.bytes),
                largest: all.largest,
            },
        )
    }

    fn show(&mut self) {
        self.shown = Shown { sizes: self.sizes, messages: self.messages() };
    }

    fn clear(&mut self) {
        self.head.reset(MAX_FREE_BYTES);
        self.trailers.reset(MAX_FREE_BYTES);
        self.body.clear();
        self.body.shrink_to(MAX_FREE_BYTES);
        (self.pseudo, self.sizes, self.shown) = Default::default();
        (self.broken, self.envelope) = (false, None);
    }

    const fn view(&self) -> View<'_> {
        View { section: &self.head, authority: self.pseudo.authority }
    }

    fn trailers(&self) -> Option<View<'_>> {
        let any = !self.trailers.fields.is_empty();
        any.then_some(View { section: &self.trailers, authority: None })
    }
}

/// Fields as the dialects see them: those of HTTP/1.
struct View<'a> {
    section: &'a Section,
    authority: Option<Span>,
}

impl Fields for View<'_> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.section.each() {
            if name == b":authority" {
                each(b"host", value);
            } else if name.first() != Some(&b':') {
                each(name, value);
            }
        }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        if let Some(authority) = self.authority.filter(|_| name == "host") {
            return Some(authority.within(&self.section.bytes));
        }
        self.section.get(name.as_bytes())
    }
}

/// An exchange that is not complete.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) stream: u32,
    pub(super) request: Message,
    pub(super) response: Message,
    pub(super) timing: Timing,
    pub(super) notes: Notes,
    pub(super) request_done: bool,
    /// The head of the final response was read.
    pub(super) answered: bool,
    pub(super) response_done: bool,
    /// It was reported before its end, and will not be again.
    pub(super) reported: bool,
    /// How often it was shown while it went on.
    shows: u32,
    shown_at: u64,
    /// Bytes that the pool has charged for it.
    charged: usize,
}

impl Open {
    pub(super) const fn message(&mut self, role: Role) -> &mut Message {
        match role {
            Role::Request => &mut self.request,
            Role::Response => &mut self.response,
        }
    }

    pub(super) const fn finish(&mut self, role: Role) {
        match role {
            Role::Request => self.request_done = true,
            Role::Response => self.response_done = true,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.request_done && self.response_done
    }

    /// The last byte so far of one half came at `at`.
    pub(super) fn touch(&mut self, role: Role, at: u64) {
        let (start, end) = match role {
            Role::Request => (&mut self.timing.request_start, &mut self.timing.request_end),
            Role::Response => (&mut self.timing.response_start, &mut self.timing.response_end),
        };
        if *start == 0 {
            *start = at;
        }
        *end = (*end).max(at).max(*start);
    }

    /// Takes over a request that was made in HTTP/1.
    pub(super) fn ask(&mut self, request: &Asking<'_>) {
        let head = &mut self.request.head;
        head.push(b":method", request.method);
        head.push(b":path", request.target);
        request.fields.each(&mut |name, value| {
            // Of the upgrade itself, and of no interest any more.
            if !["connection", "upgrade", "http2-settings"]
                .iter()
                .any(|of| name.eq_ignore_ascii_case(of.as_bytes()))
            {
                head.push(&name.to_ascii_lowercase(), value);
            }
        });
        self.stream = 1;
        self.request.pseudo = Pseudo::of(head);
        self.request.sizes = request.sizes;
        self.request_done = true;
        self.timing = Timing { response_start: 0, response_end: 0, ..request.timing };
        self.notes = Notes(request.notes.0 | Notes::UPGRADED.0);
    }

    /// Tells the pool how much it holds now.
    pub(super) fn charge(&mut self, pool: &mut http1::Pool) {
        let now = size_of::<Self>() + self.request.bytes() + self.response.bytes();
        pool.recharge(self.charged, now);
        self.charged = now;
    }

    /// The response that was read is an interim one: the final one is still to come.
    pub(super) fn interim(&mut self) {
        self.notes.add(Notes::INTERIM);
        self.response.head.clear();
        (self.timing.response_start, self.timing.response_end) = (0, 0);
    }

    /// Whether messages go to and fro while it is open.
    pub(super) const fn is_stream(&self) -> bool {
        (self.request.envelope.is_some() || self.response.envelope.is_some())
            && (self.answered || !self.request_done)
    }

    /// Whether it is a stream of messages that should be shown before its end: once it has been open for long, and then
    /// whenever messages have come, ever less often.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let interval = SHOW_AFTER << self.shows.min(MAX_DOUBLINGS);
        let last = self.shown_at.max(self.timing.request_start);
        let news =
            || [&self.request, &self.response].into_iter().any(|message| message.unshown().1.count > 0);
        self.is_stream()
            && !self.reported
            && now > last.saturating_add(interval)
            && (self.shows == 0 || news())
    }

    /// Hands on what was said since the last time, as a message that expects no answer.
    pub(super) fn show(&mut self, requester: Side, cx: &mut Context<'_>) {
        self.shows = self.shows.saturating_add(1);
        self.shown_at = cx.at;
        cx.stats.exchanges += 1;
        self.lend(requester, Notes(self.notes.0 | Notes::ONE_WAY.0 | Notes::STREAMING.0), cx);
        self.request.show();
        self.response.show();
    }

    /// Hands the exchange on as it stands, for the last time.
    pub(super) fn report(&mut self, requester: Side, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.reported, true) {
            cx.stats.late_responses += u64::from(self.answered);
            return;
        }
        cx.stats.exchanges += 1;
        cx.stats.unanswered += u64::from(!self.answered);
        let streaming = if self.shows > 0 { Notes::STREAMING } else { Notes::default() };
        self.lend(requester, Notes(self.notes.0 | streaming.0), cx);
    }

    fn lend(&mut self, requester: Side, notes: Notes, cx: &mut Context<'_>) {
        self.timing.closed = cx.at.max(self.timing.request_end).max(self.timing.response_end);
        let (asked, answer) = (self.request.view(), self.response.view());
        let trailers = [self.request.trailers(), self.response.trailers()];
        let [asked_after, answered_after] =
            trailers.each_ref().map(|view| view.as_ref().map(|view| view as &dyn Fields));
        let compressed = [&self.request, &self.response].into_iter().any(Message::is_compressed);
        let (asked_sizes, sent) = self.request.unshown();
        let (answer_sizes, received) = self.response.unshown();
        let request = Request {
            method: self.request.pseudo.method.within(&self.request.head.bytes),
            target: self.request.pseudo.target.within(&self.request.head.bytes),
            minor_version: 0,
            fields: &asked,
            trailers: asked_after,
            body: &self.request.body,
            sizes: asked_sizes,
        };
        let response = self.answered.then(|| Response {
            status: self.response.pseudo.status,
            minor_version: 0,
            fields: &answer,
            trailers: answered_after,
            body: &self.response.body,
            sizes: answer_sizes,
        });
        (cx.out)(&Exchange {
            conn: cx.conn,
            wire: Wire::Http2,
            requester,
            request,
            response,
            timing: self.timing,
            messages: [sent, received],
            notes: Notes(notes.0 | if compressed { Notes::COMPRESSED.0 } else { 0 }),
        });
    }
}

/// Lends open exchanges with warm buffers.
#[derive(Default)]
pub struct Pool {
    #[expect(clippy::vec_box, reason = "the boxes themselves are lent: neither moved nor allocated again")]
    free: Vec<Box<Open>>,
    /// Where a block is decoded before it is known whose it is.
    pub(super) section: Section,
    /// Bytes that all dynamic tables hold.
    pub(super) tables: usize,
}

impl Pool {
    pub(super) fn lend(&mut self) -> Box<Open> {
        self.free.pop().unwrap_or_default()
    }

    pub(super) fn take_back(&mut self, mut open: Box<Open>, meter: &mut http1::Pool) {
        meter.recharge(open.charged, 0);
        let Open { request, response, .. } = &mut *open;
        request.clear();
        response.clear();
        let (request, response) = (std::mem::take(request), std::mem::take(response));
        *open = Open { request, response, ..Open::default() };
        if self.free.len() < MAX_FREE {
            self.free.push(open);
        }
    }
}
