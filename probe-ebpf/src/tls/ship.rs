//! Writes plaintext records: what a budget per message allows, and the length of the rest.

use super::session::{EGRESS, INGRESS, Session};
use crate::classify::is_status_line;
use crate::counters::add;
use crate::ring::{reserve, submit};
use crate::samples;
use apisec_abi::{FLAG_EGRESS, FLAG_SYN_SEEN, KIND_TLS_DATA, MAX_PAYLOAD, TLS_CLASSES, TlsData, counter};
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_ns, bpf_probe_read_user},
};

const HEADER: usize = size_of::<TlsData>();
const PREFACE: u64 = u64::from_le_bytes(*b"PRI * HT");

/// Plaintext copied between two turns, bytes: of what was asked, and of what was answered.
const REQUEST_BUDGET: u32 = 8192;
const ANSWER_BUDGET: u32 = 4096;

/// `len` bytes (more than 0) at `buffer` went in or out.
#[inline(always)]
pub fn plaintext(object: u64, session: &mut Session, direction: usize, buffer: u64, len: u32) {
    let direction = direction & 1;
    let seq = session.position[direction];
    session.position[direction] = seq.wrapping_add(len);
    let here = direction as u8 + 1;
    if session.last != here {
        session.last = here;
        session.copied[direction] = 0;
        if samples::on() {
            session.sample = 0;
        }
        if session.first == 0 {
            session.first = here;
        }
    }
    if seq == 0 && word(buffer) == PREFACE {
        session.whole = 1;
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

/// How much of it is copied.
#[inline(always)]
fn wanted(session: &mut Session, direction: usize, buffer: u64, len: u32) -> u32 {
    let most = MAX_PAYLOAD as u32;
    if session.whole == 1 {
        session.copied[direction] = 0;
        return if len < most { len } else { most };
    }
    let asks = session.first == direction as u8 + 1;
    let budget = if asks { REQUEST_BUDGET } else { ANSWER_BUDGET };
    let mut room = budget.saturating_sub(session.copied[direction]);
    if len > room && is_status_line(word(buffer)) {
        // Answers to pipelined requests follow each other without a turn.
        session.copied[direction] = 0;
        room = budget;
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
