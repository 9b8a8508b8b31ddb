//! What the kernel's packet of a stream says: where the message is in it, its bytes, and what is known of its socket.

use crate::handover::{offsets, read};
use crate::work;
use apisec_abi::enforce::{MAX_HEAD, MAX_HELD};
use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_probe_read_kernel, bpf_skb_load_bytes},
};

/// Where in `struct sk_buff` the stream parser keeps the place of the message. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_MESSAGE: u32 = 0;

/// Where in `struct sk_buff` its socket is. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_SKB_SOCKET: u32 = 0;
/// Where in `struct tcp_sock` it says how far was written. Set before loading; 0: not known.
#[unsafe(no_mangle)]
static OFFSET_WRITTEN: u32 = 0;

/// Where a message begins in its packet, and how much of it there is.
#[inline(always)]
pub fn message(skb: *mut __sk_buff) -> Option<(u32, u32)> {
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
pub fn written(skb: *mut __sk_buff) -> Option<u32> {
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

/// The longest body that is waited for: a fourth of what the socket has room for.
#[inline(always)]
pub fn held(skb: *mut __sk_buff) -> u64 {
    let at = offsets();
    if at.miscounts == 0 {
        return 0;
    }
    // SAFETY: a constant that is set before loading.
    let of_socket = unsafe { core::ptr::read_volatile(&raw const OFFSET_SKB_SOCKET) } as usize & 0x1ff;
    // SAFETY: the address is only given to a helper that checks it.
    let socket: u64 = read(unsafe { skb.cast::<u8>().add(of_socket) } as u64, 0);
    let room = read(socket + at.room as u64, 0_u32) / 4;
    (if room < MAX_HELD { room } else { MAX_HELD }) as u64
}

#[inline(always)]
pub fn load(skb: *mut __sk_buff, offset: u32, length: u32, place: u32) -> bool {
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
