//! The head of an HTTP/1 request: where it ends, where its body ends, and the few fields that matter. Lines may end
//! with or without a carriage return, as servers have it.

use crate::work::{
    self, FOUND_CHUNKED, FOUND_CLOSE, FOUND_EXPECT, FOUND_LENGTH, FOUND_ODD, FOUND_UPGRADE, FOUND_VERSION,
    GO_ON, STOP, repeat,
};
use apisec_abi::enforce::{HASH_START, MAX_HEAD, hash_byte};

const LINE_FEEDS: u64 = 0x0a0a_0a0a_0a0a_0a0a;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const LOWER: u64 = 0x2020_2020_2020_2020;
/// A longer method is none.
const MAX_METHOD: u32 = 32;
/// Bytes of a value that are looked at.
const MAX_VALUE: u32 = 1024;
const MAX_LENGTH: u64 = 1 << 53;

/// Hash of a word in lower case, for values.
pub const fn hash_of(word: &[u8]) -> u64 {
    let (mut hash, mut at) = (HASH_START, 0);
    while at < word.len() {
        hash = hash_byte(hash, word[at]);
        at += 1;
    }
    hash
}

const CHUNKED: u64 = hash_of(b"chunked");
const CLOSE: u64 = hash_of(b"close");
const KEEP: u64 = hash_of(b"keep-alive");

/// Looks for the end of the head in what is in the place.
#[inline(always)]
pub fn scan(place: u32) {
    if let Some(work) = work::at(place) {
        (work.at, work.line, work.first_end, work.head_end, work.found) = (0, 0, 0, 0, 0);
        (work.length, work.credential, work.methods) = (0, 0, [0; 4]);
    }
    repeat(MAX_HEAD as u32, place, line_step);
}

/// Looks at eight bytes, or at what a line feed among them ends.
unsafe extern "C" fn line_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let place = unsafe { *place };
    let Some(work) = work::at(place) else { return STOP };
    let (at, end) = (work.at, work.end);
    if at >= end || at >= MAX_HEAD as u32 {
        return STOP;
    }
    let word = work.word(at) ^ LINE_FEEDS;
    let feeds = word.wrapping_sub(ONES) & !word & HIGHS;
    if feeds == 0 {
        work.at = at + 8;
        return GO_ON;
    }
    let feed = at + lowest(feeds);
    if feed >= end {
        return STOP;
    }
    let line = work.line;
    let mut stop = feed;
    if stop > line && work.byte(stop - 1) == b'\r' {
        stop -= 1;
    }
    work.at = feed + 1;
    work.line = feed + 1;
    if work.first_end == 0 {
        work.first_end = stop;
        if !first_line(place) {
            // HTTP/0.9: there is no more than this line.
            work.head_end = feed + 1;
            return STOP;
        }
    } else if stop == line {
        work.head_end = feed + 1;
        return STOP;
    } else {
        work.value_end = stop;
        field(place, line);
    }
    GO_ON
}

/// Number of the lowest byte whose highest bit is set.
#[inline(always)]
fn lowest(bits: u64) -> u32 {
    let below = ((bits & bits.wrapping_neg()) >> 7).wrapping_sub(1);
    // As many bytes of ones as there are bytes below it.
    (((below & ONES).wrapping_mul(ONES)) >> 56) as u32
}

/// Method, target and whether there is a version.
#[inline(never)]
fn first_line(place: u32) -> bool {
    let Some(work) = work::at(place) else { return false };
    (work.at, work.value, work.value_state) = (0, HASH_START, 0);
    (work.target, work.target_end) = (0, 0);
    repeat(MAX_METHOD + MAX_HEAD as u32, place, first_step);
    let Some(work) = work::at(place) else { return false };
    if work.value_state == IN_TARGET {
        work.target_end = work.first_end;
    }
    work.at = work.line;
    work.found & FOUND_VERSION != 0
}

const IN_METHOD: u32 = 0;
const BEFORE_TARGET: u32 = 1;
const IN_TARGET: u32 = 2;
const BEHIND_TARGET: u32 = 3;

unsafe extern "C" fn first_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let at = work.at;
    if at >= work.first_end {
        return STOP;
    }
    let byte = work.byte(at);
    let blank = byte == b' ' || byte == b'\t' || byte == 0x0b || byte == 0x0c;
    work.at = at + 1;
    match work.value_state {
        IN_METHOD if blank => {
            work.methods[0] = work.value;
            work.value_state = BEFORE_TARGET;
        }
        IN_METHOD => work.value = hash_byte(work.value, upper(byte)),
        BEFORE_TARGET if !blank => {
            work.target = at;
            work.value_state = IN_TARGET;
        }
        IN_TARGET if blank => {
            work.target_end = at;
            work.value_state = BEHIND_TARGET;
        }
        BEHIND_TARGET if !blank => {
            work.found |= FOUND_VERSION;
            // HTTP/1.0 ends its connections.
            if work.first_end >= 3 && work.byte(work.first_end - 1) == b'0' {
                work.found |= FOUND_CLOSE;
            }
            return STOP;
        }
        _ => {}
    }
    GO_ON
}

#[inline(always)]
pub fn upper(byte: u8) -> u8 {
    if byte >= b'a' && byte <= b'z' { byte - 32 } else { byte }
}

#[inline(always)]
pub fn lower(byte: u8) -> u8 {
    if byte >= b'A' && byte <= b'Z' { byte + 32 } else { byte }
}

const fn eight(word: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*word)
}

