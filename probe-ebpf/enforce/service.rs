//! Connections of ruled services: as soon as one is established, its socket goes into the map whose programs read
//! the requests. No other socket does.

use crate::rule::present;
use apisec_abi::enforce::{SERVICES as MOST, Service};
use apisec_abi::enforce::{ServiceKey, Stream};
use aya_ebpf::{
    bindings::{
        BPF_SK_STORAGE_GET_F_CREATE, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        bpf_sock, bpf_sock_ops,
    },
    btf_maps::{Array, HashMap, LruHashMap, SkStorage, SockHash},
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_sk_storage_get,
            bpf_sock_hash_update,
        },
    },
    macros::{btf_map, sock_ops},
    programs::SockOpsContext,
};

const DONE: u32 = 1;
const AF_INET6: u32 = 10;

/// Sockets whose requests are read, by cookie.
#[btf_map]
pub static SOCKETS: SockHash<u64, 65_536> = SockHash::new();

/// What is known of them, by cookie.
#[btf_map]
pub static STREAMS: LruHashMap<u64, Stream, 65_536> = LruHashMap::new();

#[btf_map]
static SERVICES: HashMap<ServiceKey, u32, 8_192, 1> = HashMap::new();

/// Services, by number.
#[btf_map]
pub static SERVICE: Array<Service, { MOST as usize }> = Array::new();

/// Who connects, on the client's socket until it is connected.
#[repr(C)]
#[derive(Clone, Copy)]
struct Client {
    cgroup: u64,
    comm: [u8; 16],
    tgid: u32,
    pad: u32,
}

#[btf_map]
static CLIENTS: SkStorage<Client> = SkStorage::new();

/// Who has just connected, by the sequence numbers of the handshake, until the server's end is there.
#[btf_map]
static HANDSHAKES: LruHashMap<u64, Client, 16_384> = LruHashMap::new();

/// Remembers who connects; at `connect`, the only moment when the process is known.
#[inline(always)]
pub fn stamp(sk: *mut bpf_sock) {
    if sk.is_null() {
        return;
    }
    let Some(client) = client(sk, BPF_SK_STORAGE_GET_F_CREATE as u64) else { return };
    client.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: no preconditions.
    client.cgroup = unsafe { bpf_get_current_cgroup_id() };
    client.comm = bpf_get_current_comm().unwrap_or([0; 16]);
}

#[inline(always)]
fn client(sk: *mut bpf_sock, flags: u64) -> Option<&'static mut Client> {
    let map = (&raw const CLIENTS).cast_mut();
    // SAFETY: the verifier has checked `sk`; the storage stays valid while the program runs.
    unsafe {
        bpf_sk_storage_get(map.cast(), sk.cast(), core::ptr::null_mut(), flags).cast::<Client>().as_mut()
    }
}

#[sock_ops]
pub fn apisec_enrol(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => connected(ctx.ops),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => accepted(ctx.ops),
        _ => {}
    }
    DONE
}

/// The client's end leaves its name.
#[inline(always)]
fn connected(ops: *mut bpf_sock_ops) {
    if present().is_none_or(|present| present.requests == 0) {
        return;
    }
    // SAFETY: the context is valid; a null socket is refused.
    unsafe {
        let sk = (*ops).__bindgen_anon_2.sk;
        if sk.is_null() {
            return;
        }
        let Some(client) = client(sk, 0) else { return };
        let key = handshake((*ops).snd_nxt, (*ops).rcv_nxt);
        let _ = HANDSHAKES.insert(&key, &*client, 0);
    }
}

#[inline(always)]
fn handshake(client: u32, server: u32) -> u64 {
    (client as u64) << 32 | server as u64
}

