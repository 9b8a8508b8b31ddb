#![no_std]
//! The records that cross the kernel boundary, shared by the kernel programs and user space.
//!
//! Everything here is `repr(C)`, made of integers and byte arrays, with explicit padding; size and
//! alignment are asserted below. No `Option`, no `bool`, no `enum`: any bit pattern must be a value.
//! What the fields mean is said here once; how they are produced is in `probe-ebpf/src`.

pub mod enforce;

/// Record is a [`DataHeader`] followed by `captured` bytes.
pub const KIND_DATA: u8 = 1;
/// Record is an [`Open`]: a connection was recognised as HTTP; who is at its ends.
pub const KIND_OPEN: u8 = 2;
/// Record is an [`Exec`]: a process image was started.
pub const KIND_EXEC: u8 = 3;
/// Record is an [`Exit`]: the last thread of a process ended.
pub const KIND_EXIT: u8 = 4;
/// Record is a [`TlsData`] followed by `captured` bytes.
pub const KIND_TLS_DATA: u8 = 5;
/// Record is a [`TlsTie`]: which connection a TLS session goes over.
pub const KIND_TLS_TIE: u8 = 6;
/// Record is a [`TlsEnd`]: a TLS session was given up by its program.
pub const KIND_TLS_END: u8 = 7;
/// Record is an [`OpaqueBytes`]: how much a connection that is not read has carried.
pub const KIND_OPAQUE: u8 = 8;
/// Record is a [`TlsData`] followed by `captured` bytes: what a library has told of a session, [`TOLD_ALPN`] and so on in `flags`.
pub const KIND_TLS_TOLD: u8 = 9;

/// [`DataHeader::flags`]: the packet left the socket (egress); otherwise it arrived at it.
pub const FLAG_EGRESS: u8 = 1;
/// [`DataHeader::flags`]: the segment carried FIN.
pub const FLAG_FIN: u8 = 2;
/// [`DataHeader::flags`]: the segment carried RST.
pub const FLAG_RST: u8 = 4;
/// [`DataHeader::flags`]: the handshake of this connection was observed.
pub const FLAG_SYN_SEEN: u8 = 8;
/// [`DataHeader::flags`]: `total` covers earlier bytes that were skipped, not only this packet.
pub const FLAG_SKIPPED: u8 = 16;
/// [`DataHeader::flags`]: a beginning of a TLS handshake, in clear, not payload of an application.
pub const FLAG_HANDSHAKE: u8 = 32;
/// [`TlsTie::flags`]: the socket was used inside the library, and is surely the session's.
pub const FLAG_INSIDE: u8 = 1;

/// [`TlsData::flags`] of a [`KIND_TLS_TOLD`]: the protocol that was agreed on.
pub const TOLD_ALPN: u8 = 1;
/// The same: the certificate that this end shows (DER).
pub const TOLD_OWN: u8 = 2;
/// The same: the certificate that its peer shows (DER).
pub const TOLD_PEER: u8 = 4;

/// Which end of the connection the probed socket is.
pub const ROLE_UNKNOWN: u8 = 0;
/// The probed socket accepted the connection.
pub const ROLE_SERVER: u8 = 1;
/// The probed socket opened the connection.
pub const ROLE_CLIENT: u8 = 2;

/// Per-socket verdict: nothing decided yet.
pub const VERDICT_UNDECIDED: u8 = 0;
/// HTTP/1.x: heads are shipped.
pub const VERDICT_HTTP1: u8 = 1;
/// Not a protocol that we read: dismissed.
pub const VERDICT_DISMISSED: u8 = 2;
/// TLS records: opaque here, counted.
pub const VERDICT_TLS: u8 = 3;
/// HTTP/2 preface: opaque here, counted.
pub const VERDICT_HTTP2: u8 = 4;
/// Our own socket: never captured.
pub const VERDICT_OURS: u8 = 5;
/// The other end is on this node and is captured there.
pub const VERDICT_PEER_COVERED: u8 = 6;
/// Messages behind an upgrade, or a stream of events: every packet is shipped, up to a bound.
pub const VERDICT_MESSAGES: u8 = 9;
/// A UDP socket that speaks QUIC.
pub const VERDICT_QUIC: u8 = 10;
/// TLS whose handshake is being shipped; becomes [`VERDICT_TLS`].
pub const VERDICT_TLS_HELLO: u8 = 7;

