//! Per-CPU counters: every reason for not sending an event has its own.

use apisec_abi::counter;
use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};

#[btf_map]
static COUNTERS: PerCpuArray<u64, { counter::COUNT as usize }> = PerCpuArray::new();

/// Adds `amount` to the counter `index` (`apisec_abi::counter`).
#[inline(always)]
pub fn add(index: u32, amount: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: a per-CPU slot; programs of one CPU do not interleave on it except through nested
        // interrupts, where the worst case is one lost increment of a statistic.
        unsafe { *slot = (*slot).wrapping_add(amount) };
    }
}
