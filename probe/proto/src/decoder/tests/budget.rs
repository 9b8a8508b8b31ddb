//! Only the first bytes of each turn are captured, as the kernel ships them: nothing that counts may change.

use super::*;

#[derive(Clone, Debug)]
struct Round {
    method: &'static str,
    path: String,
    sent: usize,
    status: u16,
    answered: usize,
}

fn round() -> impl Strategy<Value = Round> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT"]);
    let status = prop::sample::select(vec![200u16, 201, 404, 500]);
    (method, "/[a-z]{1,20}", 0usize..9000, status, 0usize..9000)
        .prop_map(|(method, path, sent, status, answered)| Round { method, path, sent, status, answered })
}

/// Cuts a message into segments of `mss` bytes of which the first `budget` bytes are captured.
fn cut(from: Side, bytes: &[u8], seq: &mut u32, mss: usize, budget: usize, packets: &mut Vec<Packet>) {
    for (i, part) in bytes.chunks(mss).enumerate() {
        let captured = budget.saturating_sub(i * mss).min(part.len());
        let (len, bytes) = (part.len() as u32, part[..captured].to_vec());
        packets.push(Packet { from, seq: *seq, len, bytes, fin: false, rst: false, wait: 0 });
        *seq = seq.wrapping_add(len);
    }
}

proptest! {
    #[test]
    fn any_budget_keeps_counts_and_sizes(
        rounds in proptest::collection::vec(round(), 1..8),
        mss in 100usize..1500,
        budget in 40usize..6000,
    ) {
        let mut seq = FIRST;
        let mut packets = Vec::new();
        let mut want = Vec::new();
        for Round { method, path, sent, status, answered } in &rounds {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {sent}\r\nX-Pad: {}\r\n\r\n", "p".repeat(60));
            let back = format!("HTTP/1.1 {status} X\r\nX-Pad: {}\r\nContent-Length: {answered}\r\n\r\n", "p".repeat(60));
            want.push(format!("{method} {path} {} {status} {}", head.len() + sent, back.len() + answered));
            for (side, head, body) in [(Side::Client, head, *sent), (Side::Server, back, *answered)] {
                let mut bytes = head.into_bytes();
                bytes.resize(bytes.len() + body, b'b');
                cut(side, &bytes, &mut seq[side as usize], mss, budget, &mut packets);
            }
        }
        let mut seen = Vec::new();
        let mut decoder = Decoder::new(Limits::default());
        for (i, packet) in packets.iter().enumerate() {
            let segment = Segment { conn: ConnId(9), at: i as u64, from: packet.from, syn_seen: true, seq: packet.seq,
                len: packet.len, bytes: &packet.bytes, fin: false, rst: false };
            decoder.segment(&segment, &mut |exchange| {
                let response = exchange.response.as_ref().unwrap();
                assert!(!exchange.notes.any(Notes::GAP));
                seen.push(format!("{} {} {} {} {}", exchange.request.method.escape_ascii(), exchange.request.target.escape_ascii(),
                    exchange.request.sizes.wire, response.status, response.sizes.wire));
            });
        }
        let live = seen.len();
        decoder.finish(packets.len() as u64, &mut |exchange| {
            let response = exchange.response.as_ref().unwrap();
            seen.push(format!("{} {} {} {} {}", exchange.request.method.escape_ascii(), exchange.request.target.escape_ascii(),
                exchange.request.sizes.wire, response.status, response.sizes.wire));
        });
        prop_assert_eq!(seen, want);
        // Complete by framing means reported at once; only a cut head makes the last one wait.
        prop_assert!(live == rounds.len() || (budget < 250 && live + 1 == rounds.len()));
    }
}
