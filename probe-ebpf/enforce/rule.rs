//! Rules by their slots: what is left of one is its deadline.

use crate::work::Work;
use apisec_abi::enforce::{
    Bucket, BucketKey, HASH_START, Owned, PER_CALLER, PER_CREDENTIAL, Present, RequestRule, Rule, SLOTS,
    hash_byte, hash_segment,
};
use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap},
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

/// Buckets of rates: an evicted one is full again.
#[btf_map]
static BUCKETS: LruHashMap<BucketKey, Bucket, 16_384> = LruHashMap::new();

const SECOND: u64 = 1_000_000_000;

/// Whether a request is within its rate; it takes a token. Two processors at the same moment may take one token
/// twice: there is no lock.
#[inline(always)]
pub fn rate(rule: &RequestRule, slot: u32, work: &Work) -> bool {
    let of = if rule.per == PER_CREDENTIAL {
        work.credential
    } else if rule.per == PER_CALLER {
        caller(work)
    } else {
        0
    };
    let key = BucketKey { of, slot, pad: 0 };
    let token = SECOND / if rule.per_second == 0 { 1 } else { rule.per_second as u64 };
    let full = token * rule.burst as u64;
    let Some(bucket) = BUCKETS.get_ptr_mut(&key) else {
        let rest = if full > token { full - token } else { 0 };
        let _ = BUCKETS.insert(&key, &Bucket { nanos: rest, at: work.now }, 0);
        return rule.burst > 0;
    };
    // SAFETY: the entry stays valid while the program runs.
    unsafe {
        let since = work.now.wrapping_sub((*bucket).at);
        // A clock that another processor read later.
        let since = if since > i64::MAX as u64 { 0 } else { since };
        let mut nanos = (*bucket).nanos + since;
        if nanos > full {
            nanos = full;
        }
        (*bucket).at = work.now;
        if nanos < token {
            (*bucket).nanos = nanos;
            return false;
        }
        (*bucket).nanos = nanos - token;
        true
    }
}

/// One number for a caller: its process where it is known, else its address.
#[inline(always)]
fn caller(work: &Work) -> u64 {
    if work.tgid != 0 {
        return hash_segment(work.cgroup, work.tgid as u64);
    }
    let (mut hash, mut at) = (HASH_START, 0);
    while at < 16 {
        hash = hash_byte(hash, work.addr[at]);
        at += 1;
    }
    hash
}
