//! HTTP/2: every octet is shipped but the payload of DATA beyond a prefix, because what is missing of a header block
//! breaks all that follow it.
//!
//! The position within the frames is kept per direction. Where it is lost (a packet came out of order, a connection was
//! met in the middle, too many frames in one packet) whole packets are shipped until one begins with a frame; user space
//! follows the frames by itself and needs nothing of this but the octets.

use crate::capture::{REPORT_SKIPPED, is_wanted};
use crate::counters::add;
use crate::packet::Packet;
use crate::record;
use crate::samples;
use crate::socket::{Frames, Socket};
use apisec_abi::{ROLE_CLIENT, ROLE_SERVER, ROLE_UNKNOWN, VERDICT_DISMISSED, VERDICT_HTTP2, counter};
use aya_ebpf::programs::SkBuffContext;

/// Octets of a frame header, and of what a client sends before its first frame.
const HEADER: u32 = 9;
const PREFACE: u32 = 24;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
/// Runs that are left out of one packet: hosts hand over up to four frames of the largest usual size at once.
const MAX_RUNS: u32 = 4;
/// Frames that are followed before each of them; behind more, the rest of the packet is shipped whole, and the position
/// is found again later.
const MAX_FRAMES: u32 = 8;
/// Largest frame that is followed: no peer agrees on more.
const MAX_LENGTH: u32 = 1 << 22;
/// Further records of the largest class that a run before the last, and the last, are cut into: hosts hand over up to
/// 128 KiB at once.
const FEW_PIECES: u32 = 1;
const MOST_PIECES: u32 = 8;
/// Octets of each DATA frame that are shipped: the head of a JSON body or of a gRPC message.
const REQUEST_PREFIX: u32 = 1024;
const RESPONSE_PREFIX: u32 = 440;
/// Not DATA: all of it is shipped.
const WHOLE: u32 = u32::MAX;
/// Packets in which no frame was found after which a guess is given up.
const MAX_STRAYS: u8 = 64;
/// Frames that continue one header block after which the connection is given up: at the usual size 1 MiB, which no server takes.
/// What a flood sends would take the ring from others (CVE-2024-27316).
const MOST_CONTINUATIONS: u8 = 64;
const WINDOW_UPDATE: u8 = 8;
/// Flags that frames of each type below [`WINDOW_UPDATE`] may have, and whether they are on a stream (the top bit).
const USUAL: u64 = u64::from_le_bytes([0x89, 0xad, 0x80, 0x80, 0x01, 0x8c, 0x01, 0x00]);
/// The same of CONTINUATION.
const USUAL_CONTINUATION: u64 = 0x84;

/// The verifier of this kernel gets to the end of following frames; otherwise whole packets are shipped, and streams of events are
/// told by their events alone. Set before loading.
#[unsafe(no_mangle)]
static FOLLOWS_FRAMES: u32 = 1;

#[inline(always)]
pub fn follows_frames() -> bool {
    // SAFETY: a constant that user space sets before loading.
    unsafe { core::ptr::read_volatile(&raw const FOLLOWS_FRAMES) != 0 }
}

/// A connection that begins with the preface, of which `held` octets came before the packet that is being read.
#[inline(always)]
pub fn begin(socket: &mut Socket, direction: usize, held: u32) {
    recognise(socket, direction);
    let asking = &mut socket.frames[direction & 1];
    asking.left = PREFACE.wrapping_sub(held);
    asking.give = WHOLE;
}

/// Whether the first octets are frames; then the verdict is made.
#[inline(always)]
pub fn resembles(socket: &mut Socket, direction: usize, len: usize) -> bool {
    if len < HEADER as usize {
        return false;
    }
    let usual = usual(&socket.first);
    if socket.syn_seen == 1 {
        // A server may speak before its client: then it sends its settings.
        if !usual || socket.first[3] != SETTINGS {
            return false;
        }
        begin(socket, (direction ^ 1) & 1, 0);
        return true;
    }
    if usual {
        recognise(socket, 2);
        lose(socket);
    }
    usual
}

/// User space has found HTTP/2 where we did not look.
#[inline(always)]
pub fn lose(socket: &mut Socket) {
    socket.frames[0].lost = 1;
    socket.frames[1].lost = 1;
}

/// `asking` is the direction of the requests, 2 when it is not known.
#[inline(always)]
fn recognise(socket: &mut Socket, asking: usize) {
    socket.verdict = VERDICT_HTTP2;
    if socket.role == ROLE_UNKNOWN && asking < 2 {
        socket.role = if asking == 0 { ROLE_SERVER } else { ROLE_CLIENT };
    }
    add(counter::CONNS_HTTP2, 1);
}

