//! Requests of ruled services. The parser cuts the stream of a socket into heads and pieces of bodies and judges each
//! head; the verdict program, which runs right behind it, lets through, answers, or drops.
//!
//! Nothing is held back but an unfinished head, and that only while a rule of the service is in force.

use crate::answer::{answer, fits};
use crate::effect::{Outcome, count, of_caller};
use crate::head;
use crate::judge::{Verdict, judge};
use crate::rule::{in_force, now};
use crate::service::{SERVICE, SOCKETS, STREAMS};
use crate::target::digit;
use crate::work::{
    self, FOUND_CHUNKED, FOUND_CLOSE, FOUND_LENGTH, FOUND_ODD, FOUND_UPGRADE, FOUND_VERSION, Work,
};
use apisec_abi::enforce::{
    ACTION_ANSWER, ACTION_DROP, ACTION_PASS, Close, MAX_HEAD, PHASE_BODY, PHASE_CHUNK, PHASE_CHUNK_DATA,
    PHASE_DEAD, PHASE_LOST, PHASE_OPAQUE, PHASE_START, PHASE_TRAILER, SERVICE_CLOSED, STREAM_ASKED,
    STREAM_CLOSE, STREAM_HEAD, Service, Stream,
};
use aya_ebpf::{
    bindings::__sk_buff,
    btf_maps::Queue,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_sk_redirect_hash, bpf_skb_load_bytes,
    },
    macros::{btf_map, stream_parser, stream_verdict},
    programs::SkBuffContext,
};

const SK_DROP: u32 = 0;
const SK_PASS: u32 = 1;
/// The parser wants more before it says anything.
const MORE: u32 = 0;
/// Bytes of the line before a chunk, with its extensions.
const MAX_CHUNK_LINE: u32 = 256;
/// A chunk's length has no more digits than this.
const MAX_CHUNK_DIGITS: u32 = 12;

/// Where in `struct sk_buff` the stream parser keeps the place of the message. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_MESSAGE: u32 = 0;

/// Where in `struct sk_buff` its socket is. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_SKB_SOCKET: u32 = 0;
/// Where in `struct tcp_sock` it says how far was written. Set before loading; 0: not known.
#[unsafe(no_mangle)]
static OFFSET_WRITTEN: u32 = 0;

/// Connections that user space is to destroy.
#[btf_map]
static CLOSE: Queue<Close, 4_096> = Queue::new();

const HEAD: u64 = head::hash_of(b"HEAD");
const PRI: u64 = head::hash_of(b"PRI");

/// Where a message begins in its packet, and how much of it there is.
#[inline(always)]
fn message(skb: *mut __sk_buff) -> Option<(u32, u32)> {
    let mut place = [0_u32; 2];
    // SAFETY: the context is the kernel's packet; the helper checks the address.
    let outcome = unsafe {
        let offset = core::ptr::read_volatile(&raw const OFFSET_MESSAGE) as usize;
        bpf_probe_read_kernel((&raw mut place).cast(), 8, skb.cast::<u8>().add(offset & 0x1ff).cast())
    };
    if outcome != 0 { None } else { Some((place[1], place[0])) }
}

/// How far the server has written on the packet's socket.
#[inline(always)]
fn written(skb: *mut __sk_buff) -> Option<u32> {
    let (mut socket, mut written) = (0_u64, 0_u32);
    // SAFETY: the context is the kernel's packet; the helper checks the addresses.
    unsafe {
        let of_socket = core::ptr::read_volatile(&raw const OFFSET_SKB_SOCKET) as usize & 0x1ff;
        let of_written = core::ptr::read_volatile(&raw const OFFSET_WRITTEN) as u64;
        let known = of_written != 0
            && bpf_probe_read_kernel((&raw mut socket).cast(), 8, skb.cast::<u8>().add(of_socket).cast())
                == 0
            && bpf_probe_read_kernel((&raw mut written).cast(), 4, (socket + of_written) as *const _) == 0;
        if known { Some(written) } else { None }
    }
}

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
    let given = cut(skb, offset, available, stream);
    stream.pending = if given == MORE { available } else { 0 };
    given
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
    let now = now();
    if now >= service.deadline {
        // Where the next request begins is not followed any more.
        stream.phase = PHASE_LOST;
        return available;
    }
    let Some(place) = work::take() else { return available };
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

/// The line before a chunk, or one behind the last.
#[inline(never)]
fn line(skb: *mut __sk_buff, offset: u32, available: u32, stream: &mut Stream) -> u32 {
    let Some(place) = work::take() else { return available };
    let length = if available < MAX_CHUNK_LINE { available } else { MAX_CHUNK_LINE };
    let given = if load(skb, offset, length, place) { read_line(place, length, stream) } else { LOST };
    work::give(place);
    if given == MORE && available < MAX_CHUNK_LINE {
        return MORE;
    }
    if given == MORE || given == LOST {
        // Nobody knows where this body ends. What was to be discarded goes on being so.
        stream.phase = if stream.discard != 0 { PHASE_DEAD } else { PHASE_LOST };
        return available;
    }
    given
}

const LOST: u32 = u32::MAX;