/// Captured payload classes, in bytes: a record reserves the smallest that fits. The first two make
/// whole records of 256 and 512 bytes: most heads fit them.
pub const PAYLOAD_CLASSES: [usize; 5] = [184, 440, 2048, 8192, 16384];
/// Largest payload of one record.
pub const MAX_PAYLOAD: usize = 16384;

/// TCP payload seen at a probed socket; `captured` bytes follow the header.
///
/// `seq` is the TCP sequence number of the first of `total` payload bytes (host order).
/// Addresses are IPv6 or IPv4-mapped, in network order; ports in host order. `at` is nanoseconds of
/// `CLOCK_MONOTONIC`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// [`KIND_DATA`].
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// `ROLE_*` of the probed socket.
    pub role: u8,
    /// Zero.
    pub pad: u8,
    /// Bytes that follow this header.
    pub captured: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// Kernel socket cookie of the probed socket.
    pub cookie: u64,
    /// Sequence number of the first byte.
    pub seq: u32,
    /// Payload bytes that this record stands for.
    pub total: u32,
    /// Address of the probed socket.
    pub local_addr: [u8; 16],
    /// Address of its peer.
    pub remote_addr: [u8; 16],
    /// Port of the probed socket.
    pub local_port: u16,
    /// Port of its peer.
    pub remote_port: u16,
    /// Zero.
    pub pad2: u32,
}

/// Who is at the ends of a connection, as far as the kernel knew when it was recognised as HTTP.
/// Zero means unknown in every field.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// [`KIND_OPEN`].
    pub kind: u8,
    /// `FLAG_SYN_SEEN` or 0.
    pub flags: u8,
    /// `ROLE_*` of the probed socket.
    pub role: u8,
    /// `VERDICT_*` at this moment.
    pub verdict: u8,
    /// Process that called `connect`, when it is on this node.
    pub client_tgid: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// Cookie of the probed socket.
    pub cookie: u64,
    /// Cookie of the client's socket when that is on this node too.
    pub client_cookie: u64,
    /// cgroup v2 id of the probed socket.
    pub cgroup: u64,
    /// Network namespace cookie of the probed socket.
    pub netns_cookie: u64,
    /// Network namespace cookie of the client's socket when it is on this node.
    pub client_netns_cookie: u64,
    /// cgroup v2 id of the process that called `connect`.
    pub client_cgroup: u64,
    /// User id of the process that called `connect`.
    pub client_uid: u32,
    /// Sequence numbers after the handshake, which NAT does not change: client's, then server's.
    pub client_isn: u32,
    /// See `client_isn`.
    pub server_isn: u32,
    /// Zero.
    pub pad2: u32,
    /// `comm` of the process that called `connect`, NUL padded.
    pub client_comm: [u8; 16],
    /// As in [`DataHeader`].
    pub local_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub remote_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub local_port: u16,
    /// As in [`DataHeader`].
    pub remote_port: u16,
    /// Zero.
    pub pad3: u32,
}

/// Bytes of command line that an [`Exec`] carries.
pub const EXEC_ARGS: usize = 256;

/// A process image was started (`sched_process_exec`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// [`KIND_EXEC`].
    pub kind: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// Thread group id.
    pub tgid: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// cgroup v2 id.
    pub cgroup: u64,
    /// User id.
    pub uid: u32,
    /// Bytes of `args` that are valid; 0 when the kernel gave no way to read them.
    pub args_len: u32,
    /// `comm`, NUL padded.
    pub comm: [u8; 16],
    /// The first bytes of the command line, arguments separated by NUL.
    pub args: [u8; EXEC_ARGS],
}

