//! Threads that use TLS: all others, which are nearly all, are told apart by one look at a table, because their every read
//! and write comes by here.

use apisec_abi::counter;
use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use core::ptr::{read_volatile, write_volatile};

/// Thread ids are told apart by so many of their lowest values; two that share one cost a look-up.
const MARKS: usize = 1 << 16;

/// 1 where a thread may use TLS.
static mut TLS_THREADS: [u8; MARKS] = [0; MARKS];

/// What a thread is doing in a TLS library, and with which socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Thread {
    /// The session of the call that is running; 0 outside.
    pub session: u64,
    /// Its buffer.
    pub buffer: u64,
    /// Where it stores a length, when it returns only success.
    pub length_at: u64,
    /// The socket that the thread used last since the call began (kernel address), 0 none.
    pub socket: u64,
    /// The socket that it used last before the call began.
    pub before: u64,
    /// The session of rustls that it wrote to, and whose socket is not known; 0 none.
    pub wrote: u64,
}

/// Threads that were in a TLS library lately, by pid and tgid.
#[btf_map]
pub static THREADS: LruHashMap<u64, Thread, 16_384> = LruHashMap::new();

/// Remembers what a thread does, which was not known.
#[inline(always)]
pub fn remember(id: u64, thread: &Thread) {
    mark(id);
    if THREADS.insert(&id, thread, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
}

/// A thread uses TLS.
#[inline(always)]
pub fn mark(id: u64) {
    // SAFETY: within the table; whoever writes at the same time writes the same.
    unsafe { write_volatile(place(id), 1) };
}

/// A thread has ended. Another one that shares its mark has it again with its next call into a library.
#[inline(always)]
pub fn forget(id: u64) {
    // SAFETY: within the table.
    unsafe { write_volatile(place(id), 0) };
}

/// Whether a thread may be one of [`THREADS`].
#[inline(always)]
pub fn may_use_tls(id: u64) -> bool {
    // SAFETY: within the table.
    unsafe { read_volatile(place(id)) != 0 }
}

#[inline(always)]
fn place(id: u64) -> *mut u8 {
    // SAFETY: the index is less than the length.
    unsafe { (&raw mut TLS_THREADS).cast::<u8>().add(id as usize & (MARKS - 1)) }
}
