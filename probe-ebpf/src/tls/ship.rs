//! Writes plaintext records: what a budget per message allows, and the length of the rest.

use super::session::{EGRESS, INGRESS, Session};
use crate::classify::{chunk_head, is_event, is_message, is_status_line};
use crate::counters::add;
use crate::events;
use crate::ring::{reserve, submit};
use crate::samples;
use crate::socket::SEED;
use apisec_abi::{
    FLAG_EGRESS, FLAG_SYN_SEEN, KIND_TLS_DATA, KIND_TLS_TOLD, MAX_PAYLOAD, TLS_CLASSES, TlsData,
    VERDICT_MESSAGES, counter,
};
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_ns, bpf_probe_read_user},
};

const HEADER: usize = size_of::<TlsData>();
const PREFACE: u64 = u64::from_le_bytes(*b"PRI * HT");

/// Plaintext copied between two turns, bytes: of what was asked, and of what was answered.
const REQUEST_BUDGET: u32 = 8192;
const ANSWER_BUDGET: u32 = 4096;
/// The same of a session of HTTP/2 in a moment, which has 2^26 ns (67 ms): 16 MB/s of what is asked, four times as much of what
/// is answered, which nobody floods with from outside.
const MOMENT: u32 = 26;
const MOST_ASKED: u32 = 1 << 20;
const MOST_ANSWERED: u32 = 4 << 20;
/// Of a certificate so much is copied: its subject stands at the beginning.
const MAX_TOLD: u32 = 2048;

/// `len` bytes (more than 0) at `buffer` went in or out.
#[inline(always)]
pub fn plaintext(object: u64, session: &mut Session, direction: usize, buffer: u64, len: u32) {
    let direction = direction & 1;
    let seq = session.position[direction];
    session.position[direction] = seq.wrapping_add(len);
    let here = direction as u8 + 1;
    if session.last != here {
        session.last = here;
        if session.whole == 0 {
            session.copied[direction] = 0;
        }
        session.events = 0;
        if samples::on() {
            session.sample = 0;
        }
        if session.first == 0 {
            session.first = here;
        }
    }
    if seq == 0 && word(buffer) == PREFACE {
        session.whole = 1;
        session.first = here;
    } else if seq == 0 && begins_settings(word(buffer)) {
        // A server of HTTP/2 may speak first; of rustls the preface may have been read at another address.
        session.whole = 1;
        session.first = (here ^ 3) & 3;
    }
    let wanted = wanted(session, direction, buffer, len);
    session.copied[direction] += wanted;
    let head = TlsData {
        kind: KIND_TLS_DATA,
        flags: (if direction == EGRESS { FLAG_EGRESS } else { 0 })
            | if session.fresh == 1 { FLAG_SYN_SEEN } else { 0 },
        pad: [0; 2],
        captured: 0,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        session: object,
        born: session.born,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        seq,
        total: len,
        pad2: 0,
    };
    write(head, buffer, wanted);
}

/// What a library has told of a session: `len` bytes at `buffer`.
#[inline(always)]
pub fn told(object: u64, session: &Session, what: u8, buffer: u64, len: u32) {
    let head = TlsData {
        kind: KIND_TLS_TOLD,
        flags: what,
        pad: [0; 2],
        captured: 0,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        session: object,
        born: session.born,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        seq: 0,
        total: len,
        pad2: 0,
    };
    write(head, buffer, if len < MAX_TOLD { len } else { MAX_TOLD });
}

/// How much of it is copied.
#[inline(always)]
fn wanted(session: &mut Session, direction: usize, buffer: u64, len: u32) -> u32 {
    let most = MAX_PAYLOAD as u32;
    let asks = session.first == direction as u8 + 1;
    // What goes over an unknown connection may be one of HTTP/2 (rustls, where the state has moved).
    if session.whole == 1 || (session.cookie == 0 && session.position[direction] < MOST_ASKED) {
        return in_a_moment(session, direction, asks, if len < most { len } else { most });
    }
    let budget = if asks { REQUEST_BUDGET } else { ANSWER_BUDGET };
    let mut room = budget.saturating_sub(session.copied[direction]);
    if len > room {
        let first = word(buffer);
        if is_status_line(first) {
            // Answers to pipelined requests follow each other without a turn.
            session.copied[direction] = 0;
            room = budget;
            session.events = events::begin_at(buffer, len) as u8;
        }
        if are_messages(session, buffer, first, len) {
            session.copied[direction] = 0;
            return if len < most { len } else { most };
        }
    }
    if len > room && samples::on() {
        let [own, peer] = session.ports;
        let port = if session.first == EGRESS as u8 + 1 { peer } else { own };
        if samples::take(&mut session.sample, port, len, room != 0) {
            room = most;
        }
    }
    if len < room { len } else { room }
}

