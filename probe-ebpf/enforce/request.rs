//! Requests of ruled services. The parser cuts the stream of a socket into heads and pieces of bodies and judges each
//! head; the verdict program, which runs right behind it, lets through, answers, or drops.
//!
//! Held back is an unfinished head, and a body of modest length until it is complete. Kernels from 6.14 on need that of bodies: `tcp_bpf_strp_read_sock` sets how far the reader has read from what it
//! handed over last, and forgets what lies there unread from before. When that is read too, the reader is ahead of what has
//! arrived, is not woken for a next request that is shorter, and loses its first bytes when the socket leaves the map.

use crate::answer::{answer, fits};
use crate::begin::{Looks, leading, looks};
use crate::chunk::line;
use crate::effect::{Outcome, count, of_caller};
use crate::head;
use crate::judge::{Verdict, judge};
use crate::packet::{held, load, message, written};
use crate::rule::{in_force, now};
use crate::service::{SERVICE, SOCKETS, STREAMS};
use crate::work::{
    self, FOUND_CHUNKED, FOUND_CLOSE, FOUND_EXPECT, FOUND_LENGTH, FOUND_ODD, FOUND_UPGRADE, FOUND_VERSION,
};
use apisec_abi::enforce::{
    ACTION_ANSWER, ACTION_DROP, ACTION_PASS, Close, MAX_HEAD, PHASE_BODY, PHASE_CHUNK, PHASE_CHUNK_DATA,
    PHASE_DEAD, PHASE_LOST, PHASE_OPAQUE, PHASE_START, PHASE_TRAILER, SERVICE_CLOSED, STREAM_ASKED,
    STREAM_CLOSE, STREAM_HEAD, Service, Stream,
};
use aya_ebpf::{
    bindings::__sk_buff,
    btf_maps::RingBuf,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_redirect_hash},
    macros::{btf_map, stream_parser, stream_verdict},
    programs::SkBuffContext,
};

const SK_DROP: u32 = 0;
const SK_PASS: u32 = 1;
/// The parser wants more before it says anything.
pub const MORE: u32 = 0;

/// Connections that user space is to destroy.
#[btf_map]
pub static CLOSE: RingBuf<Close, { 64 << 10 }> = RingBuf::new();

const HEAD: u64 = head::hash_of(b"HEAD");
const PRI: u64 = head::hash_of(b"PRI");

#[stream_parser]
pub fn apisec_parse(ctx: SkBuffContext) -> u32 {
    let skb = ctx.skb.skb;
    // SAFETY: the context is valid.
    let (length, cookie) = unsafe { ((*skb).len, bpf_get_socket_cookie(skb.cast())) };
    let Some((offset, _)) = message(skb) else { return length };
    if offset >= length {
        return length;
    }
    let available = length - offset;
    let Some(stream) = STREAMS.get_ptr_mut(&cookie) else { return available };
    // SAFETY: the entry stays valid while the program runs; the socket's lock keeps others away.
    let stream = unsafe { &mut *stream };
    cut(skb, offset, available, stream)
}

/// How many of the available bytes are the next message, and what is to be done with it.
#[inline(always)]
fn cut(skb: *mut __sk_buff, offset: u32, available: u32, stream: &mut Stream) -> u32 {
    stream.action = if stream.discard != 0 { ACTION_DROP } else { ACTION_PASS };
    match stream.phase {
        PHASE_DEAD => {
            stream.action = ACTION_DROP;
            return available;
        }
        PHASE_OPAQUE => return available,
        PHASE_BODY | PHASE_CHUNK_DATA => return body(stream, available),
        PHASE_CHUNK | PHASE_TRAILER => return line(skb, offset, available, stream),
        _ => {}
    }
    stream.action = ACTION_PASS;
    let Some(service) = SERVICE.get(stream.service) else { return available };
    // Past the deadline, and until the socket is given back, requests are followed too: none is refused, and each is still let
    // through as a whole.
    if stream.awaited > available {
        return MORE;
    }
    stream.awaited = 0;
    let Some(place) = work::take() else { return available };
    let now = now();
    let given = request(skb, offset, available, stream, service, place, now);
    work::give(place);
    given
}