/// A frame header as real peers send it: below 64 KiB, no unknown flag, an odd stream or none.
#[inline(always)]
fn usual<const N: usize>(octets: &[u8; N]) -> bool {
    let kind = octets[3];
    if octets[0] != 0 || kind > CONTINUATION {
        return false;
    }
    let stream = u32::from_be_bytes([octets[5], octets[6], octets[7], octets[8]]);
    if kind == WINDOW_UPDATE {
        return octets[1] == 0 && octets[2] == 4 && octets[4] == 0 && stream >> 31 == 0;
    }
    let mask = if kind == CONTINUATION { USUAL_CONTINUATION } else { USUAL >> (kind as u64 * 8) } as u8;
    let fits = if mask & 0x80 == 0 { stream == 0 } else { stream & 1 == 1 };
    fits && octets[4] & !(mask & 0x7f) == 0 && stream >> 31 == 0
}

/// A packet of a connection that speaks HTTP/2.
#[inline(always)]
pub fn ship(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) {
    if socket.opened == 0 {
        record::open(ctx, socket);
    }
    let side = direction & 1;
    let asks = (socket.role == ROLE_CLIENT) == (direction == 1);
    let prefix = if asks { REQUEST_PREFIX } else { RESPONSE_PREFIX };
    let sampled = packet.payload > prefix && samples::on() && is_wanted(socket, packet, 1);
    let prefix = if sampled { WHOLE } else { prefix };
    add(counter::BYTES_HTTP2, packet.payload as u64);
    let mut from = 0;
    if follow(ctx, socket, packet, side) {
        if follows_frames() {
            from = runs(ctx, socket, packet, side, prefix);
        } else {
            socket.frames[side].lost = 1;
            socket.frames[side].next = packet.seq.wrapping_add(packet.payload);
        }
    }
    if from < packet.payload {
        piece::<MOST_PIECES>(ctx, socket, packet, side, from, packet.payload.wrapping_sub(from), true);
    } else if packet.push() || packet.fin() || socket.skipped_len[side] >= REPORT_SKIPPED {
        record::skipped(socket, side, record::end_flags(packet));
    }
}

/// Ships and passes over as the frames say; returns where the octets begin that are left.
#[inline(always)]
fn runs(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, side: usize, prefix: u32) -> u32 {
    let mut from = 0;
    let mut place = 0;
    for _ in 0..MAX_RUNS {
        let end = walk(ctx, socket, packet, side, prefix, &mut place);
        let at = at(&place);
        if end == at {
            break;
        }
        if end > from {
            piece::<FEW_PIECES>(ctx, socket, packet, side, from, end.wrapping_sub(from), false);
        }
        pass(socket, packet, side, end, at);
        from = at;
    }
    socket.frames[side].lost |= (at(&place) < packet.payload) as u8;
    socket.frames[side].next = packet.seq.wrapping_add(packet.payload);
    from
}

/// Follows the frames until some octets need not be shipped: returns where those begin, and leaves their end in
/// `place`. The two are equal at the end of the packet, and where the frames cannot be followed.
#[inline(always)]
fn walk(
    ctx: &SkBuffContext,
    socket: &mut Socket,
    packet: &Packet,
    side: usize,
    prefix: u32,
    place: &mut u32,
) -> u32 {
    for _ in 0..MAX_FRAMES {
        let from = at(place);
        if from >= packet.payload {
            return from;
        }
        if left(socket, side) == 0 && !header(ctx, socket, packet, side, prefix, place) {
            return at(place);
        }
        let (from, left, give) = (at(place), left(socket, side), give(socket, side));
        let here = least(left, packet.payload.wrapping_sub(from));
        let given = least(give, here);
        set(&mut socket.frames[side].left, left.wrapping_sub(here));
        set(&mut socket.frames[side].give, if give == WHOLE { WHOLE } else { give.wrapping_sub(given) });
        set(place, from.wrapping_add(here));
        if given != here {
            return from.wrapping_add(given);
        }
    }
    at(place)
}

// Numbers go through memory where ways meet, so that the verifier need not tell the ways apart by what they were.

#[inline(always)]
fn at(place: &u32) -> u32 {
    // SAFETY: reads a local.
    unsafe { core::ptr::read_volatile(place) }
}

#[inline(always)]
fn left(socket: &Socket, side: usize) -> u32 {
    // SAFETY: reads our own state.
    unsafe { core::ptr::read_volatile(&raw const socket.frames[side].left) }
}

#[inline(always)]
fn give(socket: &Socket, side: usize) -> u32 {
    // SAFETY: reads our own state.
    unsafe { core::ptr::read_volatile(&raw const socket.frames[side].give) }
}

