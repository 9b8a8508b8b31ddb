//! Which end of a connection a socket is, and whether its peer is on this node: the end of the handshake.

use crate::connect::{has_netns_cookie, is_ours};
use crate::socket::{CALLERS, Caller, DEFERRED, SERVED, Socket, caller_key, find_or_create};
use apisec_abi::{ROLE_CLIENT, ROLE_SERVER, VERDICT_OURS, VERDICT_PEER_COVERED};
use aya_ebpf::{
    bindings::{BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, bpf_sock_ops},
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    macros::sock_ops,
    programs::SockOpsContext,
};

const DONE: u32 = 1;

#[sock_ops]
pub fn apisec_handshake(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => connected(ctx.ops),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => accepted(ctx.ops),
        _ => {}
    }
    DONE
}

/// The client's end: leaves its name for the server's end, which follows if it is on this node.
#[inline(always)]
fn connected(ops: *mut bpf_sock_ops) {
    let Some(socket) = socket_of(ops) else { return };
    // SAFETY: the context is valid.
    let (client_isn, server_isn, cookie) =
        unsafe { ((*ops).snd_nxt, (*ops).rcv_nxt, bpf_get_socket_cookie(ops.cast())) };
    established(socket, ROLE_CLIENT, client_isn, server_isn);
    socket.client_cookie = cookie;
    socket.netns_cookie = socket.client_netns_cookie;
    let caller = Caller {
        cookie,
        cgroup: socket.client_cgroup,
        netns_cookie: socket.client_netns_cookie,
        tgid: socket.client_tgid,
        uid: socket.client_uid,
        comm: socket.client_comm,
        served: 0,
    };
    let _ = CALLERS.insert(&caller_key(client_isn, server_isn), &caller, 0);
}

/// The server's end: takes the client's name over and tells it that the connection is captured here.
#[inline(always)]
fn accepted(ops: *mut bpf_sock_ops) {
    let Some(socket) = socket_of(ops) else { return };
    // SAFETY: the context is valid.
    let (client_isn, server_isn) = unsafe { ((*ops).rcv_nxt, (*ops).snd_nxt) };
    established(socket, ROLE_SERVER, client_isn, server_isn);
    if has_netns_cookie() {
        // SAFETY: the context is valid.
        socket.netns_cookie = unsafe { bpf_get_netns_cookie(ops.cast()) };
    }
    let Some(caller) = CALLERS.get_ptr_mut(&caller_key(client_isn, server_isn)) else { return };
    // SAFETY: the entry may be reused for another connection while we read it only after 65,536 more
    // handshakes.
    unsafe {
        if (*caller).served == DEFERRED {
            socket.verdict = VERDICT_PEER_COVERED;
        } else {
            (*caller).served = SERVED;
        }
        socket.client_cookie = (*caller).cookie;
        socket.client_cgroup = (*caller).cgroup;
        socket.client_netns_cookie = (*caller).netns_cookie;
        socket.client_tgid = (*caller).tgid;
        socket.client_uid = (*caller).uid;
        socket.client_comm = (*caller).comm;
    }
    if is_ours(socket.client_tgid) {
        socket.verdict = VERDICT_OURS;
    }
}

#[inline(always)]
fn established(socket: &mut Socket, role: u8, client_isn: u32, server_isn: u32) {
    socket.role = role;
    socket.syn_seen = 1;
    socket.client_isn = client_isn;
    socket.server_isn = server_isn;
}

#[inline(always)]
fn socket_of(ops: *mut bpf_sock_ops) -> Option<&'static mut Socket> {
    // SAFETY: the context is valid; a null socket is refused.
    let sk = unsafe { (*ops).__bindgen_anon_2.sk };
    if sk.is_null() { None } else { find_or_create(sk) }
}
