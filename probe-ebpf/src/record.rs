//! Writes records to the ring: the one place that lays out what user space reads.

use crate::classify::PREFIX;
use crate::counters::add;
use crate::packet::Packet;
use crate::ring::{reserve, submit};
use crate::socket::Socket;
use apisec_abi::{
    DataHeader, FLAG_EGRESS, FLAG_FIN, FLAG_HANDSHAKE, FLAG_RST, FLAG_SKIPPED, FLAG_SYN_SEEN, KIND_DATA,
    KIND_OPEN, Open, PAYLOAD_CLASSES, VERDICT_TLS_HELLO, counter,
};
use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_ktime_get_ns, bpf_skb_cgroup_id, bpf_skb_load_bytes},
    programs::SkBuffContext,
};

const HEADER: usize = size_of::<DataHeader>();

/// The end flags of a packet.
#[inline(always)]
pub fn end_flags(packet: &Packet) -> u8 {
    (if packet.fin() { FLAG_FIN } else { 0 }) | if packet.rst() { FLAG_RST } else { 0 }
}

/// Copies `len` (1 to [`PREFIX`]) bytes of payload behind the first `held` (less than [`PREFIX`]).
#[inline(always)]
pub fn load_prefix(
    ctx: &SkBuffContext,
    offset: u32,
    first: &mut [u8; 2 * PREFIX],
    held: usize,
    len: u32,
) -> bool {
    // SAFETY: `held` is less than half of `first`.
    let to = unsafe { first.as_mut_ptr().add(held) };
    load(ctx.skb.skb, offset, to, len, PREFIX as u32)
}

/// The eight bytes at `offset`, in memory order; 0 when there are fewer.
#[inline(always)]
pub fn first_word(ctx: &SkBuffContext, offset: u32) -> u64 {
    let mut first = 0u64;
    if load(ctx.skb.skb, offset, (&raw mut first).cast(), 8, 8) { first } else { 0 }
}

/// Copies `len` bytes of payload to where there is room for `N`.
#[inline(always)]
pub fn load_beginning<const N: usize>(ctx: &SkBuffContext, offset: u32, to: *mut [u8; N], len: u32) -> bool {
    load(ctx.skb.skb, offset, to.cast(), len, N as u32)
}

/// Copies `len` bytes, at most `max`, where `max` is what `to` holds.
#[inline(always)]
fn load(skb: *mut __sk_buff, offset: u32, to: *mut u8, len: u32, max: u32) -> bool {
    // One less than the length, because verifiers before 6.8 learn nothing from `len != 0`. The volatile read keeps the
    // compiler from dropping the bounds that they want to see.
    let less = len.wrapping_sub(1);
    // SAFETY: reads a local.
    let less = unsafe { core::ptr::read_volatile(&raw const less) };
    if less >= max {
        return false;
    }
    let len = less + 1;
    // SAFETY: `to` holds `max` bytes and `len` is at most that.
    unsafe { bpf_skb_load_bytes(skb.cast(), offset, to.cast(), len) == 0 }
}

/// Payload of `packet`, the first `wanted` bytes of it copied.
#[inline(always)]
pub fn data(ctx: &SkBuffContext, socket: &Socket, packet: &Packet, side: usize, wanted: u32) {
    const C: [usize; 5] = PAYLOAD_CLASSES;
    let flags = end_flags(packet) | if side == 1 { FLAG_EGRESS } else { 0 };
    let head = header(socket, packet.seq, packet.payload, flags);
    if wanted <= C[0] as u32 {
        copy::<{ HEADER + C[0] }>(ctx, packet.offset, head, wanted);
    } else if wanted <= C[1] as u32 {
        copy::<{ HEADER + C[1] }>(ctx, packet.offset, head, wanted);
    } else if wanted <= C[2] as u32 {
        copy::<{ HEADER + C[2] }>(ctx, packet.offset, head, wanted);
    } else if wanted <= C[3] as u32 {
        copy::<{ HEADER + C[3] }>(ctx, packet.offset, head, wanted);
    } else {
        copy::<{ HEADER + C[4] }>(
            ctx,
            packet.offset,
            head,
            if wanted > C[4] as u32 { C[4] as u32 } else { wanted },
        );
    }
}

#[inline(always)]
fn copy<const N: usize>(ctx: &SkBuffContext, offset: u32, mut head: DataHeader, wanted: u32) {
    let Some(record) = reserve::<N>(counter::LOST_RING_FULL) else { return };
    // SAFETY: the record holds the header and `N - HEADER` bytes after it.
    unsafe {
        if load(ctx.skb.skb, offset, record.cast::<u8>().add(HEADER), wanted, (N - HEADER) as u32) {
            head.captured = wanted;
        } else {
            add(counter::LOST_COPY, 1);
        }
        record.cast::<DataHeader>().write(head);
    }
    submit(record);
}

