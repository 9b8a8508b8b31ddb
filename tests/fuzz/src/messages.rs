//! A WebSocket of any bytes reports messages under the path of its upgrade only, and gives back what it held.
//!
//! Input: turns, separated by 0xfe: the first byte says who speaks (odd: the server) and how much is skipped behind it.

use apisec_proto::call::Notes;
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use apisec_proto::segment::{ConnId, Segment, Side};

const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Runs the body.
pub fn run(data: &[u8]) {
    let mut decoder = Decoder::new(Limits::default());
    let mut next = [0u32; 2];
    let mut at = 0;
    let mut check = |exchange: &Exchange<'_>| {
        assert_eq!(exchange.request.target, b"/chat");
        assert!(exchange.notes.any(Notes::ONE_WAY) || exchange.request.method == b"GET");
        let body = exchange.response.as_ref().map_or(exchange.request.body, |response| response.body);
        assert!(body.len() <= Limits::default().body_prefix);
    };
    let mut send = |decoder: &mut Decoder, server: usize, bytes: &[u8], skipped: u32| {
        at += 1;
        let len = bytes.len() as u32 + skipped;
        let from = if server == 1 { Side::Server } else { Side::Client };
        let segment = Segment {
            conn: ConnId(1),
            at,
            from,
            syn_seen: true,
            seq: next[server],
            len,
            bytes,
            fin: false,
            rst: false,
        };
        next[server] = next[server].wrapping_add(len);
        decoder.segment(&segment, &mut check);
    };
    send(&mut decoder, 0, ASK, 0);
    send(&mut decoder, 1, ANSWER, 0);
    for turn in data.split(|byte| *byte == 0xfe) {
        let Some((how, bytes)) = turn.split_first() else { continue };
        send(&mut decoder, usize::from(how & 1), bytes, u32::from(how >> 1) * 8);
    }
    decoder.finish(u64::from(u32::MAX), &mut check);
    assert_eq!(decoder.buffered(), 0);
}
