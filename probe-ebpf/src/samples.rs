//! Whole bodies, on request: user space puts a number of bodies per server into a map, and where a body goes beyond the
//! ordinary budget one is taken off it. Without the wish nothing of this is in the loaded program: the constant is known
//! to the verifier, which drops what it rules out.

use crate::counters::add;
use apisec_abi::{SAMPLE_BYTES, counter};
use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};

/// Whether anybody may wish for whole bodies. Set before loading.
#[unsafe(no_mangle)]
static SAMPLING: u32 = 0;

/// How many more bodies are wanted, by the port of their server.
#[btf_map]
static SAMPLES: LruHashMap<u32, u32, 4096> = LruHashMap::new();

/// Whether anybody may wish for whole bodies.
#[inline(always)]
pub fn on() -> bool {
    // SAFETY: a constant that user space sets before loading.
    unsafe { core::ptr::read_volatile(&raw const SAMPLING) != 0 }
}

/// Whether the next `len` bytes are given beyond the budget. `left` is what is left of the body that is being given: 0 when
/// none is, and then one may begin if `fresh`.
#[inline(always)]
pub fn take(left: &mut u32, port: u16, len: u32, fresh: bool) -> bool {
    if *left == 0 {
        if !fresh {
            return false;
        }
        let Some(wanted) = SAMPLES.get_ptr_mut(&(port as u32)) else { return false };
        // SAFETY: the entry stays while the program runs; two CPUs that take the same one give one body too many.
        unsafe {
            if *wanted == 0 {
                return false;
            }
            *wanted -= 1;
        }
        add(counter::BODIES_SAMPLED, 1);
        *left = SAMPLE_BYTES;
    }
    // The last byte stays, so that what is used up is not taken for what has not begun.
    if *left == 1 {
        return false;
    }
    *left = if len < *left { *left - len } else { 1 };
    if *left == 0 {
        *left = 1;
    }
    true
}
