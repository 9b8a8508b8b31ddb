//! Segments of any kind on a few connections: bounds are kept, everything is given back.
//!
//! Input: per segment a control byte (bits 0-1 connection, 2 side, 3 syn seen, 4 fin, 5 rst, 6 sweep, 7 jump), one
//! byte of jump, one of length beyond the captured (in 64ths of KiB), one of length, and that many bytes.

use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::segment::{ConnId, Segment, Side};

/// Runs the body.
pub fn run(mut data: &[u8]) {
    let limits = Limits { connections: 3, buffered: 4096, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut next = [[0u32; 2]; 4];
    let mut reported = 0;
    let mut at = 0u64;
    while let [control, jump, more, len, rest @ ..] = data {
        let (bytes, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        at += u64::from(*jump) * 10_000_000;
        let bit = |bit: u8| control & (1 << bit) != 0;
        let seq = &mut next[usize::from(control & 3)][usize::from(bit(2))];
        if bit(7) {
            *seq = seq.wrapping_add_signed(i32::from(jump.cast_signed()));
        }
        let len = bytes.len() as u32 + u32::from(*more) * 16;
        let segment = Segment {
            conn: ConnId(u64::from(control & 3)),
            at,
            from: if bit(2) { Side::Server } else { Side::Client },
            syn_seen: bit(3),
            seq: *seq,
            len,
            bytes,
            fin: bit(4),
            rst: bit(5),
        };
        *seq = seq.wrapping_add(len);
        decoder.segment(&segment, &mut |_| reported += 1);
        if bit(6) {
            decoder.sweep(at, &mut |_| reported += 1);
        }
        assert!(decoder.connections() <= limits.connections);
        assert!(decoder.buffered() <= 2 * limits.buffered);
    }
    decoder.finish(at, &mut |_| reported += 1);
    assert_eq!(decoder.buffered(), 0);
    assert_eq!(decoder.stats().exchanges, reported);
}