#[inline(never)]
fn read_line(place: u32, length: u32, stream: &mut Stream) -> u32 {
    let Some(work) = work::at(place) else { return LOST };
    (work.at, work.end, work.length, work.value_state) = (0, length, 0, 0);
    work::repeat(MAX_CHUNK_LINE, place, chunk_step);
    let Some(work) = work::at(place) else { return LOST };
    let (at, state, size) = (work.at, work.value_state, work.length);
    if state != LINE_ENDED {
        return if state == LINE_WRONG && stream.phase == PHASE_CHUNK { LOST } else { MORE };
    }
    if stream.phase == PHASE_TRAILER {
        // An empty line: at most CR LF.
        if at <= 2 && work.special == 0 {
            stream.phase = PHASE_START;
            stream.discard = 0;
        }
    } else if work.special == 0 {
        return LOST;
    } else if size == 0 {
        stream.phase = PHASE_TRAILER;
    } else {
        stream.phase = PHASE_CHUNK_DATA;
        stream.left = size + 2;
    }
    at
}

const LINE_DIGITS: u32 = 0;
const LINE_REST: u32 = 1;
const LINE_ENDED: u32 = 2;
const LINE_WRONG: u32 = 3;

/// `special`: digits so far, or in a trailer whether there was anything but CR.
unsafe extern "C" fn chunk_step(index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return work::STOP };
    if index == 0 {
        work.special = 0;
    }
    let at = work.at;
    if at >= work.end {
        return work::STOP;
    }
    let byte = work.byte(at);
    work.at = at + 1;
    if byte == b'\n' {
        work.value_state = LINE_ENDED;
        return work::STOP;
    }
    let digit = digit(byte);
    if work.value_state == LINE_DIGITS && digit < 16 && work.special < MAX_CHUNK_DIGITS {
        work.length = work.length << 4 | digit as u64;
        work.special += 1;
    } else if work.value_state == LINE_DIGITS {
        work.value_state = LINE_REST;
        // In a trailer this is a field.
        if byte != b'\r' && byte != b';' && byte != b' ' && byte != b'\t' {
            work.value_state = LINE_WRONG;
        }
    }
    if work.value_state == LINE_WRONG {
        work.special += 1;
    }
    work::GO_ON
}

#[inline(always)]
fn load(skb: *mut __sk_buff, offset: u32, length: u32, place: u32) -> bool {
    let Some(work) = work::at(place) else { return false };
    work.end = if length > MAX_HEAD as u32 { MAX_HEAD as u32 } else { length };
    // Read back, so that the bounds below stay in the program, for the verifier.
    // SAFETY: it has just been written.
    let length = unsafe { core::ptr::read_volatile(&raw const work.end) };
    if length == 0 || length > MAX_HEAD as u32 {
        return false;
    }
    // SAFETY: the buffer is longer than the longest length.
    unsafe { bpf_skb_load_bytes(skb.cast(), offset, (&raw mut work.head).cast(), length) == 0 }
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
    let (end, found, length, is_head) = (work.head_end, work.found, work.length, work.methods[0] == HEAD);
    let odd =
        found & FOUND_ODD != 0 || found & (FOUND_LENGTH | FOUND_CHUNKED) == FOUND_LENGTH | FOUND_CHUNKED;
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

/// Bytes of empty lines at the beginning.
#[inline(always)]
fn leading(work: &Work) -> u32 {
    let mut at = 0;
    while at < 4 {
        let byte = work.byte(at);
        if at >= work.end || (byte != b'\r' && byte != b'\n') {
            break;
        }
        at += 1;
    }
    at
}

enum Looks {
    Request,
    Short,
    Foreign,
}

/// Whether a request may begin here: capitals or other letters of a method, and a blank.
#[inline(always)]
fn looks(work: &Work, stream: &Stream) -> Looks {
    let mut at = 0;
    while at < 24 {
        if at >= work.end {
            // In the middle of nowhere a few letters are no reason to wait.
            return if stream.phase == PHASE_LOST { Looks::Foreign } else { Looks::Short };
        }
        let byte = work.byte(at);
        if byte == b' ' || byte == b'\t' {
            break;
        }
        let capital = byte >= b'A' && byte <= b'Z' || byte == b'-' || byte == b'_';
        let other = byte > b' ' && byte < 0x7f && stream.phase == PHASE_START;
        if !capital && !other {
            return Looks::Foreign;
        }
        at += 1;
    }
    // Where requests are not known to begin, the target too has to look like one.
    let lost = stream.phase == PHASE_LOST;
    if at == 0 || at == 24 || lost && work.byte(at + 1) != b'/' && work.byte(at + 1) != b'h' {
        return Looks::Foreign;
    }
    Looks::Request
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
        let _ = CLOSE.push(close, 0);
    }
    if !answered {
        return SK_DROP;
    }
    // SAFETY: the context is valid; the key is read only. 0: out of the socket, to the client.
    unsafe {
        bpf_sk_redirect_hash(skb, (&raw const SOCKETS).cast_mut().cast(), (&raw mut cookie).cast(), 0) as u32
    }
}