#[inline(always)]
fn body(stream: &mut Stream, available: u32) -> u32 {
    if stream.left > available as u64 {
        stream.left -= available as u64;
        return available;
    }
    let given = stream.left as u32;
    stream.left = 0;
    if stream.phase == PHASE_BODY {
        stream.phase = PHASE_START;
        stream.discard = 0;
    } else {
        stream.phase = PHASE_CHUNK;
    }
    if given == 0 { available } else { given }
}

/// The head of a request, or what is none.
#[inline(always)]
fn request(
    skb: *mut __sk_buff,
    offset: u32,
    available: u32,
    stream: &mut Stream,
    service: &Service,
    place: u32,
    now: u64,
) -> u32 {
    if !load(skb, offset, available, place) {
        return undecided(stream, service, available, now);
    }
    let Some(work) = work::at(place) else { return available };
    let empty = leading(work);
    if empty > 0 {
        // Empty lines before a request: servers skip them.
        return empty;
    }
    match looks(work, stream) {
        Looks::Foreign => {
            // Nothing is known to begin here, or no requests at all.
            if stream.phase == PHASE_START {
                stream.phase = PHASE_OPAQUE;
                return closed(stream, service, available, now);
            }
            return available;
        }
        Looks::Short => return MORE,
        Looks::Request => {}
    }
    (work.now, work.service) = (now, stream.service);
    (work.cgroup, work.tgid) = (stream.cgroup, stream.tgid);
    (work.addr, work.comm) = (stream.addr, stream.comm);
    head::scan(place);
    let Some(work) = work::at(place) else { return available };
    if work.head_end == 0 {
        if available < MAX_HEAD as u32 {
            return MORE;
        }
        return too_long(stream, service, available, place, now);
    }
    if work.methods[0] == PRI {
        stream.phase = PHASE_OPAQUE;
        return closed(stream, service, available, now);
    }
    let (mut end, found, mut length, is_head) =
        (work.head_end, work.found, work.length, work.methods[0] == HEAD);
    let odd =
        found & FOUND_ODD != 0 || found & (FOUND_LENGTH | FOUND_CHUNKED) == FOUND_LENGTH | FOUND_CHUNKED;
    if length > 0
        && !odd
        && found & (FOUND_CHUNKED | FOUND_EXPECT | FOUND_UPGRADE) == 0
        && length <= held(skb)
    {
        let whole = end + length as u32;
        if whole > available {
            stream.awaited = whole;
            return MORE;
        }
        (end, length) = (whole, 0);
    }
    let written = written(skb);
    // The server has said nothing since the request before: an answer of ours would be taken for that one's.
    let waiting = match written {
        Some(written) => stream.flags & STREAM_ASKED != 0 && written == stream.written,
        None => offset > 0 && stream.flags & STREAM_ASKED != 0,
    };
    let asked = stream.flags & STREAM_ASKED;
    stream.flags = if is_head { asked | STREAM_HEAD } else { asked };
    if found & FOUND_CLOSE != 0 || found & FOUND_VERSION == 0 {
        stream.flags |= STREAM_CLOSE;
    }
    let verdict = judge(place, service);
    next(stream, found, length, odd);
    match verdict {
        Verdict::Refuse(slot) => refuse(stream, slot, end, odd || waiting, now),
        Verdict::Pass if !odd => {}
        _ => return undecided(stream, service, end, now),
    }
    if stream.action == ACTION_PASS {
        stream.flags |= STREAM_ASKED;
        stream.written = written.unwrap_or_default();
    }
    end
}

