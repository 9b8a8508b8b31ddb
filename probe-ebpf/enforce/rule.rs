//! Rules by their slots: what is left of one is its deadline.

use apisec_abi::enforce::{Owned, Present, Rule, SLOTS};
use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::btf_map,
};

#[btf_map]
static RULES: Array<Rule, { SLOTS as usize }> = Array::new();

/// The slots of each policy: for user space, which finds again what an earlier run has put here.
#[btf_map]
static POLICIES: HashMap<u32, Owned, { SLOTS as usize }, 1> = HashMap::new();

#[btf_map]
static PRESENT: Array<Present, 1> = Array::new();

/// Nanoseconds of the boot clock, which goes on while the machine sleeps.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The rule of a slot, unless its deadline has passed.
#[inline(always)]
pub fn in_force(slot: u32, now: u64) -> Option<&'static Rule> {
    RULES.get(slot).filter(|rule| now < rule.deadline)
}

/// What there is to look for.
#[inline(always)]
pub fn present() -> Option<&'static Present> {
    PRESENT.get(0)
}
