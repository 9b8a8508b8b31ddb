//! Whether a request may begin at some bytes.

use crate::work::Work;
use apisec_abi::enforce::{PHASE_LOST, PHASE_START, Stream};

/// Bytes of empty lines at the beginning.
#[inline(always)]
pub fn leading(work: &Work) -> u32 {
    let mut at = 0;
    while at < 4 {
        let byte = work.byte(at);
        if at >= work.end || (byte != b'\r' && byte != b'\n') {
            break;
        }
        at += 1;
    }
    at
}

pub enum Looks {
    Request,
    Short,
    Foreign,
}

/// Whether a request may begin here: capitals or other letters of a method, and a blank.
#[inline(always)]
pub fn looks(work: &Work, stream: &Stream) -> Looks {
    let mut at = 0;
    while at < 24 {
        if at >= work.end {
            // In the middle of nowhere a few letters are no reason to wait.
            return if stream.phase == PHASE_LOST { Looks::Foreign } else { Looks::Short };
        }
        let byte = work.byte(at);
        if byte == b' ' || byte == b'\t' {
            break;
        }
        let capital = byte >= b'A' && byte <= b'Z' || byte == b'-' || byte == b'_';
        let other = byte > b' ' && byte < 0x7f && stream.phase == PHASE_START;
        if !capital && !other {
            return Looks::Foreign;
        }
        at += 1;
    }
    // Where requests are not known to begin, the target too has to look like one.
    let lost = stream.phase == PHASE_LOST;
    if at == 0 || at == 24 || lost && work.byte(at + 1) != b'/' && work.byte(at + 1) != b'h' {
        return Looks::Foreign;
    }
    Looks::Request
}
