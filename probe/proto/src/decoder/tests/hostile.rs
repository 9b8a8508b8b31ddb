//! Whatever arrives: no panic, every bound kept, every buffer given back.

use super::*;

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 S\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 99999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "hello",
        " folded\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "\n",
        "\r",
        "HTTP/1.1 204 N\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
    let frames = prop::sample::select(vec![
        &b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84"[..],
        b"\0\0\x01\x01\x05\0\0\0\x01\x88",
        b"\0\0\x09\x01\x04\0\0\0\x03\x83\x86\x44\x01a\x40\x01b\x01c",
        b"\0\0\x02\x01\x04\0\0\0\x03\x88\xbe",
        b"\0\0\x05\0\x01\0\0\0\x03hello",
        b"\0\x40\0\0\0\0\0\0\x03",
        b"\0\0\x02\x01\0\0\0\0\x05\x82\x86",
        b"\0\0\x01\x09\x04\0\0\0\x05\x84",
        b"\0\0\0\x04\x01\0\0\0\0",
        b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08",
        b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
        b"\0\0\x03\x08\0\0\0\0\0abc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ]);
    prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        4 => frames.prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

#[derive(Clone, Debug)]
struct Arrival {
    conn: u64,
    server: bool,
    jump: i32,
    bytes: Vec<u8>,
    more: u32,
    flags: u8,
    wait: u64,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let jump = prop_oneof![8 => Just(0), 2 => -30i32..30, 1 => any::<i32>()];
    let more = prop_oneof![8 => Just(0u32), 2 => 0u32..2000, 1 => any::<u32>()];
    let flags = prop_oneof![9 => Just(0u8), 1 => any::<u8>()];
    let bytes = proptest::collection::vec(fragment(), 0..4).prop_map(|parts| parts.concat());
    (0u64..6, any::<bool>(), jump, bytes, more, flags, 0u64..2_000_000_000).prop_map(
        |(conn, server, jump, bytes, more, flags, wait)| Arrival {
            conn,
            server,
            jump,
            bytes,
            more,
            flags,
            wait,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn anything_may_arrive(arrivals in proptest::collection::vec(arrival(), 0..60)) {
        let limits = Limits { connections: 4, buffered: 2000, longest_exchange: 20_000_000_000, ..Limits::default() };
        let mut decoder = Decoder::new(limits);
        let mut next = [[0u32; 2]; 8];
        let mut at = 0u64;
        let mut reported = 0u64;
        for arrival in &arrivals {
            at += arrival.wait;
            let seq = &mut next[arrival.conn as usize][usize::from(arrival.server)];
            *seq = seq.wrapping_add_signed(arrival.jump);
            let len = (arrival.bytes.len() as u32).saturating_add(arrival.more);
            let segment = Segment {
                conn: ConnId(arrival.conn),
                at,
                from: if arrival.server { Side::Server } else { Side::Client },
                syn_seen: arrival.flags & 1 == 0,
                seq: *seq,
                len,
                bytes: &arrival.bytes,
                fin: arrival.flags & 2 != 0,
                rst: arrival.flags & 4 != 0,
            };
            *seq = seq.wrapping_add(len);
            let mut out = |exchange: &Exchange<'_>| {
                reported += 1;
                let _ = describe(exchange, Notes::default());
                assert!(exchange.timing.request_start <= exchange.timing.closed);
            };
            decoder.segment(&segment, &mut out);
            if arrival.flags & 8 != 0 {
                decoder.sweep(at, &mut out);
            }
            if arrival.flags & 16 != 0 {
                decoder.close(segment.conn, at, &mut out);
            }
            // A head whose first bytes fit may be followed by at most one body prefix within the same room.
            prop_assert!(decoder.buffered() <= 2 * limits.buffered, "{}", decoder.buffered());
            prop_assert!(decoder.connections() <= limits.connections);
        }
        decoder.finish(at, &mut |_| reported += 1);
        prop_assert_eq!(reported, decoder.stats().exchanges);
        prop_assert_eq!(decoder.buffered(), 0);
    }
}