/// The server's end is enrolled when it belongs to a ruled service.
#[inline(always)]
fn accepted(ops: *mut bpf_sock_ops) {
    if present().is_none_or(|present| present.requests == 0) {
        return;
    }
    let mut key = ServiceKey { addr: local(ops), netns: netns(ops), port: 0, pad: [0; 6] };
    // SAFETY: the context is valid.
    key.port = unsafe { (*ops).local_port } as u16;
    let Some(service) = find(key) else { return };
    if SERVICE.get(service).is_none_or(|service| service.shapes == 0) {
        // It has no rules any more; sockets of it are still being given back.
        return;
    }
    let mut stream = Stream { service, addr: remote(ops), ..Stream::default() };
    // SAFETY: the context is valid.
    let (handshake, mut cookie) =
        unsafe { (handshake((*ops).rcv_nxt, (*ops).snd_nxt), bpf_get_socket_cookie(ops.cast())) };
    // SAFETY: an entry is replaced as a whole.
    if let Some(client) = unsafe { HANDSHAKES.get(&handshake) } {
        (stream.cgroup, stream.tgid, stream.comm) = (client.cgroup, client.tgid, client.comm);
    }
    let _ = HANDSHAKES.remove(&handshake);
    // What cannot be remembered is not enrolled: it would only cost.
    if STREAMS.insert(&cookie, &stream, 0).is_err() {
        return;
    }
    // SAFETY: the context is valid; the key is read only.
    unsafe {
        bpf_sock_hash_update(ops, (&raw const SOCKETS).cast_mut().cast(), (&raw mut cookie).cast(), 0);
    }
}

#[inline(always)]
fn find(key: ServiceKey) -> Option<u32> {
    let anywhere = ServiceKey { netns: 0, ..key };
    let any = ServiceKey { addr: [0; 16], ..key };
    let neither = ServiceKey { addr: [0; 16], netns: 0, ..key };
    // SAFETY: user space replaces whole values.
    unsafe {
        let found = SERVICES.get(&key).or_else(|| SERVICES.get(&anywhere));
        found.or_else(|| SERVICES.get(&any)).or_else(|| SERVICES.get(&neither)).copied()
    }
}

#[inline(always)]
fn netns(ops: *mut bpf_sock_ops) -> u64 {
    // SAFETY: the context is valid.
    if crate::connect::has_netns_cookie() { unsafe { bpf_get_netns_cookie(ops.cast()) } } else { 0 }
}

#[inline(always)]
fn local(ops: *mut bpf_sock_ops) -> [u8; 16] {
    // SAFETY: the context is valid; words are read one by one, as the verifier asks.
    unsafe {
        if (*ops).family == AF_INET6 {
            join([
                core::ptr::read_volatile(&raw const (*ops).local_ip6[0]),
                core::ptr::read_volatile(&raw const (*ops).local_ip6[1]),
                core::ptr::read_volatile(&raw const (*ops).local_ip6[2]),
                core::ptr::read_volatile(&raw const (*ops).local_ip6[3]),
            ])
        } else {
            crate::connect::mapped((*ops).local_ip4)
        }
    }
}

#[inline(always)]
fn remote(ops: *mut bpf_sock_ops) -> [u8; 16] {
    // SAFETY: as in `local`.
    unsafe {
        if (*ops).family == AF_INET6 {
            join([
                core::ptr::read_volatile(&raw const (*ops).remote_ip6[0]),
                core::ptr::read_volatile(&raw const (*ops).remote_ip6[1]),
                core::ptr::read_volatile(&raw const (*ops).remote_ip6[2]),
                core::ptr::read_volatile(&raw const (*ops).remote_ip6[3]),
            ])
        } else {
            crate::connect::mapped((*ops).remote_ip4)
        }
    }
}

#[inline(always)]
fn join(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < 4 {
        let word = words[at].to_ne_bytes();
        bytes[at * 4] = word[0];
        bytes[at * 4 + 1] = word[1];
        bytes[at * 4 + 2] = word[2];
        bytes[at * 4 + 3] = word[3];
        at += 1;
    }
    bytes
}
