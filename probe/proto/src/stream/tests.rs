use super::*;
use crate::segment::{ConnId, Side};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Byte(u8),
    Skipped,
    Lost,
    End,
}

fn segment(seq: u32, len: u32, bytes: &[u8]) -> Segment<'_> {
    Segment {
        conn: ConnId(1),
        at: 7,
        from: Side::Client,
        syn_seen: true,
        seq,
        len,
        bytes,
        fin: false,
        rst: false,
    }
}

const fn room() -> Room {
    Room { used: 0, limit: 1 << 20 }
}

fn note(seen: &mut Vec<Seen>, run: Run<'_>) {
    match run {
        Run::Bytes(bytes) => seen.extend(bytes.iter().map(|byte| Seen::Byte(*byte))),
        Run::Skipped(n) => seen.extend((0..n).map(|_| Seen::Skipped)),
        Run::Lost(n) => seen.extend((0..n).map(|_| Seen::Lost)),
        Run::End => seen.push(Seen::End),
    }
}

#[test]
fn in_order_bytes_are_lent_not_copied() {
    let text = b"hello".to_vec();
    let mut stream = Stream::default();
    let mut lent = std::ptr::null();
    stream.push(&segment(9, 5, &text), &mut room(), &mut |_, run| {
        if let Run::Bytes(bytes) = run {
            lent = bytes.as_ptr();
        }
    });
    assert_eq!(lent, text.as_ptr());
}

#[test]
fn a_cut_segment_says_how_much_was_skipped() {
    let mut seen = Vec::new();
    let mut stream = Stream::default();
    stream.push(&segment(u32::MAX - 1, 6, b"ab"), &mut room(), &mut |_, run| note(&mut seen, run));
    stream.push(&segment(4, 1, b"c"), &mut room(), &mut |_, run| note(&mut seen, run));
    let skipped = [Seen::Skipped, Seen::Skipped, Seen::Skipped, Seen::Skipped];
    assert_eq!(seen[..2], [Seen::Byte(b'a'), Seen::Byte(b'b')]);
    assert_eq!(seen[2..6], skipped);
    assert_eq!(seen[6..], [Seen::Byte(b'c')]);
}

#[test]
fn a_hole_that_is_given_up_is_lost_bytes() {
    let mut seen = Vec::new();
    let mut room = room();
    let mut stream = Stream::default();
    stream.push(&segment(0, 1, b"a"), &mut room, &mut |_, run| note(&mut seen, run));
    let last = Segment { fin: true, ..segment(3, 1, b"d") };
    stream.push(&last, &mut room, &mut |_, run| note(&mut seen, run));
    assert_eq!(stream.held_since(), Some(7));
    assert!(room.used > 0);
    stream.give_up(&mut room, &mut |_, run| note(&mut seen, run));
    assert_eq!(seen, [Seen::Byte(b'a'), Seen::Lost, Seen::Lost, Seen::Byte(b'd'), Seen::End]);
    assert_eq!(room.used, 0);
}

#[test]
fn caps_give_up_holes() {
    let mut room = room();
    let mut stream = Stream::default();
    let mut given_up = 0;
    stream.push(&segment(0, 1, b"a"), &mut room, &mut |_, _| {});
    for i in 1..=(MAX_HELD_PIECES as u32 + 1) {
        given_up += stream.push(&segment(i * 2, 1, b"x"), &mut room, &mut |_, _| {}).given_up;
    }
    assert_eq!(given_up, 1);
    stream.discard(&mut room);
    assert_eq!(room.used, 0);
}

proptest! {
    /// Any cut into overlapping, repeated, reordered segments gives the same bytes.
    #[test]
    fn any_arrival_gives_the_same_stream(
        text in proptest::collection::vec(any::<u8>(), 1..300),
        first in any::<u32>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 1u32..40), 0..60),
        seed in any::<u64>(),
    ) {
        let mut spans: Vec<(u32, u32)> = cuts.iter().map(|(at, len)| {
            let from = at.index(text.len()) as u32;
            (from, (*len).min(text.len() as u32 - from))
        }).collect();
        spans.extend((0..text.len() as u32).map(|from| (from, 1)));
        let mut order = seed;
        for i in (1..spans.len()).rev() {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            spans.swap(i, (order >> 33) as usize % (i + 1));
        }
        let mut seen = Vec::new();
        let mut room = room();
        let mut stream = Stream::default();
        stream.push(&segment(first, 0, b""), &mut room, &mut |_, run| note(&mut seen, run));
        for (from, len) in spans {
            let bytes = &text[from as usize..(from + len) as usize];
            stream.push(&segment(first.wrapping_add(from), len, bytes), &mut room, &mut |_, run| note(&mut seen, run));
        }
        let fin = Segment { fin: true, ..segment(first.wrapping_add(text.len() as u32), 0, b"") };
        stream.push(&fin, &mut room, &mut |_, run| note(&mut seen, run));
        let mut want: Vec<Seen> = text.iter().map(|byte| Seen::Byte(*byte)).collect();
        want.push(Seen::End);
        prop_assert_eq!(seen, want);
        prop_assert_eq!(room.used, 0);
    }

    /// Nothing that arrives makes it panic or keep more than the caps.
    #[test]
    fn hostile_segments_are_bounded(
        arrivals in proptest::collection::vec((any::<u32>(), any::<u32>(), 0usize..2000, any::<bool>()), 0..200),
    ) {
        let bytes = [0u8; 2000];
        let mut room = Room { used: 0, limit: 64 * 1024 };
        let mut stream = Stream::default();
        for (seq, len, captured, fin) in arrivals {
            let hostile = Segment { fin, ..segment(seq, len, &bytes[..captured]) };
            stream.push(&hostile, &mut room, &mut |_, _| {});
            prop_assert!(room.used <= room.limit);
        }
        stream.discard(&mut room);
        prop_assert_eq!(room.used, 0);
    }
}
