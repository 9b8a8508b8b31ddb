//! What the policies did, by policy and caller. What does not fit evicts the caller that was seen longest ago.

use apisec_abi::enforce::{Effect, EffectKey};
use aya_ebpf::{bindings::BPF_NOEXIST, btf_maps::LruPerCpuHashMap, macros::btf_map};

/// Entries exist once per processor: 4,096 are 12 MB on a machine with 64.
#[btf_map]
static EFFECTS: LruPerCpuHashMap<EffectKey, Effect, 4_096> = LruPerCpuHashMap::new();

/// What happened.
#[derive(Clone, Copy)]
pub enum Outcome {
    Blocked,
    /// Within its rate.
    Passed,
    Undecided,
}

/// Counts one outcome.
#[inline(always)]
pub fn count(key: &EffectKey, outcome: Outcome, now: u64, tgid: u32) {
    if EFFECTS.get_ptr_mut(key).is_none() {
        let none = Effect { blocked: 0, passed: 0, undecided: 0, last: 0, tgid: 0, pad: 0 };
        // Another processor may be first: then there is an entry as well.
        let _ = EFFECTS.insert(key, &none, BPF_NOEXIST as u64);
    }
    let Some(effect) = EFFECTS.get_ptr_mut(key) else { return };
    // SAFETY: the entry is this processor's, and stays valid while the program runs.
    unsafe {
        match outcome {
            Outcome::Blocked => (*effect).blocked += 1,
            Outcome::Passed => (*effect).passed += 1,
            Outcome::Undecided => (*effect).undecided += 1,
        }
        (*effect).last = now;
        (*effect).tgid = tgid;
    }
}

/// Whom a rule about requests has met: the process where it is known, else the address.
#[inline(always)]
pub fn of_caller(cgroup: u64, tgid: u32, addr: [u8; 16], comm: [u8; 16], policy: u32) -> EffectKey {
    EffectKey { cgroup, addr: if tgid != 0 { [0; 16] } else { addr }, comm, policy, pad: 0 }
}
