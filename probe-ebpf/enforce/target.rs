//! The path that a request asks for, in the two ways that servers read it; the pure model of both is
//! `engine/src/policy/target.rs`, and this does the same. What comes out are hashes of segments.

use crate::head::{lower, upper};
use crate::work::{self, GO_ON, STOP, Work, repeat};
use apisec_abi::enforce::{HASH_START, MAX_TARGET, PARTS, hash_byte};

/// What a target is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A path.
    Path,
    /// `*`: it asks for none.
    Star,
    /// It cannot be said.
    Undecided,
}

/// Puts the position behind scheme and authority.
#[inline(always)]
pub fn begin(place: u32) -> Kind {
    let Some(work) = work::at(place) else { return Kind::Undecided };
    let (from, end) = (work.target, work.target_end);
    if end <= from || end - from > MAX_TARGET as u32 {
        return Kind::Undecided;
    }
    work.special = 0;
    if work.byte(from) == b'/' {
        return Kind::Path;
    }
    if end - from == 1 && work.byte(from) == b'*' {
        return Kind::Star;
    }
    (work.at, work.value_state) = (from, 0);
    repeat(MAX_TARGET as u32, place, prefix_step);
    let Some(work) = work::at(place) else { return Kind::Undecided };
    if work.value_state != AUTHORITY {
        return Kind::Undecided;
    }
    work.target = work.at;
    Kind::Path
}

/// Slashes behind the scheme that are still to come, from 3; `AUTHORITY` behind them.
const AUTHORITY: u32 = 3;

unsafe extern "C" fn prefix_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let at = work.at;
    if at >= work.target_end {
        return STOP;
    }
    let byte = work.byte(at);
    if work.value_state == AUTHORITY {
        if byte == b'/' || byte == b'\\' || byte == b'?' || byte == b'#' {
            return STOP;
        }
        work.at = at + 1;
        return GO_ON;
    }
    work.at = at + 1;
    let letter = byte >= b'0' && byte <= b'9' || lower(byte) >= b'a' && lower(byte) <= b'z';
    match work.value_state {
        0 if letter || byte == b'+' || byte == b'-' || byte == b'.' => {}
        0 if byte == b':' && at > work.target => work.value_state = 1,
        1 if byte == b'/' => work.value_state = 2,
        2 if byte == b'/' => work.value_state = AUTHORITY,
        _ => {
            work.value_state = 9;
            return STOP;
        }
    }
    GO_ON
}

/// Reads the path: afterwards `segments` and `depth` are its segments.
#[inline(always)]
pub fn read(place: u32, lenient: bool, folded: bool) {
    let Some(work) = work::at(place) else { return };
    work.at = work.target;
    work.reading = lenient as u32;
    work.folded = folded as u32;
    (work.depth, work.parameters) = (0, 0);
    clear(work);
    repeat(MAX_TARGET as u32, place, path_step);
    if let Some(work) = work::at(place) {
        close(work);
    }
}

#[inline(always)]
fn clear(work: &mut Work) {
    (work.segment, work.segment_len, work.segment_dots) = (HASH_START, 0, 0);
}

/// The end of a segment: what it does to those before it.
#[inline(always)]
fn close(work: &mut Work) {
    let (length, dots) = (work.segment_len, work.segment_dots);
    if length == 2 && dots == 2 {
        if work.depth > 0 {
            work.depth -= 1;
        }
    } else if length > 0 && !(length == 1 && dots == 1) {
        let depth = work.depth;
        if depth < PARTS as u32 {
            work.segments[depth as usize & (2 * PARTS - 1)] = work.segment;
        }
        work.depth = depth + 1;
    }
    clear(work);
}

unsafe extern "C" fn path_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let (at, end) = (work.at, work.target_end);
    if at >= end {
        return STOP;
    }
    let lenient = work.reading != 0;
    let mut byte = work.byte(at);
    let mut length = 1;
    let mut border = byte == b'/';
    if byte == b'?' || (byte == b'#' && !lenient) {
        if byte == b'#' {
            work.special = 1;
        }
        return STOP;
    }
    if byte == b';' || byte == b'\\' {
        work.special = 1;
    }
    if byte == b';' && lenient {
        work.parameters = 1;
        work.at = at + 1;
        return GO_ON;
    }
    if byte == b'%' {
        work.special = 1;
        let escaped = pair(work, at + 1, end);
        if escaped < 256 {
            byte = escaped as u8;
            length = 3;
            if byte == b'%' && lenient {
                let again = pair(work, at + 3, end);
                if again < 256 {
                    byte = again as u8;
                    length = 5;
                }
            }
            border = lenient && byte == b'/';
        }
    }
    if lenient && byte == b'\\' {
        border = true;
    }
    work.at = at + length;
    if border {
        close(work);
        work.parameters = 0;
    } else if work.parameters == 0 {
        let byte = if work.folded != 0 { lower(byte) } else { byte };
        work.segment = hash_byte(work.segment, byte);
        work.segment_len += 1;
        if byte == b'.' {
            work.segment_dots += 1;
        }
    }
    GO_ON
}

/// The byte that two hexadecimal digits stand for; 256 and above: they are none.
#[inline(always)]
fn pair(work: &Work, at: u32, end: u32) -> u32 {
    if at + 1 >= end {
        return 256;
    }
    let (high, low) = (digit(work.byte(at)), digit(work.byte(at + 1)));
    if high > 15 || low > 15 { 256 } else { high << 4 | low }
}

#[inline(always)]
pub fn digit(byte: u8) -> u32 {
    let folded = lower(byte);
    if byte >= b'0' && byte <= b'9' {
        (byte - b'0') as u32
    } else if folded >= b'a' && folded <= b'f' {
        (folded - b'a') as u32 + 10
    } else {
        255
    }
}

const METHOD: u64 = u64::from_le_bytes(*b"_method=");

/// The method that the query asks for: `_method=DELETE`.
#[inline(always)]
pub fn query_method(place: u32) {
    let Some(work) = work::at(place) else { return };
    (work.at, work.value_state, work.value) = (work.target, 0, HASH_START);
    repeat(MAX_TARGET as u32, place, query_step);
    if let Some(work) = work::at(place)
        && work.value_state == 3
    {
        work.methods[3] = work.value;
    }
}

/// `value_state`: 0 in the path, 1 in the query, 2 where a parameter begins, 3 in the method.
unsafe extern "C" fn query_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let at = work.at;
    if at >= work.target_end {
        return STOP;
    }
    let byte = work.byte(at);
    let state = work.value_state;
    if state == 3 {
        if byte == b'&' || byte == b'#' {
            return STOP;
        }
        work.value = hash_byte(work.value, upper(byte));
    } else if state == 2 && work.word(at) == METHOD {
        work.value_state = 3;
        work.at = at + 8;
        return GO_ON;
    } else if byte == b'?' && state == 0 || byte == b'&' && state > 0 {
        work.value_state = 2;
    } else if state == 2 {
        work.value_state = 1;
    }
    work.at = at + 1;
    GO_ON
}
