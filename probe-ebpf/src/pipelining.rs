//! Requests that do not wait for answers: their answers come without a turn between them, and a budget per turn
//! would cut all but the first away.
//!
//! Looks for a second request behind the first empty line, on words like [`classify`](crate::classify).

use crate::classify::{capitals, spaces};
use crate::packet::Packet;
use crate::record;
use aya_ebpf::{macros::map, maps::PerCpuArray, programs::SkBuffContext};

/// Bytes in which the end of the first request is looked for: longer heads are rarely pipelined.
const SEARCHED: usize = 256;
/// Two requests that would fit in less are not worth a look at every small one.
const WORTHWHILE: u32 = 64;
/// Behind an empty line that begins in a word at most so many bytes from the beginning of the word are looked at.
const REACH: usize = 24;
/// LF CR in every lane of two bytes: only an empty line has them in this order.
const LF_CR: u64 = 0x0d0a_0d0a_0d0a_0d0a;
const ONES: u64 = 0x0001_0001_0001_0001;
const HIGH: u64 = 0x8000_8000_8000_8000;

#[map]
static BEGINNING: PerCpuArray<[u8; SEARCHED + REACH]> = PerCpuArray::with_max_entries(1, 0);

/// Whether another request begins behind the first in this packet.
#[inline(always)]
pub fn shows(ctx: &SkBuffContext, packet: &Packet) -> bool {
    if packet.payload < WORTHWHILE {
        return false;
    }
    let Some(beginning) = BEGINNING.get_ptr_mut(0) else { return false };
    let len = if packet.payload < SEARCHED as u32 { packet.payload } else { SEARCHED as u32 };
    record::load_beginning(ctx, packet.offset, beginning, len) && is_followed(beginning.cast(), len)
}

/// Whether a request begins behind the first empty line of the first `len` bytes.
#[inline(always)]
fn is_followed(beginning: *const u8, len: u32) -> bool {
    // Numbers of their own, here and below: comparing `len` itself gives the verifier one more state per word.
    let mut words = (len + 7) >> 3;
    let mut at = 0;
    while at < SEARCHED && words != 0 {
        // SAFETY: `at + REACH` is within the map's value.
        let (even, odd) = unsafe { (word(beginning, at), word(beginning, at + 1)) };
        if empty_lines(even) | empty_lines(odd) != 0 {
            let found = begin(empty_lines(even)).min(begin(empty_lines(odd)) + 1) & 7;
            let next = at + found as usize + 3;
            let beyond = len.wrapping_sub(next as u32 + 4) >> 31;
            // SAFETY: the same.
            return (beyond == 0) & begins_request(unsafe { word(beginning, next) });
        }
        at += 8;
        words -= 1;
    }
    false
}

/// The top bit of the first lane in which an empty line begins, perhaps of later ones too.
#[inline(always)]
fn empty_lines(word: u64) -> u64 {
    let lanes = word ^ LF_CR;
    lanes.wrapping_sub(ONES) & !lanes & HIGH
}

/// The byte at which the first marked lane begins, without a branch; 8 when none is marked.
#[inline(always)]
fn begin(marks: u64) -> u32 {
    let below = (marks & marks.wrapping_neg()).wrapping_sub(1) & HIGH;
    // One bit per lane below the marked one: their number, times two.
    (((below >> 15).wrapping_mul(ONES) >> 48) as u32) * 2
}

/// A method token of at least three capitals and a space, or the beginning of a longer one.
#[inline(always)]
pub fn begins_request(word: u64) -> bool {
    let spaces = spaces(word);
    let before = (spaces & spaces.wrapping_neg()).wrapping_sub(1);
    const BYTES: u64 = 0x8080_8080_8080_8080;
    capitals(word) & before & BYTES == before & BYTES && before > 0x0080_0000
}

#[inline(always)]
unsafe fn word(bytes: *const u8, at: usize) -> u64 {
    // SAFETY: the caller's.
    unsafe { bytes.add(at).cast::<u64>().read_unaligned() }
}