/// A process ended (`sched_process_exit` of the group leader).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// [`KIND_EXIT`].
    pub kind: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// Thread group id.
    pub tgid: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
}

/// Plaintext that a TLS library took or gave, in a program that we probe; `captured` bytes follow.
///
/// `seq` is the position in the plaintext of this direction, counted from 0 at the first byte that was
/// seen of the session, modulo 2^32.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsData {
    /// [`KIND_TLS_DATA`].
    pub kind: u8,
    /// `FLAG_EGRESS`: written by the program; `FLAG_SYN_SEEN`: the session was seen from its handshake on.
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 2],
    /// Bytes that follow.
    pub captured: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// The session, unique in its process while it lives: the address of the library's object.
    pub session: u64,
    /// When the session was first seen, monotonic nanoseconds: tells it from a later one at the same address.
    pub born: u64,
    /// Thread group id.
    pub tgid: u32,
    /// Position of the first byte.
    pub seq: u32,
    /// Plaintext bytes that this record stands for.
    pub total: u32,
    /// Zero.
    pub pad2: u32,
}

/// The TCP connection that a TLS session goes over, as seen from its process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsTie {
    /// [`KIND_TLS_TIE`].
    pub kind: u8,
    /// `FLAG_INSIDE` or 0.
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 2],
    /// Thread group id.
    pub tgid: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// As in [`TlsData`].
    pub session: u64,
    /// As in [`TlsData`].
    pub born: u64,
    /// Kernel socket cookie.
    pub cookie: u64,
    /// As in [`DataHeader`].
    pub local_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub remote_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub local_port: u16,
    /// As in [`DataHeader`].
    pub remote_port: u16,
    /// Zero.
    pub pad2: u32,
}

/// A TLS session was given up by its program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsEnd {
    /// [`KIND_TLS_END`].
    pub kind: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// Thread group id.
    pub tgid: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// As in [`TlsData`].
    pub session: u64,
    /// As in [`TlsData`].
    pub born: u64,
}

/// How much a connection that is not read has carried until now.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaqueBytes {
    /// [`KIND_OPAQUE`].
    pub kind: u8,
    /// `FLAG_FIN`: it ends.
    pub flags: u8,
    /// `ROLE_*` of the probed socket.
    pub role: u8,
    /// `VERDICT_*`.
    pub verdict: u8,
    /// Zero.
    pub pad: u32,
    /// Monotonic nanoseconds.
    pub at: u64,
    /// Cookie of the probed socket.
    pub cookie: u64,
    /// Bytes of both directions, with IP headers.
    pub bytes: u64,
    /// As in [`DataHeader`].
    pub local_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub remote_addr: [u8; 16],
    /// As in [`DataHeader`].
    pub local_port: u16,
    /// As in [`DataHeader`].
    pub remote_port: u16,
    /// Zero.
    pub pad2: u32,
}

/// Payload classes of [`TlsData`] records, as [`PAYLOAD_CLASSES`] are of [`DataHeader`] records.
pub const TLS_CLASSES: [usize; 5] = [208, 464, 2048, 8192, 16384];

/// What user space tells the kernel about a connection that was open before us (map `SEED`, by cookie).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// `ROLE_*` of the socket.
    pub role: u8,
    /// `VERDICT_UNDECIDED`, or `VERDICT_PEER_COVERED` for the client's side of a local pair.
    pub verdict: u8,
    /// Zero.
    pub pad: [u8; 6],
}

/// Bytes of a body that is wanted whole, about: the packet that goes beyond it is the last.
pub const SAMPLE_BYTES: u32 = 64 << 10;

