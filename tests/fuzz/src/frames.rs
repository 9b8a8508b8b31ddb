//! HTTP/2 from its preface or from the middle, with holes: bounds are kept, everything is given back.
//!
//! Input: one byte (bit 0 from the middle), then per piece a control byte (bit 0 side, 1 lost, 2 skipped, 3 sweep), one
//! of length, and that many bytes.

use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::segment::{ConnId, Segment, Side};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Runs the body.
pub fn run(data: &[u8]) {
    let Some((first, mut data)) = data.split_first() else { return };
    let whole = first & 1 == 0;
    let limits = Limits { buffered: 64 * 1024, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut next = [0u32; 2];
    let (mut at, mut reported) = (1, 0);
    let mut send = |decoder: &mut Decoder, at: u64, side: usize, bytes: &[u8], control: u8| {
        let seq = next[side];
        next[side] = seq.wrapping_add(bytes.len() as u32);
        if control & 2 != 0 {
            return 0;
        }
        let from = if side == 0 { Side::Client } else { Side::Server };
        let len = bytes.len() as u32;
        let bytes = if control & 4 != 0 { &[][..] } else { bytes };
        let segment =
            Segment { conn: ConnId(1), at, from, syn_seen: whole, seq, len, bytes, fin: false, rst: false };
        let mut reported = 0;
        decoder.segment(&segment, &mut |_| reported += 1);
        reported
    };
    if whole {
        reported += send(&mut decoder, at, 0, PREFACE, 0);
    }
    while let [control, len, rest @ ..] = data {
        let (bytes, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        at += 100_000_000;
        reported += send(&mut decoder, at, usize::from(control & 1), bytes, *control);
        if control & 8 != 0 {
            at += 3_000_000_000;
            decoder.sweep(at, &mut |_| reported += 1);
        }
        assert!(decoder.buffered() <= 4 * limits.buffered);
    }
    decoder.finish(at, &mut |_| reported += 1);
    assert_eq!(decoder.buffered(), 0);
    assert_eq!(decoder.stats().exchanges, reported);
}
