//! Room to work in: what does not fit the stack, and what the verifier need not follow.
//!
//! The parser runs in process context too, where a softirq of the same processor may run it again: each run takes
//! a place of its own.

use apisec_abi::enforce::{MAX_HEAD, PARTS};
use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};

/// Process, softirq and some to spare.
const PLACES: u32 = 4;
/// Room behind the head, so that words may be read at its last byte.
const SLACK: usize = 64;

/// What is known of the request that is being looked at.
#[repr(C)]
pub struct Work {
    pub taken: u32,
    /// Bytes in `head`.
    pub end: u32,
    /// Where the search is.
    pub at: u32,
    /// Where the current line began.
    pub line: u32,
    /// Where the first line ended; 0: not yet.
    pub first_end: u32,
    /// Where the head ended; 0: not yet.
    pub head_end: u32,
    /// `FOUND_*`.
    pub found: u32,
    /// Where the target begins and ends.
    pub target: u32,
    pub target_end: u32,
    /// Where a value that is being read ends.
    pub value_end: u32,
    /// How the value that is being read goes.
    pub value_state: u32,
    /// Of the path that is being read: see `target`.
    pub reading: u32,
    pub folded: u32,
    pub special: u32,
    pub parameters: u32,
    pub segment_len: u32,
    pub segment_dots: u32,
    pub depth: u32,
    /// Of the match.
    pub service: u32,
    pub shape: u32,
    pub slot: u32,
    pub pad: u32,
    pub now: u64,
    pub shapes: u64,
    pub value: u64,
    pub length: u64,
    pub credential: u64,
    pub segment: u64,
    /// Hashes of the methods that the request may have.
    pub methods: [u64; 4],
    /// Of the caller.
    pub cgroup: u64,
    pub addr: [u8; 16],
    pub comm: [u8; 16],
    pub tgid: u32,
    pub pad2: u32,
    /// Hashes of the path's segments; the second half is room for the verifier.
    pub segments: [u64; 2 * PARTS],
    pub head: [u8; MAX_HEAD + SLACK],
}

/// There is a content length.
pub const FOUND_LENGTH: u32 = 1;
/// The body is chunked.
pub const FOUND_CHUNKED: u32 = 2;
/// Two servers may read this head differently.
pub const FOUND_ODD: u32 = 4;
/// The connection ends after the answer.
pub const FOUND_CLOSE: u32 = 8;
/// The request asks for another protocol.
pub const FOUND_UPGRADE: u32 = 16;
/// The first line has a version.
pub const FOUND_VERSION: u32 = 32;
/// The client waits for leave to send the body.
pub const FOUND_EXPECT: u32 = 64;

#[btf_map]
static WORK: PerCpuArray<Work, { PLACES as usize }> = PerCpuArray::new();

/// The place with this number.
#[inline(always)]
pub fn at(place: u32) -> Option<&'static mut Work> {
    // SAFETY: the place is this processor's and this run's.
    unsafe { WORK.get_ptr_mut(place)?.as_mut() }
}

/// Takes a place; `None` when all are taken.
#[inline(always)]
pub fn take() -> Option<u32> {
    let mut place = 0;
    while place < PLACES {
        if let Some(work) = at(place)
            && work.taken == 0
        {
            work.taken = 1;
            return Some(place);
        }
        place += 1;
    }
    None
}

/// Gives it back.
#[inline(always)]
pub fn give(place: u32) {
    if let Some(work) = at(place) {
        work.taken = 0;
    }
}

impl Work {
    /// The byte of the head at a position.
    #[inline(always)]
    pub fn byte(&self, at: u32) -> u8 {
        self.head[at as usize & (MAX_HEAD - 1)]
    }

    /// Eight bytes of the head, the first one lowest.
    #[inline(always)]
    pub fn word(&self, at: u32) -> u64 {
        let from = &raw const self.head[at as usize & (MAX_HEAD - 1)];
        // SAFETY: there is slack behind the last position.
        u64::from_le(unsafe { from.cast::<u64>().read_unaligned() })
    }
}

/// Runs `step` up to `times` times with the number of a place, until it says stop.
#[inline(always)]
pub fn repeat(times: u32, place: u32, step: unsafe extern "C" fn(u32, *mut u32) -> u64) {
    let mut place = place;
    // SAFETY: `step` has the signature that the helper asks for, and the context outlives the call.
    unsafe {
        aya_ebpf::helpers::generated::bpf_loop(times, step as *mut _, (&raw mut place).cast(), 0);
    }
}

/// What a step says.
pub const GO_ON: u64 = 0;
/// What a step says.
pub const STOP: u64 = 1;