/// Whether these eight octets, in memory order, begin a short frame of SETTINGS, which every server of HTTP/2 sends first.
#[inline(always)]
fn begins_settings(first: u64) -> bool {
    const SETTINGS: u64 = u64::from_le_bytes([0, 0, 0, 4, 0, 0, 0, 0]);
    const LENGTH_AND_ACK: u64 = u64::from_le_bytes([0, 0, 0xff, 0, 1, 0, 0, 0]);
    first & !LENGTH_AND_ACK == SETTINGS
}

/// What a session of HTTP/2 may ship, all of which is wanted: no flood shall take the ring from others.
#[inline(always)]
fn in_a_moment(session: &mut Session, direction: usize, asks: bool, wanted: u32) -> u32 {
    // SAFETY: no preconditions.
    let moment = (unsafe { bpf_ktime_get_ns() } >> MOMENT) as u32;
    if session.moment != moment {
        session.moment = moment;
        session.copied = [0; 2];
    }
    let most = if asks { MOST_ASKED } else { MOST_ANSWERED };
    if session.copied[direction] >= most {
        add(counter::LOST_TLS_FLOOD, 1);
        return 0;
    }
    wanted
}

/// Whether what goes over a session are messages, which come without turns: each has a budget of its own. As in the capture
/// hook, user space says so, and until it has, what begins like one is believed.
#[inline(always)]
fn are_messages(session: &mut Session, buffer: u64, first: u64, len: u32) -> bool {
    if session.events == 0 {
        let head = chunk_head(first);
        let line = if head == 0 { first } else { word(buffer + head as u64) };
        session.events = is_event(line) as u8;
    }
    // SAFETY: the value is read at once.
    let said = unsafe { SEED.get(&session.cookie) }.is_some_and(|seed| seed.verdict == VERDICT_MESSAGES);
    session.events == 1 || is_message(first, len) || said
}

/// The first eight bytes at an address of the program; 0 when they cannot be read.
#[inline(always)]
pub fn word(at: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, at as *const _) };
    value
}

#[inline(always)]
fn write(head: TlsData, buffer: u64, wanted: u32) {
    const C: [usize; 5] = TLS_CLASSES;
    if wanted <= C[0] as u32 {
        copy::<{ HEADER + C[0] }>(head, buffer, wanted);
    } else if wanted <= C[1] as u32 {
        copy::<{ HEADER + C[1] }>(head, buffer, wanted);
    } else if wanted <= C[2] as u32 {
        copy::<{ HEADER + C[2] }>(head, buffer, wanted);
    } else if wanted <= C[3] as u32 {
        copy::<{ HEADER + C[3] }>(head, buffer, wanted);
    } else {
        copy::<{ HEADER + C[4] }>(head, buffer, wanted);
    }
}

#[inline(always)]
fn copy<const N: usize>(mut head: TlsData, buffer: u64, wanted: u32) {
    let Some(record) = reserve::<N>(counter::LOST_TLS_RING_FULL) else { return };
    // The volatile read keeps the compiler from dropping the bounds that the verifier wants to see.
    // SAFETY: the record holds the header and `N - HEADER` bytes after it; the helper checks the address.
    unsafe {
        let len = core::ptr::read_volatile(&raw const wanted);
        if len <= (N - HEADER) as u32 {
            if bpf_probe_read_user(record.cast::<u8>().add(HEADER).cast(), len, buffer as *const _) == 0 {
                head.captured = len;
            } else {
                add(counter::LOST_TLS_COPY, 1);
            }
        }
        record.cast::<TlsData>().write(head);
    }
    submit(record);
}

const _: () = assert!(INGRESS == 0 && EGRESS == 1);
