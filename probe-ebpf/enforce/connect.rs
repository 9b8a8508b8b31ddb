//! New connections: refused with EPERM before the first packet, at `connect`.

use crate::effect::{Outcome, count};
use crate::rule::{in_force, now, present};
use crate::service::stamp;
use apisec_abi::enforce::{
    AllowedKey, ConnectKey, EffectKey, PLACES, SHAPE_ADDR, SHAPE_NETNS, SHAPE_PORT, SHAPES, SHARED, Slots,
    WHO_ANY, WHO_ANY_BUT, WHO_CGROUP, WHO_PROCESS,
};
use aya_ebpf::{
    btf_maps::HashMap,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_get_netns_cookie},
    },
    macros::{btf_map, cgroup_sock_addr},
    programs::SockAddrContext,
};

const ALLOW: i32 = 1;
const REFUSE: i32 = 0;
const SOCK_STREAM: u32 = 1;

#[btf_map]
static CONNECT: HashMap<ConnectKey, Slots, 65_536, 1> = HashMap::new();

#[btf_map]
static ALLOWED: HashMap<AllowedKey, u64, 65_536, 1> = HashMap::new();

/// The kernel has `bpf_get_netns_cookie` for this hook. Set before loading.
#[unsafe(no_mangle)]
static HAS_NETNS_COOKIE: u32 = 0;

/// Whether namespace cookies can be read.
#[inline(always)]
pub fn has_netns_cookie() -> bool {
    // SAFETY: a constant that user space sets before loading.
    unsafe { core::ptr::read_volatile(&raw const HAS_NETNS_COOKIE) != 0 }
}

/// One attempt to connect, every part exact.
struct Attempt {
    addr: [u8; 16],
    port: u16,
    cgroup: u64,
    tgid: u32,
    netns: u64,
}

#[cgroup_sock_addr(connect4)]
pub fn apisec_deny4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the context is valid.
    let address = unsafe { (*ctx.sock_addr).user_ip4 };
    decide(&ctx, mapped(address))
}

#[cgroup_sock_addr(connect6)]
pub fn apisec_deny6(ctx: SockAddrContext) -> i32 {
    // SAFETY: the context is valid.
    let words = unsafe { (*ctx.sock_addr).user_ip6 };
    let mut addr = [0; 16];
    let mut at = 0;
    while at < 4 {
        let word = words[at].to_ne_bytes();
        addr[at * 4] = word[0];
        addr[at * 4 + 1] = word[1];
        addr[at * 4 + 2] = word[2];
        addr[at * 4 + 3] = word[3];
        at += 1;
    }
    decide(&ctx, addr)
}

/// An IPv4 address in network order as IPv6.
#[inline(always)]
pub fn mapped(address: u32) -> [u8; 16] {
    let [a, b, c, d] = address.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn decide(ctx: &SockAddrContext, addr: [u8; 16]) -> i32 {
    // SAFETY: the context is valid.
    let (kind, port) = unsafe { ((*ctx.sock_addr).type_, (*ctx.sock_addr).user_port) };
    let Some(present) = present() else { return ALLOW };
    if kind != SOCK_STREAM {
        return ALLOW;
    }
    if present.requests != 0 {
        // SAFETY: the context is valid.
        stamp(unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk });
    }
    if present.shapes == 0 {
        return ALLOW;
    }
    // SAFETY: no preconditions; the context is valid.
    let (cgroup, netns) = unsafe {
        let netns = if has_netns_cookie() { bpf_get_netns_cookie(ctx.sock_addr.cast()) } else { 0 };
        (bpf_get_current_cgroup_id(), netns)
    };
    let attempt = Attempt {
        addr,
        port: u16::from_be(port as u16),
        cgroup,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        netns,
    };
    let now = now();
    let mut shape = 0;
    while shape < SHAPES {
        if present.shapes & (1 << shape) != 0 {
            let slot = matching(&attempt, shape, now);
            if slot != 0 && !excepted(&attempt, shape, slot) {
                refused(&attempt, slot, now);
                return REFUSE;
            }
        }
        shape += 1;
    }
    ALLOW
}

/// The slot of a rule of this shape that is in force, or 0. In few words: the verifier goes through this once for
/// each shape.
#[inline(never)]
fn matching(attempt: &Attempt, shape: u32, now: u64) -> u32 {
    let mut key = ConnectKey { who: (shape / PLACES) as u8, ..ConnectKey::default() };
    if key.who == WHO_CGROUP {
        key.from = attempt.cgroup;
    } else if key.who == WHO_PROCESS {
        key.from = attempt.tgid as u64;
    }
    if shape & SHAPE_ADDR != 0 {
        key.addr = attempt.addr;
    }
    if shape & SHAPE_PORT != 0 {
        key.port = attempt.port;
    }
    if shape & SHAPE_NETNS != 0 {
        key.netns = attempt.netns;
    }
    // SAFETY: user space replaces whole values.
    let Some(found) = (unsafe { CONNECT.get(&key) }) else { return 0 };
    let mut at = 0;
    while at < SHARED {
        let slot = found.slots[at];
        if in_force(slot, now).is_some() {
            return slot;
        }
        at += 1;
    }
    0
}

/// Whether the rule of a slot lets this target or this caller through.
#[inline(never)]
fn excepted(attempt: &Attempt, shape: u32, slot: u32) -> bool {
    if (shape / PLACES) as u8 == WHO_ANY_BUT {
        return allowed(slot, WHO_CGROUP, attempt.cgroup) || allowed(slot, WHO_PROCESS, attempt.tgid as u64);
    }
    if present().is_none_or(|present| present.exceptions == 0) {
        return false;
    }
    let mut key = AllowedKey { addr: attempt.addr, from: 0, slot, port: attempt.port, who: WHO_ANY, pad: 0 };
    // SAFETY: user space replaces whole values.
    unsafe {
        if ALLOWED.get(&key).is_some() {
            return true;
        }
        key.port = 0;
        if ALLOWED.get(&key).is_some() {
            return true;
        }
        key.port = attempt.port;
        key.addr = [0; 16];
        ALLOWED.get(&key).is_some()
    }
}

#[inline(always)]
fn allowed(slot: u32, who: u8, from: u64) -> bool {
    let key = AllowedKey { addr: [0; 16], from, slot, port: 0, who, pad: 0 };
    // SAFETY: user space replaces whole values.
    unsafe { ALLOWED.get(&key).is_some() }
}

#[inline(never)]
fn refused(attempt: &Attempt, slot: u32, now: u64) {
    if let Some(rule) = in_force(slot, now) {
        count(&effect(attempt, rule.policy), Outcome::Blocked, now, attempt.tgid);
    }
}

#[inline(always)]
fn effect(attempt: &Attempt, policy: u32) -> EffectKey {
    EffectKey {
        cgroup: attempt.cgroup,
        addr: [0; 16],
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
        policy,
        pad: 0,
    }
}