/// What follows the head.
#[inline(always)]
fn next(stream: &mut Stream, found: u32, length: u64, odd: bool) {
    stream.left = length;
    stream.phase = if odd {
        PHASE_LOST
    } else if found & FOUND_CHUNKED != 0 {
        PHASE_CHUNK
    } else if length > 0 {
        PHASE_BODY
    } else if found & FOUND_UPGRADE != 0 {
        // Requests go on if the server does not switch; then what follows looks like one.
        PHASE_LOST
    } else {
        PHASE_START
    };
}

#[inline(always)]
fn refuse(stream: &mut Stream, slot: u32, length: u32, odd: bool, now: u64) {
    let Some(rule) = in_force(slot, now) else { return };
    stream.policy = rule.policy;
    stream.action = ACTION_ANSWER;
    stream.discard = 1;
    if stream.phase == PHASE_START || stream.phase == PHASE_LOST {
        stream.discard = 0;
    }
    if odd || !fits(length) {
        // An answer would not fit, or nobody knows where the next request begins.
        stream.action = ACTION_DROP;
        stream.phase = PHASE_DEAD;
    }
    count(
        &of_caller(stream.cgroup, stream.tgid, stream.addr, stream.comm, rule.policy),
        Outcome::Blocked,
        now,
        stream.tgid,
    );
}

/// A head that is too long to be read: of it only the first line is judged.
#[inline(always)]
fn too_long(stream: &mut Stream, service: &Service, available: u32, place: u32, now: u64) -> u32 {
    if work::at(place).is_some_and(|work| work.first_end > 0)
        && let Verdict::Refuse(slot) = judge(place, service)
    {
        refuse(stream, slot, available, true, now);
        return available;
    }
    undecided(stream, service, available, now)
}

/// Lets through what cannot be decided, counted; or not, where a rule says so.
#[inline(never)]
fn undecided(stream: &mut Stream, service: &Service, length: u32, now: u64) -> u32 {
    if stream.phase == PHASE_START {
        stream.phase = PHASE_LOST;
    }
    if let Some(rule) = in_force(service.slot, now) {
        stream.policy = rule.policy;
        count(
            &of_caller(stream.cgroup, stream.tgid, stream.addr, stream.comm, rule.policy),
            Outcome::Undecided,
            now,
            stream.tgid,
        );
    }
    closed(stream, service, length, now)
}

#[inline(always)]
fn closed(stream: &mut Stream, service: &Service, length: u32, now: u64) -> u32 {
    if service.flags & SERVICE_CLOSED != 0
        && let Some(rule) = in_force(service.slot, now)
    {
        stream.policy = rule.policy;
        stream.action = ACTION_DROP;
        stream.phase = PHASE_DEAD;
    }
    length
}

#[stream_verdict]
pub fn apisec_verdict(ctx: SkBuffContext) -> u32 {
    let skb = ctx.skb.skb;
    // SAFETY: the context is valid.
    let mut cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    let Some(stream) = STREAMS.get_ptr_mut(&cookie) else { return SK_PASS };
    // SAFETY: the entry stays valid while the program runs; the socket's lock keeps others away.
    let stream = unsafe { &mut *stream };
    if stream.action == ACTION_PASS {
        return SK_PASS;
    }
    let answered = stream.action == ACTION_ANSWER
        && message(skb).is_some_and(|(offset, length)| {
            answer(skb, offset, length, stream.policy, stream.flags & STREAM_HEAD != 0)
        });
    if stream.action == ACTION_ANSWER && (!answered || stream.flags & STREAM_CLOSE != 0) {
        stream.phase = PHASE_DEAD;
    }
    if stream.phase == PHASE_DEAD {
        let close = Close { cookie, at: now(), policy: stream.policy, answered: answered as u32 };
        // One that does not fit waits for its client's patience.
        let _ = CLOSE.output(close, 0);
    }
    if !answered {
        return SK_DROP;
    }
    // SAFETY: the context is valid; the key is read only. 0: out of the socket, to the client.
    unsafe {
        bpf_sk_redirect_hash(skb, (&raw const SOCKETS).cast_mut().cast(), (&raw mut cookie).cast(), 0) as u32
    }
}