/// `left` bytes of payload, copied whole from `from` on in at most `PIECES` + 1 records; `last` when the packet ends with them.
#[inline(always)]
pub fn run<const PIECES: u32>(
    ctx: &SkBuffContext,
    socket: &Socket,
    packet: &Packet,
    side: usize,
    mut from: u32,
    mut left: u32,
    last: bool,
) {
    const C: [usize; 5] = PAYLOAD_CLASSES;
    let egress = if side == 1 { FLAG_EGRESS } else { 0 };
    let end = if last { end_flags(packet) } else { 0 };
    for _ in 0..PIECES {
        if left <= C[4] as u32 {
            break;
        }
        let head = header(socket, packet.seq.wrapping_add(from), C[4] as u32, egress);
        copy::<{ HEADER + C[4] }>(ctx, packet.offset.wrapping_add(from), head, C[4] as u32);
        from = from.wrapping_add(C[4] as u32);
        left = left.wrapping_sub(C[4] as u32);
    }
    let head = header(socket, packet.seq.wrapping_add(from), left, egress | end);
    let offset = packet.offset.wrapping_add(from);
    if left > C[4] as u32 {
        add(counter::LOST_COPY, 1);
        bare(head);
    } else if left <= C[0] as u32 {
        copy::<{ HEADER + C[0] }>(ctx, offset, head, left);
    } else if left <= C[1] as u32 {
        copy::<{ HEADER + C[1] }>(ctx, offset, head, left);
    } else if left <= C[2] as u32 {
        copy::<{ HEADER + C[2] }>(ctx, offset, head, left);
    } else {
        copy::<{ HEADER + C[4] }>(ctx, offset, head, left);
    }
}

/// Copies the header of a frame.
#[inline(always)]
pub fn load_header(ctx: &SkBuffContext, offset: u32, to: &mut [u8; 16]) -> bool {
    load(ctx.skb.skb, offset, to.as_mut_ptr(), 9, 9)
}

/// Copies `len` (1 to 9) bytes of payload behind the first `held` (at most 15).
#[inline(always)]
pub fn load_part(ctx: &SkBuffContext, offset: u32, to: &mut [u8; 32], held: usize, len: u32) -> bool {
    // SAFETY: `held` is less than half of `to`.
    let to = unsafe { to.as_mut_ptr().add(held) };
    load(ctx.skb.skb, offset, to, len, 9)
}

/// The run of skipped bytes of `side`, which is then forgotten.
#[inline(always)]
pub fn skipped(socket: &mut Socket, side: usize, flags: u8) {
    let flags = flags | FLAG_SKIPPED | if side == 1 { FLAG_EGRESS } else { 0 };
    let mut head = header(socket, socket.skipped_from[side], socket.skipped_len[side], flags);
    head.at = socket.skipped_at[side];
    socket.skipped_len[side] = 0;
    bare(head);
}

/// FIN or RST at `seq`.
#[inline(always)]
pub fn mark(socket: &Socket, seq: u32, flags: u8) {
    bare(header(socket, seq, 0, flags));
}

#[inline(always)]
fn bare(head: DataHeader) {
    if let Some(record) = reserve::<HEADER>(counter::LOST_RING_FULL) {
        // SAFETY: the record holds a header.
        unsafe { record.cast::<DataHeader>().write(head) };
        submit(record);
    }
}

#[inline(always)]
fn header(socket: &Socket, seq: u32, total: u32, flags: u8) -> DataHeader {
    DataHeader {
        kind: KIND_DATA,
        flags: flags
            | if socket.syn_seen == 1 { FLAG_SYN_SEEN } else { 0 }
            | if socket.verdict == VERDICT_TLS_HELLO { FLAG_HANDSHAKE } else { 0 },
        role: socket.role,
        pad: 0,
        captured: 0,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        cookie: socket.cookie,
        seq,
        total,
        local_addr: socket.local_addr,
        remote_addr: socket.remote_addr,
        local_port: socket.local_port,
        remote_port: socket.remote_port,
        pad2: 0,
    }
}

/// Who is at the ends of `socket`; tried again with the next payload when the ring is full.
#[inline(always)]
pub fn open(ctx: &SkBuffContext, socket: &mut Socket) {
    let Some(record) = reserve::<{ size_of::<Open>() }>(counter::LOST_IDENTITY) else { return };
    let open = Open {
        kind: KIND_OPEN,
        flags: if socket.syn_seen == 1 { FLAG_SYN_SEEN } else { 0 },
        role: socket.role,
        verdict: socket.verdict,
        client_tgid: socket.client_tgid,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        cookie: socket.cookie,
        client_cookie: socket.client_cookie,
        // SAFETY: the context is valid.
        cgroup: unsafe { bpf_skb_cgroup_id(ctx.skb.skb) },
        netns_cookie: socket.netns_cookie,
        client_netns_cookie: socket.client_netns_cookie,
        client_cgroup: socket.client_cgroup,
        client_uid: socket.client_uid,
        client_isn: socket.client_isn,
        server_isn: socket.server_isn,
        pad2: 0,
        client_comm: socket.client_comm,
        local_addr: socket.local_addr,
        remote_addr: socket.remote_addr,
        local_port: socket.local_port,
        remote_port: socket.remote_port,
        pad3: 0,
    };
    // SAFETY: the record holds an `Open`.
    unsafe { record.cast::<Open>().write(open) };
    submit(record);
    socket.opened = 1;
}
