//! What two ends say gives the same exchanges however it is cut into segments.
//!
//! Input: one byte of segment size, then what client and server say in turns, separated by 0xff.

use apisec_proto::call::Notes;
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use apisec_proto::segment::{ConnId, Segment, Side};

/// Notes of messages whose framing is void and that are therefore followed blindly.
const VOID: u64 =
    Notes::BAD_CHUNK.0 | Notes::BAD_LENGTH.0 | Notes::BAD_TRANSFER_ENCODING.0 | Notes::HEAD_TRUNCATED.0;

/// Runs the body.
pub fn run(data: &[u8]) {
    let Some((size, said)) = data.split_first() else { return };
    let (whole, one) = replay(said, usize::MAX);
    let (cut, two) = replay(said, usize::from(*size).max(1));
    if one && two {
        assert_eq!(whole, cut);
    }
}

/// The exchanges, and whether the framing could be followed throughout. Where it could not, messages are found
/// again at the beginning of a segment, which is not the same place for every cut.
fn replay(said: &[u8], size: usize) -> (Vec<String>, bool) {
    let mut seen = Vec::new();
    let mut void = 0;
    let mut note = |exchange: &Exchange<'_>| {
        void |= exchange.notes.0 & VOID;
        seen.push(describe(exchange));
    };
    let mut decoder = Decoder::new(Limits::default());
    let mut next = [0u32; 2];
    for (turn, text) in said.split(|byte| *byte == 0xff).enumerate() {
        let server = turn % 2;
        for bytes in text.chunks(size) {
            let segment = Segment {
                conn: ConnId(1),
                at: turn as u64,
                from: if server == 1 { Side::Server } else { Side::Client },
                syn_seen: true,
                seq: next[server],
                len: bytes.len() as u32,
                bytes,
                fin: false,
                rst: false,
            };
            next[server] = next[server].wrapping_add(segment.len);
            decoder.segment(&segment, &mut note);
        }
    }
    decoder.finish(u64::from(u32::MAX), &mut note);
    let stats = decoder.stats();
    let lost = stats.resyncs + stats.bad_heads + stats.unframed_bytes + stats.undecodable;
    (seen, lost == 0 && void == 0)
}

fn describe(exchange: &Exchange<'_>) -> String {
    let notes = exchange.notes.0 & !Notes::EXCESS.0;
    let answer = exchange.response.as_ref().map(|response| (response.status, response.sizes));
    let request = &exchange.request;
    let (method, target) = (request.method.escape_ascii(), request.target.escape_ascii());
    format!("{method} {target} {:?} {answer:?} {notes:x}", request.sizes)
}
