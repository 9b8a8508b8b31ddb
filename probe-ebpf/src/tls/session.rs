//! What is remembered of a TLS session, by its process and the address of the library's object.

use crate::ring::{reserve, submit};
use apisec_abi::{KIND_TLS_END, TlsEnd, counter};
use aya_ebpf::{
    btf_maps::LruHashMap,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns},
    macros::btf_map,
};

/// Plaintext that the program reads.
pub const INGRESS: usize = 0;
/// Plaintext that the program writes.
pub const EGRESS: usize = 1;

/// A TLS session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Session {
    /// When it was first seen.
    pub born: u64,
    /// The connection it goes over, 0 unknown.
    pub cookie: u64,
    /// Its socket (kernel address), while the cookie is not 0.
    pub socket: u64,
    /// Plaintext position, by direction.
    pub position: [u32; 2],
    /// Plaintext copied since the last turn, by direction.
    pub copied: [u32; 2],
    /// Seen from its handshake on.
    pub fresh: u8,
    /// The library itself reads the socket, inside its calls.
    pub inside: u8,
    /// Direction of the last plaintext: 1 + direction, 0 none yet.
    pub last: u8,
    /// Direction of the first plaintext, likewise.
    pub first: u8,
    /// It carries HTTP/2: nothing may be missing.
    pub whole: u8,
    /// What the library has told of it, `TOLD_*`.
    pub told: u8,
    /// What is being answered is a stream of events.
    pub events: u8,
    /// Zero.
    pub pad: u8,
    /// What is left of a body that is given whole; see [`crate::samples`].
    pub sample: u32,
    /// Ports of its socket, where it is known: our own, and the peer's.
    pub ports: [u16; 2],
    /// The moment that `copied` is of, of a session of HTTP/2.
    pub moment: u32,
}

/// Sessions in use.
#[btf_map]
static SESSIONS: LruHashMap<[u64; 2], Session, 65_536> = LruHashMap::new();

#[inline(always)]
fn key(object: u64) -> [u64; 2] {
    [object, bpf_get_current_pid_tgid() >> 32]
}

#[inline(always)]
fn begin(object: u64, fresh: u8) -> Option<*mut Session> {
    let new = Session {
        // SAFETY: no preconditions.
        born: unsafe { bpf_ktime_get_ns() },
        cookie: 0,
        socket: 0,
        position: [0; 2],
        copied: [0; 2],
        fresh,
        inside: 0,
        last: 0,
        first: 0,
        whole: 0,
        told: 0,
        events: 0,
        pad: 0,
        sample: 0,
        ports: [0; 2],
        moment: 0,
    };
    let key = key(object);
    if SESSIONS.insert(&key, &new, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
    SESSIONS.get_ptr_mut(&key)
}

/// The session of the library's object, remembered from now on.
#[inline(always)]
pub fn of(object: u64) -> Option<&'static mut Session> {
    let found = SESSIONS.get_ptr_mut(&key(object)).or_else(|| begin(object, 0));
    // SAFETY: libraries forbid two threads in one session; the entry is ours while the call lasts.
    found.map(|session| unsafe { &mut *session })
}

/// The session of the library's object, if it is remembered.
#[inline(always)]
pub fn known(object: u64) -> Option<&'static mut Session> {
    // SAFETY: as for [`of`].
    SESSIONS.get_ptr_mut(&key(object)).map(|session| unsafe { &mut *session })
}

/// Another session at the same address.
#[inline(always)]
pub fn renew(object: u64) -> Option<&'static mut Session> {
    // SAFETY: as for [`of`].
    begin(object, 0).map(|session| unsafe { &mut *session })
}

/// A handshake of a session begins or goes on.
#[inline(always)]
pub fn greet(object: u64) {
    if SESSIONS.get_ptr(&key(object)).is_none() {
        begin(object, 1);
    }
}

/// The session is given up.
#[inline(always)]
pub fn end(object: u64) {
    let key = key(object);
    // SAFETY: the value is copied at once.
    let Some(session) = (unsafe { SESSIONS.get(&key) }) else { return };
    let born = session.born;
    let spoke = session.last != 0;
    let _ = SESSIONS.remove(&key);
    if !spoke {
        return;
    }
    let Some(record) = reserve::<{ size_of::<TlsEnd>() }>(counter::LOST_IDENTITY) else { return };
    // SAFETY: the record holds a `TlsEnd`; no preconditions for the clock.
    unsafe {
        record.cast::<TlsEnd>().write(TlsEnd {
            kind: KIND_TLS_END,
            pad: [0; 3],
            tgid: key[1] as u32,
            at: bpf_ktime_get_ns(),
            session: object,
            born,
        });
    }
    submit(record);
}
