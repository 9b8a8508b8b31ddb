//! Payload of every TCP socket of the node, at the root of the cgroup2 hierarchy: all namespaces, every
//! I/O path, connections older than us. Always lets the packet through.

use crate::classify::{Class, PREFIX, chunk_head, classify, is_event, is_message, is_status_line, word};
use crate::counters::add;
use crate::events;
use crate::http2;
use crate::packet::{Packet, Unparsed, parse};
use crate::pipelining::{self, begins_request};
use crate::quic;
use crate::record;
use crate::samples;
use crate::socket::{CALLERS, DEFERRED, SEED, SERVED, Socket, caller_key, find, find_or_create};
use apisec_abi::{
    FLAG_EGRESS, ROLE_CLIENT, ROLE_SERVER, ROLE_UNKNOWN, VERDICT_DISMISSED, VERDICT_HTTP1, VERDICT_HTTP2,
    VERDICT_MESSAGES, VERDICT_OURS, VERDICT_PEER_COVERED, VERDICT_TLS, VERDICT_TLS_HELLO, VERDICT_UNDECIDED,
    counter,
};
use aya_ebpf::{
    bindings::{BPF_TCP_LISTEN, bpf_sock},
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock},
    macros::cgroup_skb,
    programs::SkBuffContext,
};

const PASS: i32 = 1;
const IPPROTO_TCP: u32 = 6;
const AF_INET: u32 = 2;
/// Dismissals without an observed handshake that are reconsidered at a turn.
const MAX_EXPIRIES: u8 = 8;
/// Beginnings that told nothing after which a connection is dismissed.
const MAX_ODD_STARTS: u8 = 8;
/// Turns after which the verdict of user space is asked for (it revises wrong guesses).
const REVIEW_EVERY: u32 = 16;
/// Skipped bytes that are reported even when no write has ended.
pub const REPORT_SKIPPED: u32 = 256 << 10;

/// Longest packet of messages that is copied whole, and what is copied of longer ones, bytes.
const MESSAGES_WHOLE: u32 = 8192;
const MESSAGES_PREFIX: u32 = 2048;
/// Further records that a packet of many messages is cut into: hosts hand over up to 128 KiB at once.
const MESSAGES_PIECES: u32 = 8;

/// Payload copied per direction between two turns, bytes: what the server received, what it sent.
#[unsafe(no_mangle)]
static REQUEST_BUDGET: u32 = 8192;
#[unsafe(no_mangle)]
static RESPONSE_BUDGET: u32 = 4096;
/// The same on a connection that pipelines: a thousand answers of the usual size.
const PIPELINE_BUDGET: u32 = 8 << 20;
/// Further records of the largest class that a packet of it is cut into: hosts hand over up to 128 KiB at once.
const PIPELINE_PIECES: u32 = 8;

#[cgroup_skb(ingress)]
pub fn apisec_ingress(ctx: SkBuffContext) -> i32 {
    watch(&ctx, 0);
    PASS
}

#[cgroup_skb(egress)]
pub fn apisec_egress(ctx: SkBuffContext) -> i32 {
    watch(&ctx, 1);
    PASS
}

