//! The ring buffer to user space. Events do not wake the reader: it polls, and is woken early only when
//! the ring fills, because a wake-up per event costs several times more than the capture.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit},
    macros::map,
    maps::RingBuf,
};
use core::ffi::c_void;

/// Sized by user space before loading.
const DEFAULT_BYTES: u32 = 16 << 20;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(DEFAULT_BYTES, 0);

/// Unread bytes above which the reader is woken. Set by user space with the size of the ring.
#[unsafe(no_mangle)]
static WAKE_ABOVE: u64 = (DEFAULT_BYTES / 4) as u64;

/// Reserves `N` bytes; a full ring is counted under `lost`.
#[inline(always)]
pub fn reserve<const N: usize>(lost: u32) -> Option<*mut c_void> {
    // SAFETY: `EVENTS` is a ring buffer map.
    let record = unsafe { bpf_ringbuf_reserve((&raw const EVENTS).cast_mut().cast(), N as u64, 0) };
    if record.is_null() {
        crate::counters::add(lost, 1);
        return None;
    }
    Some(record)
}

/// Hands a reserved record over.
#[inline(always)]
pub fn submit(record: *mut c_void) {
    // SAFETY: `EVENTS` is a ring buffer map and `record` was reserved from it.
    unsafe {
        let unread = bpf_ringbuf_query((&raw const EVENTS).cast_mut().cast(), BPF_RB_AVAIL_DATA as u64);
        let full = unread > core::ptr::read_volatile(&raw const WAKE_ABOVE);
        bpf_ringbuf_submit(record, if full { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP } as u64);
    }
}