/// Index into the per-CPU counter map `COUNTERS`; see [`COUNTER_NAMES`]. What user space can add up from
/// the records themselves is not counted here: a counter costs every packet.
pub mod counter {
    /// Payload records that did not fit the ring.
    pub const LOST_RING_FULL: u32 = 0;
    /// Identity and lifecycle records that did not fit the ring.
    pub const LOST_IDENTITY: u32 = 1;
    /// Payload that could not be copied out of the packet.
    pub const LOST_COPY: u32 = 2;
    /// Per-socket state that could not be allocated.
    pub const LOST_STATE: u32 = 3;
    /// Connections dismissed as not HTTP.
    pub const DISMISSED: u32 = 4;
    /// Dismissals that expired at a direction turn because the handshake was not seen.
    pub const DISMISSAL_EXPIRED: u32 = 5;
    /// Connections recognised as HTTP/1.
    pub const CONNS_HTTP1: u32 = 6;
    /// Connections recognised as TLS.
    pub const CONNS_TLS: u32 = 7;
    /// Connections recognised as HTTP/2.
    pub const CONNS_HTTP2: u32 = 8;
    /// Bytes of TLS connections, with their IP headers.
    pub const BYTES_TLS: u32 = 9;
    /// Bytes of HTTP/2 connections, with their IP headers.
    pub const BYTES_HTTP2: u32 = 10;
    /// Bytes of dismissed connections, with their IP headers.
    pub const BYTES_DISMISSED: u32 = 11;
    /// Bytes of QUIC, with their IP headers, which are not read.
    pub const BYTES_QUIC: u32 = 12;
    /// IPv6 packets whose extension headers were too many to walk.
    pub const UNWALKED_HEADERS: u32 = 13;
    /// Plaintext of TLS that could not be copied from its program.
    pub const LOST_TLS_COPY: u32 = 14;
    /// Sessions and threads in TLS whose state could not be kept.
    pub const LOST_TLS_STATE: u32 = 15;
    /// Plaintext records of TLS that did not fit the ring.
    pub const LOST_TLS_RING_FULL: u32 = 16;
    /// First payload of connections whose server accepts late (TCP_DEFER_ACCEPT), and whose client is elsewhere.
    pub const LOST_DEFERRED: u32 = 17;
    /// Bytes sent over unix sockets, which are not read.
    pub const BYTES_UNIX: u32 = 18;
    /// Bodies that were given beyond the budget, on request.
    pub const BODIES_SAMPLED: u32 = 19;
    /// Plaintext of sessions of HTTP/2 beyond what one of them may ship in a moment.
    pub const LOST_TLS_FLOOD: u32 = 20;
    /// Number of counters.
    pub const COUNT: u32 = 21;
}

/// Names of the counters, by index.
pub const COUNTER_NAMES: [&str; counter::COUNT as usize] = [
    "lost_ring_full",
    "lost_identity",
    "lost_copy",
    "lost_state",
    "dismissed",
    "dismissal_expired",
    "conns_http1",
    "conns_tls",
    "conns_http2",
    "bytes_tls",
    "bytes_http2",
    "bytes_dismissed",
    "bytes_quic",
    "unwalked_headers",
    "lost_tls_copy",
    "lost_tls_state",
    "lost_tls_ring_full",
    "lost_deferred",
    "bytes_unix",
    "bodies_given",
    "lost_tls_flood",
];

const _: () = assert!(size_of::<DataHeader>() == 72 && align_of::<DataHeader>() == 8);
const _: () = assert!(size_of::<Open>() == 136 && align_of::<Open>() == 8);
const _: () = assert!(size_of::<Exec>() == 304 && align_of::<Exec>() == 8);
const _: () = assert!(size_of::<Exit>() == 16 && align_of::<Exit>() == 8);
const _: () = assert!(size_of::<Seed>() == 8);
const _: () = assert!(size_of::<TlsData>() == 48 && align_of::<TlsData>() == 8);
const _: () = assert!(size_of::<TlsTie>() == 80 && align_of::<TlsTie>() == 8);
const _: () = assert!(size_of::<OpaqueBytes>() == 72 && align_of::<OpaqueBytes>() == 8);
const _: () = assert!(size_of::<TlsEnd>() == 32 && align_of::<TlsEnd>() == 8);