/// `direction` is 0 for ingress, 1 for egress.
#[inline(always)]
fn watch(ctx: &SkBuffContext, direction: usize) {
    // SAFETY: the context is valid; a null socket is refused below.
    let sk = unsafe { (*ctx.skb.skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return;
    }
    // SAFETY: not null.
    let sk = unsafe { bpf_sk_fullsock(sk) };
    if sk.is_null() {
        return;
    }
    // SAFETY: a full socket; the verifier checks the fields.
    let protocol = unsafe { (*sk).protocol };
    if protocol != IPPROTO_TCP {
        return quic::count(ctx, sk, protocol, direction);
    }
    // SAFETY: a full socket; the verifier checks the fields.
    if unsafe { (*sk).state } == BPF_TCP_LISTEN {
        return defer(ctx);
    }
    let mut known = find(sk);
    if let Some(socket) = &mut known
        && settled(ctx, socket)
    {
        return;
    }
    let packet = match parse(ctx) {
        Ok(packet) => packet,
        Err(Unparsed::TooManyHeaders) => return add(counter::UNWALKED_HEADERS, 1),
        Err(Unparsed::NotTcp) => return,
    };
    if packet.payload == 0 {
        if let Some(socket) = known
            && (packet.fin() || packet.rst())
            && (socket.verdict == VERDICT_HTTP1
                || socket.verdict == VERDICT_HTTP2
                || socket.verdict == VERDICT_MESSAGES)
        {
            end(socket, &packet, direction);
        }
        return;
    }
    let Some(socket) = known.or_else(|| find_or_create(sk)) else { return };
    if socket.known == 0 {
        learn(ctx, sk, socket, &packet, direction);
    }
    payload(ctx, socket, &packet, direction);
}

/// A connection has no socket before its server accepts it. With TCP_DEFER_ACCEPT that is when the first payload comes,
/// which only the listening socket sees: the client's end has it too, if that is on this node.
#[inline(always)]
fn defer(ctx: &SkBuffContext) {
    let Ok(packet) = parse(ctx) else { return };
    if packet.payload == 0 {
        return;
    }
    match CALLERS.get_ptr_mut(&caller_key(packet.seq, packet.ack)) {
        // SAFETY: as in the handshake.
        Some(caller) => unsafe { (*caller).served = DEFERRED },
        None => add(counter::LOST_DEFERRED, 1),
    }
}

/// A verdict that no packet changes: the cheapest way out.
#[inline(always)]
fn settled(ctx: &SkBuffContext, socket: &mut Socket) -> bool {
    match socket.verdict {
        VERDICT_PEER_COVERED | VERDICT_OURS => true,
        VERDICT_TLS => {
            crate::tls::opaque::count(ctx, socket, counter::BYTES_TLS);
            true
        }
        VERDICT_DISMISSED if socket.syn_seen == 1 || socket.expiries >= MAX_EXPIRIES => {
            crate::tls::opaque::count(ctx, socket, counter::BYTES_DISMISSED);
            true
        }
        _ => false,
    }
}

/// First payload of a socket: its cookie, addresses, and what others know about it.
#[inline(always)]
fn learn(ctx: &SkBuffContext, sk: *mut bpf_sock, socket: &mut Socket, packet: &Packet, direction: usize) {
    socket.known = 1;
    // SAFETY: the context is valid.
    socket.cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
    addresses(sk, socket);
    if socket.syn_seen == 0 {
        // SAFETY: the value is copied at once.
        if let Some(seed) = unsafe { SEED.get(&socket.cookie) } {
            socket.role = seed.role;
            socket.verdict = seed.verdict;
        }
        return;
    }
    if socket.role == ROLE_CLIENT && direction == 1 {
        // SAFETY: the value is read at once.
        if let Some(caller) = unsafe { CALLERS.get(&caller_key(packet.seq, packet.ack)) }
            && caller.served == SERVED
        {
            socket.verdict = VERDICT_PEER_COVERED;
        }
    }
}

/// Every field is read on its own, and before any branch: the verifier refuses computed field addresses.
#[inline(always)]
fn addresses(sk: *mut bpf_sock, socket: &mut Socket) {
    macro_rules! field {
        ($($path:tt)+) => {
            // SAFETY: a full socket; the verifier checks every field.
            unsafe { core::ptr::read_volatile(&raw const (*sk).$($path)+) }
        };
    }
    socket.local_port = field!(src_port) as u16;
    socket.remote_port = u16::from_be(field!(dst_port));
    let (local4, remote4) = (field!(src_ip4), field!(dst_ip4));
    let local6 = wide(field!(src_ip6[0]), field!(src_ip6[1]), field!(src_ip6[2]), field!(src_ip6[3]));
    let remote6 = wide(field!(dst_ip6[0]), field!(dst_ip6[1]), field!(dst_ip6[2]), field!(dst_ip6[3]));
    let v4 = field!(family) == AF_INET;
    socket.local_addr = if v4 { mapped(local4) } else { local6 };
    socket.remote_addr = if v4 { mapped(remote4) } else { remote6 };
}

/// An IPv4 address, in network order, as an IPv6 address.
#[inline(always)]
fn mapped(ip4: u32) -> [u8; 16] {
    wide(0, 0, 0xffff_u32.to_be(), ip4)
}

#[inline(always)]
fn wide(a: u32, b: u32, c: u32, d: u32) -> [u8; 16] {
    // SAFETY: four network-order words are sixteen bytes.
    unsafe { core::mem::transmute([a, b, c, d]) }
}

/// A packet with payload on a socket whose verdict may still change or that is HTTP.
#[inline(always)]
fn payload(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) {
    let here = direction as u8 + 1;
    let turned = socket.last_direction != here;
    if turned {
        socket.last_direction = here;
        socket.copied[direction & 1] = 0;
        socket.events = 0;
        socket.turns = socket.turns.wrapping_add(1);
        if samples::on() {
            socket.sample = 0;
        }
        if socket.turns % REVIEW_EVERY == 0 {
            review(socket);
        }
    }
    if socket.verdict == VERDICT_DISMISSED && socket.syn_seen == 0 && turned {
        socket.expiries += 1;
        socket.verdict = VERDICT_UNDECIDED;
        add(counter::DISMISSAL_EXPIRED, 1);
    }
    if socket.verdict == VERDICT_UNDECIDED {
        decide(ctx, socket, packet, direction);
    }
    let mut messages = false;
    match socket.verdict {
        VERDICT_HTTP1 | VERDICT_UNDECIDED => messages = !ship(ctx, socket, packet, direction),
        VERDICT_MESSAGES => messages = true,
        VERDICT_HTTP2 => http2::ship(ctx, socket, packet, direction),
        VERDICT_TLS_HELLO => crate::tls::hello::go_on(ctx, socket, packet, direction),
        VERDICT_DISMISSED => add(counter::BYTES_DISMISSED, packet.payload as u64),
        _ => {}
    }
    if messages {
        ship_messages(ctx, socket, packet, direction);
    }
}

/// User space may have found out that this is not HTTP after all, or no longer.
#[inline(always)]
fn review(socket: &mut Socket) {
    // SAFETY: the value is read at once.
    if let Some(seed) = unsafe { SEED.get(&socket.cookie) }
        && seed.verdict != VERDICT_UNDECIDED
    {
        if seed.verdict == VERDICT_HTTP2 && socket.verdict != VERDICT_HTTP2 {
            http2::lose(socket);
        }
        socket.verdict = seed.verdict;
        socket.expiries = MAX_EXPIRIES;
    }
}

#[inline(always)]
fn decide(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) {
    let Some(len) = join(ctx, socket, packet, direction as u8 + 1) else { return add(counter::LOST_COPY, 1) };
    match classify(&socket.first, len) {
        Class::Request => recognise(socket, if direction == 0 { ROLE_SERVER } else { ROLE_CLIENT }),
        Class::Response => recognise(socket, if direction == 1 { ROLE_SERVER } else { ROLE_CLIENT }),
        Class::Tls => {
            crate::tls::hello::begin(ctx, socket);
            add(counter::CONNS_TLS, 1);
        }
        Class::Http2 => http2::begin(socket, direction, socket.first_len as u32),
        Class::Other if http2::resembles(socket, direction, len) => {}
        // A WebSocket that was open before us; user space finds out what it really is.
        Class::Other if socket.syn_seen == 0 && is_message(word(&socket.first, 0), packet.payload) => {
            socket.verdict = VERDICT_HTTP1;
        }
        // The next piece will tell.
        Class::Undecided if len < PREFIX && socket.first[0] > b'\r' => socket.first_len = len as u8,
        Class::Undecided if socket.odd_starts < MAX_ODD_STARTS => {
            socket.odd_starts += 1;
            socket.first_len = 0;
        }
        _ => {
            socket.verdict = VERDICT_DISMISSED;
            add(counter::DISMISSED, 1);
        }
    }
}

/// Appends the beginning of `packet` to what came before it: a write may be shorter than a method. Returns
/// how many bytes there are now.
#[inline(always)]
fn join(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: u8) -> Option<usize> {
    if socket.first_len == 0 || socket.first_direction != direction {
        socket.first = [0; 2 * PREFIX];
        socket.first_len = 0;
        socket.first_direction = direction;
    }
    // SAFETY: reads our own state; volatile, so that the bound is not optimised away before the verifier sees it.
    let held = unsafe { core::ptr::read_volatile(&raw const socket.first_len) } as usize & (PREFIX - 1);
    let room = (PREFIX - held) as u32;
    let len = if packet.payload < room { packet.payload } else { room };
    record::load_prefix(ctx, packet.offset, &mut socket.first, held, len).then_some(held + len as usize)
}

#[inline(always)]
fn recognise(socket: &mut Socket, role: u8) {
    socket.verdict = VERDICT_HTTP1;
    if socket.role == ROLE_UNKNOWN {
        socket.role = role;
    }
    add(counter::CONNS_HTTP1, 1);
}

/// Copies what the budget allows and reports the position of the rest. False, and nothing is done, when the packet is one
/// of messages, which the budget is not for.
#[inline(always)]
pub fn ship(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) -> bool {
    if socket.opened == 0 {
        record::open(ctx, socket);
    }
    let side = direction & 1;
    let asks = (socket.role == ROLE_CLIENT) == (direction == 1);
    if asks && socket.pipelines == 0 && is_pipelined(ctx, socket, packet, side) {
        socket.pipelines = 1;
    }
    if !asks && socket.copied[side] != 0 && socket.events == 0 {
        // Behind the head: a stream of events has to be known before a packet begins inside of one.
        streams_events(ctx, socket, packet, record::first_word(ctx, packet.offset));
    }
    let budget = budget(socket, asks);
    let mut room = budget.saturating_sub(socket.copied[side]);
    if packet.payload > room {
        let first = record::first_word(ctx, packet.offset);
        if is_status_line(first) {
            // Answers to pipelined requests follow each other without a turn.
            socket.copied[side] = 0;
            room = budget;
            if packet.payload > room && http2::follows_frames() && events::begin(ctx, packet) {
                socket.events = 1;
                return false;
            }
        } else if is_message(first, packet.payload) || socket.events == 1 {
            // The connection was upgraded, or the stream began, so lately that user space has not said so yet.
            return false;
        } else if socket.skipped_len[side] == 0 {
            // A run begins that would be left out: user space may have asked for it meanwhile.
            review(socket);
            if socket.verdict == VERDICT_MESSAGES {
                return false;
            }
        }
    }
    let sampled = packet.payload > room && samples::on() && is_wanted(socket, packet, room);
    if room == 0 && !sampled {
        skip(socket, packet, side);
        return true;
    }
    if socket.skipped_len[side] != 0 {
        record::skipped(socket, side, 0);
    }
    if socket.pipelines == 1 || sampled {
        socket.copied[side] += packet.payload;
        record::run::<PIPELINE_PIECES>(ctx, socket, packet, side, 0, packet.payload, true);
        return true;
    }
    let wanted = if packet.payload < room { packet.payload } else { room };
    socket.copied[side] += wanted;
    record::data(ctx, socket, packet, side, wanted);
    true
}

/// Whether a packet beyond the budget belongs to a body that is wanted whole: none that has lost a part already.
#[inline(always)]
pub fn is_wanted(socket: &mut Socket, packet: &Packet, room: u32) -> bool {
    let port = if socket.role == ROLE_CLIENT { socket.remote_port } else { socket.local_port };
    samples::take(&mut socket.sample, port, packet.payload, room != 0)
}

/// Whether a request follows another without a turn, in this packet or with it.
#[inline(always)]
fn is_pipelined(ctx: &SkBuffContext, socket: &Socket, packet: &Packet, side: usize) -> bool {
    let follows = socket.copied[side] != 0 && begins_request(record::first_word(ctx, packet.offset));
    follows || pipelining::shows(ctx, packet)
}

/// Messages come without turns: every packet has a budget of its own. A packet that begins with a small message holds many
/// of them; of one that is a part of a large message only the beginning is wanted.
#[inline(always)]
fn ship_messages(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) {
    let side = direction & 1;
    if socket.skipped_len[side] != 0 {
        record::skipped(socket, side, 0);
    }
    let first = record::first_word(ctx, packet.offset);
    if packet.payload <= MESSAGES_WHOLE
        || is_message(first, packet.payload)
        || streams_events(ctx, socket, packet, first)
    {
        record::run::<MESSAGES_PIECES>(ctx, socket, packet, side, 0, packet.payload, true);
    } else {
        record::data(ctx, socket, packet, side, MESSAGES_PREFIX);
    }
}

/// Whether a packet that begins with `first` is of a stream of events. Once one began with an event, all that follow in this
/// answer are: hosts cut anywhere.
#[inline(always)]
fn streams_events(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, first: u64) -> bool {
    if socket.events == 0 {
        let head = chunk_head(first);
        let line = if head == 0 { first } else { record::first_word(ctx, packet.offset + head) };
        socket.events = is_event(line) as u8;
    }
    socket.events == 1
}

#[inline(always)]
fn budget(socket: &Socket, asks: bool) -> u32 {
    if socket.pipelines == 1 {
        return PIPELINE_BUDGET;
    }
    // SAFETY: constants that user space sets before loading.
    unsafe {
        if asks {
            core::ptr::read_volatile(&raw const REQUEST_BUDGET)
        } else {
            core::ptr::read_volatile(&raw const RESPONSE_BUDGET)
        }
    }
}

/// Beyond the budget: remember the run, report it when a write ends, when it grows long, or at a turn.
#[inline(always)]
fn skip(socket: &mut Socket, packet: &Packet, side: usize) {
    let expected = socket.skipped_from[side].wrapping_add(socket.skipped_len[side]);
    if socket.skipped_len[side] != 0 && packet.seq != expected {
        record::skipped(socket, side, 0);
    }
    if socket.skipped_len[side] == 0 {
        socket.skipped_from[side] = packet.seq;
    }
    socket.skipped_len[side] += packet.payload;
    // SAFETY: no preconditions.
    socket.skipped_at[side] = unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_ns() };
    if packet.push() || packet.fin() || socket.skipped_len[side] >= REPORT_SKIPPED {
        record::skipped(socket, side, record::end_flags(packet));
    }
}

/// FIN or RST without payload.
#[inline(always)]
fn end(socket: &mut Socket, packet: &Packet, direction: usize) {
    let side = direction & 1;
    if socket.skipped_len[side] != 0 {
        record::skipped(socket, side, 0);
    }
    let flags = record::end_flags(packet) | if direction == 1 { FLAG_EGRESS } else { 0 };
    record::mark(socket, packet.seq, flags);
}
