//! rustls, in the two functions that all plaintext passes, whatever a program reads and writes with:
//! `CommonState::take_received_plaintext` and `CommonState::buffer_plaintext`. The address of the state is the session.
//!
//! rustls moves no bytes itself: the program reads the socket just before it decrypts, and writes to it just after it
//! encrypted. So a session is tied to the socket that its thread read last, or that it uses next after a write. An
//! address is used again by the next connection: when the socket of a session is gone, so is the session.
//!
//! Asynchronous programs move the state when the handshake is over, and what the client sent with its end was decrypted at the
//! old address by then: that a connection speaks HTTP/2 is therefore kept by its socket.
//!
//! Layouts are those of rustls 0.23: `Payload` and `OutboundChunks` are three and four words, passed by address.

use super::session::{self, EGRESS, INGRESS, Session};
use super::threads::{self, THREADS, Thread};
use super::{ship, tie};
use apisec_abi::counter;
use aya_ebpf::{
    btf_maps::LruHashMap,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_map, uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};

/// Pieces of one vectored write that are read; those beyond are counted.
const MAX_PIECES: u64 = 6;

/// A write that is running: whose, and where in its plaintext it began.
#[repr(C)]
#[derive(Clone, Copy)]
struct Write {
    state: u64,
    position: u64,
}

/// Writes by pid and tgid.
#[btf_map]
static RUSTLS: LruHashMap<u64, Write, 16_384> = LruHashMap::new();

/// Connections that began with the preface of HTTP/2, by socket cookie.
#[btf_map]
static HTTP2: LruHashMap<u64, u64, 16_384> = LruHashMap::new();

/// `take_received_plaintext(&mut CommonState, Payload)`: a record was decrypted.
#[uprobe]
pub fn apisec_tls_rured(ctx: ProbeContext) -> u32 {
    let (Some(state), Some(payload)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    let (buffer, len) = (ship::word(payload + 8), ship::word(payload + 16));
    if len == 0 || len > u32::MAX as u64 {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    let Some(session) = current(state) else { return 0 };
    settle(thread.socket, state, session);
    let first = session.position[INGRESS] == 0;
    ship::plaintext(state, session, INGRESS, buffer, len as u32);
    if first && session.whole == 1 && session.cookie != 0 {
        keep(session.cookie, state);
    }
    0
}

/// `buffer_plaintext(&mut CommonState, OutboundChunks, _) -> usize`: plaintext is about to be encrypted.
#[uprobe]
pub fn apisec_tls_ruwro(ctx: ProbeContext) -> u32 {
    let (Some(state), Some(chunks)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    let Some(thread) = thread() else { return 0 };
    let Some(session) = current(state) else { return 0 };
    thread.wrote = if session.cookie == 0 { state } else { 0 };
    let write = Write { state, position: session.position[EGRESS] as u64 };
    if RUSTLS.insert(&bpf_get_current_pid_tgid(), &write, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
    let first = ship::word(chunks);
    if first == 0 {
        piece(state, session, ship::word(chunks + 8), ship::word(chunks + 16));
    } else {
        pieces(state, session, first, chunks);
    }
    0
}

/// So much of it was taken; the rest comes again.
#[uretprobe]
pub fn apisec_tls_rutak(ctx: RetProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied at once.
    let Some(write) = (unsafe { RUSTLS.get(&id) }).copied() else { return 0 };
    let _ = RUSTLS.remove(&id);
    if let Some(session) = session::of(write.state) {
        session.position[EGRESS] = (write.position + ctx.ret::<u64>()) as u32;
    }
    0
}

/// `OutboundChunks::Multiple`: slices, of which the bytes between two positions are meant.
#[inline(always)]
fn pieces(state: u64, session: &mut Session, slices: u64, chunks: u64) {
    let count = ship::word(chunks + 8);
    let mut skip = ship::word(chunks + 16);
    let mut left = ship::word(chunks + 24).saturating_sub(skip);
    for index in 0..MAX_PIECES {
        if index >= count || left == 0 {
            return;
        }
        let at = slices + index * 16;
        let len = ship::word(at + 8);
        if skip >= len {
            skip -= len;
            continue;
        }
        let rest = len - skip;
        let len = if rest < left { rest } else { left };
        piece(state, session, ship::word(at) + skip, len);
        skip = 0;
        left -= len;
    }
    // What is not read is a gap of that length.
    piece(state, session, 0, left);
}

#[inline(always)]
fn piece(state: u64, session: &mut Session, buffer: u64, len: u64) {
    if len != 0 && len <= u32::MAX as u64 {
        ship::plaintext(state, session, EGRESS, buffer, len as u32);
    }
}

/// What this thread does, remembered from now on: sockets are noted only for threads that are known.
#[inline(always)]
fn thread() -> Option<&'static mut Thread> {
    let id = bpf_get_current_pid_tgid();
    if THREADS.get_ptr(&id).is_none() {
        threads::remember(
            id,
            &Thread { session: 0, buffer: 0, length_at: 0, socket: 0, before: 0, wrote: 0 },
        );
    } else {
        threads::mark(id);
    }
    // SAFETY: the entry belongs to this thread.
    THREADS.get_ptr_mut(&id).map(|thread| unsafe { &mut *thread })
}

/// The session at an address: another one when the socket of the last one is gone.
#[inline(always)]
fn current(state: u64) -> Option<&'static mut Session> {
    let session = session::of(state)?;
    if session.cookie == 0 || tie::is_open(session.socket, session.cookie) {
        return Some(session);
    }
    session::renew(state)
}

/// A connection speaks HTTP/2, wherever its state is later.
#[inline(always)]
fn keep(cookie: u64, state: u64) {
    if HTTP2.insert(&cookie, &state, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
}

/// Ties a session that has no socket yet.
#[inline(always)]
pub fn settle(socket: u64, state: u64, session: &mut Session) {
    if session.cookie == 0 && socket != 0 {
        tie::found(socket, state, session);
        if session.cookie != 0 && session.whole == 1 {
            keep(session.cookie, state);
        }
        // SAFETY: whether there is one is all that is asked.
        if session.cookie != 0 && unsafe { HTTP2.get(&session.cookie) }.is_some() {
            session.whole = 1;
        }
    }
}
