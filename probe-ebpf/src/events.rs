//! Answers that are streams of events, told by their head: the first events may come in one packet with it, beyond any budget.

use crate::packet::Packet;
use crate::record;
use aya_ebpf::{
    helpers::generated::bpf_probe_read_user, macros::map, maps::PerCpuArray, programs::SkBuffContext,
};

/// Octets of an answer in which its content type is looked for: servers name it among the first fields.
const SEARCHED: usize = 256;
/// Room for the verifier behind them.
const REACH: usize = 16;
/// `t-st` of `text/event-stream`, in both lanes of four bytes.
const MARK: u64 = u64::from_le_bytes(*b"t-stt-st");
const ONES: u64 = 0x0000_0001_0000_0001;
const HIGH: u64 = 0x8000_0000_8000_0000;

#[map]
static HEAD: PerCpuArray<[u8; SEARCHED + REACH]> = PerCpuArray::with_max_entries(1, 0);

/// Whether the answer at the beginning of a packet, which is longer than what is searched, is a stream of events.
#[inline(always)]
pub fn begin(ctx: &SkBuffContext, packet: &Packet) -> bool {
    let Some(head) = HEAD.get_ptr_mut(0) else { return false };
    record::load_beginning(ctx, packet.offset, head, SEARCHED as u32) && is_named(head.cast())
}

/// The same of an answer of `len` bytes in the memory of a program.
#[inline(always)]
pub fn begin_at(buffer: u64, len: u32) -> bool {
    let Some(head) = HEAD.get_ptr_mut(0) else { return false };
    if len < SEARCHED as u32 {
        return false;
    }
    // SAFETY: there is room for so many bytes; the helper checks the address.
    let failed = unsafe { bpf_probe_read_user(head.cast(), SEARCHED as u32, buffer as *const _) };
    failed == 0 && is_named(head.cast())
}

/// Whether the mark is anywhere; without a branch, because each would be a path for the verifier.
#[inline(always)]
fn is_named(head: *const u8) -> bool {
    let mut found = 0;
    let mut at = 0;
    while at < SEARCHED {
        for shift in 0..4 {
            // SAFETY: within the map's value.
            let lanes = unsafe { head.add(at + shift).cast::<u64>().read_unaligned() } ^ MARK;
            found |= lanes.wrapping_sub(ONES) & !lanes & HIGH;
        }
        at += 8;
    }
    found != 0
}
