//! Which rule a request meets: by the shapes of the patterns that its service has rules for, and one look for each.

use crate::effect::{Outcome, count, of_caller};
use crate::rule::{in_force, rate};
use crate::target::{self, Kind};
use crate::work::{self, GO_ON, STOP, repeat};
use apisec_abi::enforce::{
    CallerKey, HASH_START, PARTS, PATH_SHAPES, PathKey, PathShape, REQUEST_CALLERS, REQUEST_HEAD,
    REQUEST_SHARED, RequestRule, RequestSlots, SERVICE_EXACT, SERVICE_FOLDED, SLOTS, Service, WHO_ADDRESS,
    WHO_CGROUP, WHO_PROCESS, hash_segment,
};
use aya_ebpf::{
    btf_maps::{Array, HashMap},
    macros::btf_map,
};

#[btf_map]
static SHAPES: Array<PathShape, { PATH_SHAPES as usize }> = Array::new();

#[btf_map]
static PATHS: HashMap<PathKey, RequestSlots, 16_384, 1> = HashMap::new();

#[btf_map]
static REQUESTS: Array<RequestRule, { SLOTS as usize }> = Array::new();

#[btf_map]
static CALLERS: HashMap<CallerKey, u64, 65_536, 1> = HashMap::new();

const HEAD: u64 = crate::head::hash_of(b"HEAD");

/// What is to be done with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// By the rule in this slot.
    Refuse(u32),
    Undecided,
}

/// Judges the request whose head is in the place.
#[inline(always)]
pub fn judge(place: u32, service: &Service) -> Verdict {
    if let Some(work) = work::at(place) {
        (work.shapes, work.slot) = (service.shapes, 0);
    }
    match target::begin(place) {
        Kind::Path => {}
        other => {
            // A rule about all that the service is asked needs no path.
            everything(place, service.flags & SERVICE_FOLDED != 0);
            let met = work::at(place).map_or(0, |work| work.slot);
            return match other {
                _ if met != 0 => Verdict::Refuse(met),
                Kind::Undecided => Verdict::Undecided,
                _ => Verdict::Pass,
            };
        }
    }
    target::query_method(place);
    if service.flags & SERVICE_FOLDED != 0 {
        read_and_match(place, true);
    }
    if service.flags & SERVICE_EXACT != 0 {
        read_and_match(place, false);
    }
    match work::at(place) {
        Some(work) if work.slot != 0 => Verdict::Refuse(work.slot),
        _ => Verdict::Pass,
    }
}

/// `Work::reading`: only patterns that cover every path are tried.
const EVERYTHING: u32 = 2;

#[inline(never)]
fn everything(place: u32, folded: bool) {
    if let Some(work) = work::at(place) {
        (work.reading, work.depth, work.folded) = (EVERYTHING, 0, folded as u32);
    }
    repeat(PATH_SHAPES, place, shape_step);
}

#[inline(never)]
fn read_and_match(place: u32, folded: bool) {
    target::read(place, false, folded);
    repeat(PATH_SHAPES, place, shape_step);
    // Most paths have nothing that two servers read differently.
    if work::at(place).is_some_and(|work| work.special != 0 && work.slot == 0) {
        target::read(place, true, folded);
        repeat(PATH_SHAPES, place, shape_step);
    }
}

/// One shape of patterns.
unsafe extern "C" fn shape_step(index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let place = unsafe { *place };
    let Some(work) = work::at(place) else { return STOP };
    if work.shapes >> (index & 63) == 0 || work.slot != 0 {
        return STOP;
    }
    if work.shapes >> (index & 63) & 1 == 0 {
        return GO_ON;
    }
    let Some(shape) = SHAPES.get(index) else { return STOP };
    let parts = shape.parts as u32;
    if work.reading == EVERYTHING && (parts != 0 || shape.rest == 0) {
        return GO_ON;
    }
    let long_enough = if shape.rest != 0 { work.depth >= parts } else { work.depth == parts };
    if !long_enough || shape.folded as u32 != work.folded {
        return GO_ON;
    }
    let mut hash = HASH_START;
    let mut at = 0;
    while at < PARTS {
        if shape.literals & 1 << at != 0 {
            hash = hash_segment(hash, work.segments[at]);
        }
        at += 1;
    }
    let key = PathKey { hash, service: work.service, shape: index };
    work.value = hash;
    work.shape = index;
    // SAFETY: user space replaces whole values.
    if unsafe { PATHS.get(&key) }.is_some() {
        repeat(REQUEST_SHARED as u32, place, slot_step);
    }
    GO_ON
}

/// One rule about these paths.
unsafe extern "C" fn slot_step(index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let key = PathKey { hash: work.value, service: work.service, shape: work.shape };
    // SAFETY: user space replaces whole values.
    let Some(found) = (unsafe { PATHS.get(&key) }) else { return STOP };
    let slot = found.slots[index as usize & (REQUEST_SHARED - 1)];
    if slot == 0 || in_force(slot, work.now).is_none() {
        return GO_ON;
    }
    let Some(rule) = REQUESTS.get(slot) else { return GO_ON };
    if !method(work, rule) || !caller(work, rule, slot) {
        return GO_ON;
    }
    if rule.per_second != 0 && rate(rule, slot, work) {
        if let Some(rule) = in_force(slot, work.now) {
            let whom = of_caller(work.cgroup, work.tgid, work.addr, work.comm, rule.policy);
            count(&whom, Outcome::Passed, work.now, work.tgid);
        }
        return GO_ON;
    }
    work.slot = slot;
    STOP
}

#[inline(always)]
fn method(work: &work::Work, rule: &RequestRule) -> bool {
    let mut meant = rule.method == 0;
    let mut at = 0;
    while at < 4 {
        let asked = work.methods[at];
        meant |= asked != 0 && (asked == rule.method || asked == HEAD && rule.flags & REQUEST_HEAD != 0);
        at += 1;
    }
    meant
}

#[inline(always)]
fn caller(work: &work::Work, rule: &RequestRule, slot: u32) -> bool {
    if rule.flags & REQUEST_CALLERS == 0 {
        return true;
    }
    let mut key = CallerKey { addr: work.addr, from: 0, slot, who: WHO_ADDRESS, pad: [0; 3] };
    // SAFETY: user space replaces whole values.
    unsafe {
        if CALLERS.get(&key).is_some() {
            return true;
        }
        key.addr = [0; 16];
        (key.from, key.who) = (work.cgroup, WHO_CGROUP);
        if work.cgroup != 0 && CALLERS.get(&key).is_some() {
            return true;
        }
        (key.from, key.who) = (work.tgid as u64, WHO_PROCESS);
        work.tgid != 0 && CALLERS.get(&key).is_some()
    }
}
