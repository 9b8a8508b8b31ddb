//! Who opens a connection: stamped on the socket at `connect`, the only moment when the process is known.
//! Never refuses a connection.

use crate::socket::find_or_create;
use apisec_abi::{ROLE_CLIENT, VERDICT_OURS};
use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{bpf_get_current_cgroup_id, bpf_get_netns_cookie},
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};

const ALLOW: i32 = 1;
const SOCK_STREAM: u32 = 1;

/// Our own thread group: what it connects is never captured. Set before loading.
#[unsafe(no_mangle)]
static OWN_TGID: u32 = 0;
/// The kernel has `bpf_get_netns_cookie` for this hook and for sockops. Set before loading.
#[unsafe(no_mangle)]
static HAS_NETNS_COOKIE: u32 = 0;

#[cgroup_sock_addr(connect4)]
pub fn apisec_connect4(ctx: SockAddrContext) -> i32 {
    stamp(&ctx);
    ALLOW
}

#[cgroup_sock_addr(connect6)]
pub fn apisec_connect6(ctx: SockAddrContext) -> i32 {
    stamp(&ctx);
    ALLOW
}

/// Whether namespace cookies can be read.
#[inline(always)]
pub fn has_netns_cookie() -> bool {
    // SAFETY: a constant that user space sets before loading.
    unsafe { core::ptr::read_volatile(&raw const HAS_NETNS_COOKIE) != 0 }
}

/// Whether `tgid` is our own process.
#[inline(always)]
pub fn is_ours(tgid: u32) -> bool {
    // SAFETY: a constant that user space sets before loading.
    tgid != 0 && tgid == unsafe { core::ptr::read_volatile(&raw const OWN_TGID) }
}

#[inline(always)]
fn stamp(ctx: &SockAddrContext) {
    // SAFETY: the context is valid; a null socket is refused.
    let (kind, sk) = unsafe { ((*ctx.sock_addr).type_, (*ctx.sock_addr).__bindgen_anon_1.sk) };
    if kind != SOCK_STREAM || sk.is_null() {
        return;
    }
    let Some(socket) = find_or_create(sk) else { return };
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    socket.role = ROLE_CLIENT;
    socket.client_tgid = tgid;
    socket.client_uid = bpf_get_current_uid_gid() as u32;
    socket.client_comm = bpf_get_current_comm().unwrap_or([0; 16]);
    // SAFETY: no preconditions; the context is valid.
    unsafe {
        socket.client_cgroup = bpf_get_current_cgroup_id();
        if has_netns_cookie() {
            socket.client_netns_cookie = bpf_get_netns_cookie(ctx.sock_addr.cast());
        }
    }
    if is_ours(tgid) {
        socket.verdict = VERDICT_OURS;
    }
}
