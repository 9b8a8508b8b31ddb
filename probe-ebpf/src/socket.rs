//! What is remembered about a socket, in socket-local storage: it lives and dies with the socket.

use crate::classify::PREFIX;
use apisec_abi::{Seed, counter};
use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::{LruHashMap, SkStorage},
    helpers::generated::bpf_sk_storage_get,
    macros::btf_map,
};

/// Where one direction is within the frames of HTTP/2. Zero is before the first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Frames {
    /// Sequence number of the octet that comes next.
    pub next: u32,
    /// Octets of the current frame that are to come.
    pub left: u32,
    /// How many of them are to be shipped.
    pub give: u32,
    /// A packet was seen.
    pub begun: u8,
    /// The position is not known.
    pub lost: u8,
    /// The last packet ended a write.
    pub pushed: u8,
    /// Octets in `octets`.
    pub have: u8,
    /// Packets while the position was not known.
    pub strays: u8,
    /// Frames of CONTINUATION since another one.
    pub continued: u8,
    pub pad: [u8; 2],
    /// A frame header that lies in two packets; the second half is room for the verifier.
    pub octets: [u8; 32],
}

/// State of one TCP socket. Zero is the state of a socket about which nothing is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Socket {
    /// `VERDICT_*`.
    pub verdict: u8,
    /// `ROLE_*`.
    pub role: u8,
    /// The handshake was observed.
    pub syn_seen: u8,
    /// `cookie`, addresses and seed were looked up.
    pub known: u8,
    /// An `Open` record was written.
    pub opened: u8,
    /// Direction of the last payload: 1 ingress, 2 egress, 0 none yet.
    pub last_direction: u8,
    /// How often a dismissal has expired.
    pub expiries: u8,
    /// Beginnings that told nothing: empty lines, or capitals without an end.
    pub odd_starts: u8,
    /// Bytes in `first`.
    pub first_len: u8,
    /// Their direction: 1 ingress, 2 egress.
    pub first_direction: u8,
    /// Requests were seen that did not wait for answers.
    pub pipelines: u8,
    /// What is being answered is a stream of events.
    pub events: u8,
    /// The first payload while it is too short to tell what it is; the second half is room for the verifier.
    pub first: [u8; 2 * PREFIX],
    /// Direction turns.
    pub turns: u32,
    /// Process that called `connect`: on this socket if it is the client's, else on its local peer.
    pub client_tgid: u32,
    /// User of that process.
    pub client_uid: u32,
    /// First sequence number of the client's stream.
    pub client_isn: u32,
    /// First sequence number of the server's stream.
    pub server_isn: u32,
    /// Payload bytes copied since the last turn, by direction.
    pub copied: [u32; 2],
    /// Sequence number of the first byte that was skipped and not yet reported, by direction.
    pub skipped_from: [u32; 2],
    /// Bytes skipped and not yet reported, by direction.
    pub skipped_len: [u32; 2],
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// What is left of a body that is given whole; see [`crate::samples`].
    pub sample: u32,
    /// When the last of the skipped bytes was seen, by direction.
    pub skipped_at: [u64; 2],
    /// Of HTTP/2, by direction.
    pub frames: [Frames; 2],
    /// Bytes, with IP headers, that were not read.
    pub opaque: u64,
    /// When they reach this, they are reported.
    pub report_at: u64,
    /// Kernel socket cookie.
    pub cookie: u64,
    /// Cookie of the client's socket.
    pub client_cookie: u64,
    /// cgroup of the process that called `connect`.
    pub client_cgroup: u64,
    /// Namespace cookie of this socket.
    pub netns_cookie: u64,
    /// Namespace cookie of the client's socket.
    pub client_netns_cookie: u64,
    /// `comm` of the process that called `connect`.
    pub client_comm: [u8; 16],
    /// Local address, IPv4 as mapped.
    pub local_addr: [u8; 16],
    /// Remote address, IPv4 as mapped.
    pub remote_addr: [u8; 16],
}

#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

/// What user space knows about connections older than us, and verdicts it has revised, by cookie.
#[btf_map]
pub static SEED: LruHashMap<u64, Seed, 131_072> = LruHashMap::new();

/// The server's end is on this node too, and captures the connection.
pub const SERVED: u64 = 1;
/// So it is, but its first payload came before it had a socket: the client's end captures the connection.
pub const DEFERRED: u64 = 2;

/// The client's end of a handshake, by its two sequence numbers, which neither NAT nor namespaces change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Caller {
    /// Cookie of the client's socket.
    pub cookie: u64,
    /// cgroup of the process that called `connect`.
    pub cgroup: u64,
    /// Namespace cookie.
    pub netns_cookie: u64,
    /// Process that called `connect`.
    pub tgid: u32,
    /// Its user.
    pub uid: u32,
    /// Its `comm`.
    pub comm: [u8; 16],
    /// Where the connection is captured: [`SERVED`], [`DEFERRED`], or 0 while only the client's end is known.
    pub served: u64,
}

/// Handshakes in progress and connections lately begun.
#[btf_map]
pub static CALLERS: LruHashMap<u64, Caller, 65_536> = LruHashMap::new();

/// Key of a connection in [`CALLERS`].
#[inline(always)]
pub fn caller_key(client_isn: u32, server_isn: u32) -> u64 {
    (client_isn as u64) << 32 | server_isn as u64
}

/// The state of `sk`, if it has one.
#[inline(always)]
pub fn find(sk: *mut bpf_sock) -> Option<&'static mut Socket> {
    storage(sk, 0)
}

/// The state of `sk`, made when it has none; `None` is counted.
#[inline(always)]
pub fn find_or_create(sk: *mut bpf_sock) -> Option<&'static mut Socket> {
    let found = storage(sk, BPF_SK_STORAGE_GET_F_CREATE as u64);
    if found.is_none() {
        crate::counters::add(counter::LOST_STATE, 1);
    }
    found
}

#[inline(always)]
fn storage(sk: *mut bpf_sock, flags: u64) -> Option<&'static mut Socket> {
    let map = (&raw const SOCKETS).cast_mut();
    // SAFETY: the verifier has checked `sk`; the storage stays valid while the program runs, and is
    // shared only with programs that tolerate torn statistics.
    unsafe {
        let state = bpf_sk_storage_get(map.cast(), sk.cast(), core::ptr::null_mut(), flags).cast::<Socket>();
        state.as_mut()
    }
}