#[inline(always)]
fn set(field: &mut u32, value: u32) {
    // SAFETY: writes our own state.
    unsafe { core::ptr::write_volatile(field, value) }
}

/// Whether the position at the start of the packet is known.
#[inline(always)]
fn follow(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, side: usize) -> bool {
    let after = packet.seq.wrapping_add(packet.payload);
    let frames = &mut socket.frames[side];
    let ahead = packet.seq.wrapping_sub(frames.next) as i32;
    if frames.begun == 1 && ahead < 0 {
        // Seen before, and shipped or counted then: user space takes what it has not.
        return false;
    }
    let fresh = frames.pushed == 1 || frames.begun == 0;
    frames.pushed = packet.push() as u8;
    if frames.begun == 1 && ahead > 0 {
        frames.lost = 1;
    }
    frames.begun = 1;
    if frames.lost == 0 {
        return true;
    }
    frames.next = after;
    let mut octets = [0u8; 16];
    if fresh
        && packet.payload >= HEADER
        && record::load_header(ctx, packet.offset, &mut octets)
        && usual(&octets)
    {
        let frames = &mut socket.frames[side];
        (frames.lost, frames.left, frames.have, frames.strays) = (0, 0, 0, 0);
        return true;
    }
    stray(socket, side);
    false
}

/// No frame begins here. A guess that is never confirmed is dropped.
#[inline(always)]
fn stray(socket: &mut Socket, side: usize) {
    let frames = &mut socket.frames[side];
    frames.strays = frames.strays.saturating_add(1);
    if frames.strays >= MAX_STRAYS && socket.syn_seen == 0 {
        socket.verdict = VERDICT_DISMISSED;
        add(counter::DISMISSED, 1);
    }
}

/// Reads the header of a frame, or the part of it that is in this packet; false when it cannot be one.
#[inline(always)]
fn header(
    ctx: &SkBuffContext,
    socket: &mut Socket,
    packet: &Packet,
    side: usize,
    prefix: u32,
    place: &mut u32,
) -> bool {
    let from = at(place);
    let frames: &mut Frames = &mut socket.frames[side];
    // SAFETY: reads our own state; volatile, so that the bound is not optimised away before the verifier sees it.
    let have = unsafe { core::ptr::read_volatile(&raw const frames.have) } as u32 & 15;
    let wanted = least(HEADER.wrapping_sub(have), packet.payload.wrapping_sub(from));
    if !record::load_part(ctx, packet.offset.wrapping_add(from), &mut frames.octets, have as usize, wanted) {
        add(counter::LOST_COPY, 1);
        return false;
    }
    set(place, from.wrapping_add(wanted));
    let have = have + wanted;
    frames.have = have as u8;
    if have < HEADER {
        return true;
    }
    let octets = &frames.octets;
    let length = u32::from_be_bytes([0, octets[0], octets[1], octets[2]]);
    let stream = u32::from_be_bytes([octets[5], octets[6], octets[7], octets[8]]);
    let kind = octets[3];
    frames.have = 0;
    frames.left = length;
    frames.give = if kind == DATA { prefix } else { WHOLE };
    frames.continued = if kind == CONTINUATION { frames.continued.wrapping_add(1) } else { 0 };
    if frames.continued > MOST_CONTINUATIONS {
        socket.verdict = VERDICT_DISMISSED;
        add(counter::DISMISSED, 1);
        return false;
    }
    length <= MAX_LENGTH && (kind > 1 || stream != 0)
}

/// Ships a run of octets; what was passed over before is reported first.
#[inline(always)]
fn piece<const PIECES: u32>(
    ctx: &SkBuffContext,
    socket: &mut Socket,
    packet: &Packet,
    side: usize,
    from: u32,
    len: u32,
    last: bool,
) {
    if socket.skipped_len[side] != 0 {
        record::skipped(socket, side, 0);
    }
    record::run::<PIECES>(ctx, socket, packet, side, from, len, last);
}

/// Passes over the octets from `from` to `to`.
#[inline(always)]
fn pass(socket: &mut Socket, packet: &Packet, side: usize, from: u32, to: u32) {
    if socket.skipped_len[side] == 0 {
        socket.skipped_from[side] = packet.seq.wrapping_add(from);
    }
    socket.skipped_len[side] = socket.skipped_len[side].wrapping_add(to.wrapping_sub(from));
    // SAFETY: no preconditions.
    socket.skipped_at[side] = unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_ns() };
}

#[inline(always)]
fn least(one: u32, other: u32) -> u32 {
    if one < other { one } else { other }
}