/// A field: most are not looked at beyond the first eight letters of their name.
#[inline(never)]
fn field(place: u32, line: u32) {
    let Some(work) = work::at(place) else { return };
    let raw = work.word(line);
    let name = raw | LOWER;
    let first = raw as u8;
    // The continuation of the field above, which nobody reads alike.
    if first == b' ' || first == b'\t' {
        work.found |= FOUND_ODD;
        return;
    }
    let next = work.word(line + 8) | LOWER;
    if name == eight(b"content-") && next & 0xffff_ffff_ffff == eight(b"length\0\0") {
        length_field(place, line + 14);
    } else if name == eight(b"transfer") && next == eight(b"-encodin") {
        coding_field(place, line + 16);
    } else if name == eight(b"x-http-m") || name == eight(b"x-method") {
        method_field(place, line + 8);
    } else if name == eight(b"connecti") {
        close_field(place, line + 8);
    } else if name == eight(b"upgrade:") {
        work.found |= FOUND_UPGRADE;
    } else if name & 0xff_ffff_ffff_ffff == eight(b"expect:\0") {
        work.found |= FOUND_EXPECT;
    } else if name == eight(b"authoriz") {
        work.credential = value(place, line + 8, TEXT);
    }
}

#[inline(never)]
fn length_field(place: u32, at: u32) {
    let seen = value(place, at, NUMBER);
    let Some(work) = work::at(place) else { return };
    if work.value_state == NOT_OURS {
        return;
    }
    if work.value_state != NUMBER || work.found & FOUND_LENGTH != 0 || seen > MAX_LENGTH {
        work.found |= FOUND_ODD;
    }
    work.length = seen;
    work.found |= FOUND_LENGTH;
}

#[inline(never)]
fn coding_field(place: u32, at: u32) {
    let word = value(place, at, LOWERED);
    let Some(work) = work::at(place) else { return };
    if work.value_state == NOT_OURS {
        return;
    }
    if word != CHUNKED || work.value_state != LOWERED || work.found & FOUND_CHUNKED != 0 {
        work.found |= FOUND_ODD;
    }
    work.found |= FOUND_CHUNKED;
}

#[inline(never)]
fn close_field(place: u32, at: u32) {
    let word = value(place, at, LOWERED);
    let Some(work) = work::at(place) else { return };
    if word == CLOSE {
        work.found |= FOUND_CLOSE;
    } else if word == KEEP {
        work.found &= !FOUND_CLOSE;
    }
}

/// The method that a field asks for.
#[inline(never)]
fn method_field(place: u32, at: u32) {
    let word = value(place, at, UPPERED);
    let Some(work) = work::at(place) else { return };
    if work.methods[1] == 0 {
        work.methods[1] = word;
    } else if work.methods[2] == 0 {
        work.methods[2] = word;
    } else {
        work.found |= FOUND_ODD;
    }
}

/// How a value is read.
const NUMBER: u32 = 0;
/// As a word, hashed in lower case.
const LOWERED: u32 = 1;
/// As a word, hashed in capitals.
const UPPERED: u32 = 2;
/// As text, hashed as it is.
const TEXT: u32 = 3;
/// What follows the name's first letters is not what we looked for.
const NOT_OURS: u32 = 8;
/// It is not what its field should have.
const WRONG: u32 = 9;

/// Finds the colon from `at` on and reads what is behind it. `value_state` is `mode` when all is well.
#[inline(always)]
fn value(place: u32, at: u32, mode: u32) -> u64 {
    let Some(work) = work::at(place) else { return 0 };
    let back = work.at;
    work.at = at;
    work.value_state = mode;
    work.special = 0;
    work.value = if mode == NUMBER { 0 } else { HASH_START };
    work.segment = work.value;
    repeat(MAX_VALUE, place, value_step);
    let Some(work) = work::at(place) else { return 0 };
    if work.value_state != NOT_OURS && (work.special < 2 || work.at < work.value_end) {
        work.value_state = WRONG;
    }
    work.at = back;
    if mode == NUMBER { work.value } else { work.segment }
}

/// A letter behind the first ones of `transfer-encoding` and `connection`.
#[inline(always)]
fn ends_name(letter: u8) -> bool {
    letter == b'g' || letter == b'o' || letter == b'n'
}

/// `special`: 0 before the colon, 1 before the value, 2 in it, 3 behind its first word.
unsafe extern "C" fn value_step(_index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return STOP };
    let at = work.at;
    if at >= work.value_end {
        return STOP;
    }
    let byte = work.byte(at);
    let blank = byte == b' ' || byte == b'\t';
    let mode = work.value_state;
    work.at = at + 1;
    if work.special == 0 {
        if byte == b':' {
            work.special = 1;
        } else if blank {
            // Some servers trim a name, others refuse it.
            work.found |= FOUND_ODD;
        } else if mode == NUMBER || (mode == LOWERED && !ends_name(lower(byte))) {
            work.value_state = NOT_OURS;
            return STOP;
        }
        return GO_ON;
    }
    if blank {
        if work.special == 2 && mode != TEXT {
            work.special = 3;
        }
        if mode != TEXT || work.special == 1 {
            return GO_ON;
        }
    }
    if work.special == 3 {
        work.value_state = WRONG;
        return STOP;
    }
    work.special = 2;
    if mode == NUMBER {
        if byte < b'0' || byte > b'9' || work.value > MAX_LENGTH {
            work.value_state = WRONG;
            return STOP;
        }
        work.value = work.value * 10 + (byte - b'0') as u64;
        return GO_ON;
    }
    let byte = match mode {
        LOWERED => lower(byte),
        UPPERED => upper(byte),
        _ => byte,
    };
    work.value = hash_byte(work.value, byte);
    work.segment = work.value;
    GO_ON
}
