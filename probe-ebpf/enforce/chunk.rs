//! Bodies in chunks: the line before each, and the lines behind the last.

use crate::packet::load;
use crate::request::MORE;
use crate::target::digit;
use crate::work;
use apisec_abi::enforce::{
    PHASE_CHUNK, PHASE_CHUNK_DATA, PHASE_DEAD, PHASE_LOST, PHASE_START, PHASE_TRAILER, Stream,
};
use aya_ebpf::bindings::__sk_buff;

/// Bytes of the line before a chunk, with its extensions.
const MAX_CHUNK_LINE: u32 = 256;
/// A chunk's length has no more digits than this.
const MAX_CHUNK_DIGITS: u32 = 12;

/// The line before a chunk, or one behind the last.
#[inline(never)]
pub fn line(skb: *mut __sk_buff, offset: u32, available: u32, stream: &mut Stream) -> u32 {
    let Some(place) = work::take() else { return available };
    let length = if available < MAX_CHUNK_LINE { available } else { MAX_CHUNK_LINE };
    let given = if load(skb, offset, length, place) { read_line(place, length, stream) } else { LOST };
    work::give(place);
    if given == MORE && available < MAX_CHUNK_LINE {
        return MORE;
    }
    if given == MORE || given == LOST {
        // Nobody knows where this body ends. What was to be discarded goes on being so.
        stream.phase = if stream.discard != 0 { PHASE_DEAD } else { PHASE_LOST };
        return available;
    }
    given
}

const LOST: u32 = u32::MAX;

#[inline(never)]
fn read_line(place: u32, length: u32, stream: &mut Stream) -> u32 {
    let Some(work) = work::at(place) else { return LOST };
    (work.at, work.end, work.length, work.value_state) = (0, length, 0, 0);
    work::repeat(MAX_CHUNK_LINE, place, chunk_step);
    let Some(work) = work::at(place) else { return LOST };
    let (at, state, size) = (work.at, work.value_state, work.length);
    if state != LINE_ENDED {
        return if state == LINE_WRONG && stream.phase == PHASE_CHUNK { LOST } else { MORE };
    }
    if stream.phase == PHASE_TRAILER {
        // An empty line: at most CR LF.
        if at <= 2 && work.special == 0 {
            stream.phase = PHASE_START;
            stream.discard = 0;
        }
    } else if work.special == 0 {
        return LOST;
    } else if size == 0 {
        stream.phase = PHASE_TRAILER;
    } else {
        stream.phase = PHASE_CHUNK_DATA;
        stream.left = size + 2;
    }
    at
}

const LINE_DIGITS: u32 = 0;
const LINE_REST: u32 = 1;
const LINE_ENDED: u32 = 2;
const LINE_WRONG: u32 = 3;

/// `special`: digits so far, or in a trailer whether there was anything but CR.
unsafe extern "C" fn chunk_step(index: u32, place: *mut u32) -> u64 {
    // SAFETY: the context of `repeat`.
    let Some(work) = work::at(unsafe { *place }) else { return work::STOP };
    if index == 0 {
        work.special = 0;
    }
    let at = work.at;
    if at >= work.end {
        return work::STOP;
    }
    let byte = work.byte(at);
    work.at = at + 1;
    if byte == b'\n' {
        work.value_state = LINE_ENDED;
        return work::STOP;
    }
    let digit = digit(byte);
    if work.value_state == LINE_DIGITS && digit < 16 && work.special < MAX_CHUNK_DIGITS {
        work.length = work.length << 4 | digit as u64;
        work.special += 1;
    } else if work.value_state == LINE_DIGITS {
        work.value_state = LINE_REST;
        // In a trailer this is a field.
        if byte != b'\r' && byte != b';' && byte != b' ' && byte != b'\t' {
            work.value_state = LINE_WRONG;
        }
    }
    if work.value_state == LINE_WRONG {
        work.special += 1;
    }
    work::GO_ON
}
