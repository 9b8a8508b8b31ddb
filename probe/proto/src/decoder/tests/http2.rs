//! Conversations in HTTP/2 that are made up at random, written by an encoder that indexes as much as it can, cut, thinned and met in the middle.

use super::*;
use crate::exchange::Wire;
use std::collections::{BTreeSet, VecDeque};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITISED: u8 = 0x20;

/// A call as it is made.
#[derive(Clone, Debug)]
struct Plan {
    path: String,
    grpc: bool,
    /// Sizes of the requester's and of the responder's messages; for REST, of the pieces of the body.
    sent: [Vec<usize>; 2],
    status: u16,
    padding: u8,
    /// Octets of a header block per frame.
    split: usize,
    prioritised: bool,
    pushed: bool,
    reset: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let path = prop::sample::select(vec![
        "/users/1",
        "/users/2",
        "/shop.Cart/Add",
        "/shop.Cart/Watch",
        "/a/very/long/one",
    ]);
    let sizes = || proptest::collection::vec(prop_oneof![4 => 0usize..300, 1 => 300usize..9000], 0..4);
    let flags = proptest::collection::vec(proptest::bool::weighted(0.3), 4);
    let status = prop::sample::select(vec![200u16, 201, 404, 503]);
    (path, sizes(), sizes(), status, 0u8..40, 1usize..60, flags).prop_map(
        |(path, asked, answered, status, padding, split, flags)| Plan {
            path: path.to_owned(),
            grpc: flags[0],
            sent: [asked, answered],
            status: if flags[0] { 200 } else { status },
            padding,
            split,
            prioritised: flags[1],
            pushed: flags[2],
            reset: flags[3],
        },
    )
}

/// What one side puts on the wire.
#[derive(Clone, Debug)]
struct Frames {
    from: Side,
    bytes: Vec<u8>,
    /// Payload of DATA within `bytes`, which need not be captured.
    data: Option<(usize, usize)>,
}

/// Indexes every field but `x-id`, and refers to what it has indexed, as nghttp2 and gRPC do.
#[derive(Default)]
struct Encoder {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Encoder {
    fn encode<'a>(&mut self, fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            let field = (name.to_vec(), value.to_vec());
            match (name, value, self.entries.iter().position(|entry| *entry == field)) {
                (b":method", b"POST", _) => block.push(0x83),
                (b":scheme", b"http", _) => block.push(0x86),
                (b":status", b"200", _) => block.push(0x88),
                (_, _, Some(at)) => block.push(0x80 | (62 + at) as u8),
                (_, _, None) => {
                    let indexed = name != b"x-id";
                    block.extend([if indexed { 0x40 } else { 0 }, name.len() as u8]);
                    block.extend_from_slice(name);
                    block.push(value.len() as u8);
                    block.extend_from_slice(value);
                    if indexed {
                        self.entries.insert(0, field);
                    }
                }
            }
        }
        block
    }
}

/// Writes a connection.
struct Writer {
    encoders: [Encoder; 2],
    out: Vec<Frames>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Writer {
    fn new() -> Self {
        let mut writer = Self { encoders: Default::default(), out: Vec::new() };
        writer.put(Side::Client, [PREFACE, &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])].concat());
        writer.put(Side::Server, frame(4, 0, 0, &[]));
        writer.put(Side::Client, frame(4, 1, 0, &[]));
        writer.put(Side::Server, frame(8, 0, 0, &[0, 1, 0, 0]));
        writer
    }

    fn put(&mut self, from: Side, bytes: Vec<u8>) {
        self.out.push(Frames { from, bytes, data: None });
    }

    fn headers(&mut self, from: Side, stream: u32, plan: &Plan, ends: bool, fields: &[(&str, String)]) {
        let block = self.encoders[from as usize]
            .encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let mut pieces = block.chunks(plan.split).peekable();
        let mut flags = if ends { END_STREAM } else { 0 };
        let mut payload = Vec::new();
        if plan.padding > 0 {
            flags |= PADDED;
            payload.push(plan.padding);
        }
        if plan.prioritised {
            flags |= PRIORITISED;
            payload.extend_from_slice(&[0, 0, 0, 0, 15]);
        }
        payload.extend_from_slice(pieces.next().unwrap());
        payload.resize(payload.len() + usize::from(plan.padding), 0);
        flags |= if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let mut bytes = frame(1, flags, stream, &payload);
        while let Some(piece) = pieces.next() {
            bytes.extend(frame(9, if pieces.peek().is_none() { END_HEADERS } else { 0 }, stream, piece));
        }
        self.put(from, bytes);
    }

    fn data(&mut self, from: Side, stream: u32, plan: &Plan, ends: bool, payload: &[u8]) {
        let mut flags = if ends { END_STREAM } else { 0 };
        let mut all = Vec::new();
        if plan.padding > 0 {
            flags |= PADDED;
            all.push(plan.padding);
        }
        let start = 9 + all.len();
        all.extend_from_slice(payload);
        let data = Some((start, start + payload.len()));
        all.resize(all.len() + usize::from(plan.padding), 0);
        self.out.push(Frames { from, bytes: frame(0, flags, stream, &all), data });
    }

    /// One step of a call; whether it was the last.
    fn step(&mut self, stream: u32, plan: &Plan, step: usize) -> bool {
        let [asked, answered] = &plan.sent;
        let (client, server) = (Side::Client, Side::Server);
        let media = if plan.grpc { "application/grpc" } else { "application/json" };
        let message = |size: usize| {
            let mut bytes =
                if plan.grpc { [&[0][..], &(size as u32).to_be_bytes()].concat() } else { Vec::new() };
            bytes.resize(bytes.len() + size, b'x');
            bytes
        };
        let answer = asked.len() + 1;
        let trailers = answer + 1 + answered.len();
        if step == 0 {
            let fields = [
                (":method", "POST".to_owned()),
                (":scheme", "http".into()),
                (":path", plan.path.clone()),
                (":authority", "shop:80".into()),
                ("content-type", media.into()),
                ("x-id", stream.to_string()),
            ];
            self.headers(client, stream, plan, asked.is_empty(), &fields);
        } else if step < answer {
            self.data(client, stream, plan, step + 1 == answer, &message(asked[step - 1]));
        } else if step == answer {
            if plan.pushed {
                let block =
                    self.encoders[1].encode([(&b":method"[..], &b"GET"[..]), (b":path", b"/pushed.js")]);
                let promise = [&(stream * 2 + 2).to_be_bytes()[..], &block].concat();
                self.put(server, frame(5, END_HEADERS, stream, &promise));
            }
            if plan.reset && answered.is_empty() {
                self.put(server, frame(3, 0, stream, &[0, 0, 0, 8]));
                return true;
            }
            let fields = [(":status", plan.status.to_string()), ("content-type", media.into())];
            self.headers(server, stream, plan, !plan.grpc && answered.is_empty(), &fields);
            return !plan.grpc && answered.is_empty();
        } else if step < trailers {
            let at = step - answer - 1;
            let last = !plan.grpc && at + 1 == answered.len();
            self.data(server, stream, plan, last, &message(answered[at]));
            return last;
        } else {
            self.headers(server, stream, plan, true, &[("grpc-status", "5".to_owned())]);
            return true;
        }
        false
    }
}

/// Writes the calls in turns; says what they are.
fn write(plans: &[Plan], dice: &mut Dice) -> (Vec<Frames>, Vec<String>) {
    let mut writer = Writer::new();
    let mut going: Vec<(u32, &Plan, usize)> = Vec::new();
    let mut wanted = Vec::new();
    let mut waiting = plans.iter().enumerate();
    loop {
        if going.len() < 5
            && let Some((at, plan)) = waiting.next()
        {
            going.push((2 * at as u32 + 1, plan, 0));
            wanted.push(want(plan));
            // Streams are opened in order.
            let (stream, plan, step) = going.last_mut().unwrap();
            writer.step(*stream, plan, *step);
            *step += 1;
        }
        if going.is_empty() {
            break;
        }
        let at = dice.below(going.len());
        let (stream, plan, step) = going[at];
        going[at].2 += 1;
        if writer.step(stream, plan, step) {
            going.remove(at);
        }
    }
    wanted.sort();
    (writer.out, wanted)
}

fn want(plan: &Plan) -> String {
    let [asked, answered] = &plan.sent;
    let reset = plan.reset && answered.is_empty();
    let count = |sizes: &Vec<usize>| if plan.grpc { sizes.len() } else { 0 };
    let body = |sizes: &Vec<usize>| sizes.iter().sum::<usize>() + 5 * count(sizes);
    let status = if reset { "-".to_owned() } else { plan.status.to_string() };
    let app = if plan.grpc && !reset { " 5" } else { "" };
    let note = if reset { " reset" } else { "" };
    let (received, messages) = if reset { (0, 0) } else { (body(answered), count(answered)) };
    format!(
        "POST {} shop:80 {}/{} {status} {received}/{messages}{app}{note}",
        plan.path,
        body(asked),
        count(asked)
    )
}

fn tell(exchange: &Exchange<'_>) -> String {
    assert_eq!(exchange.wire, Wire::Http2);
    let request = &exchange.request;
    let (status, received, app) = exchange.response.as_ref().map_or(("-".to_owned(), 0, None), |response| {
        let app = response.trailers.and_then(|trailers| trailers.get("grpc-status"));
        (response.status.to_string(), response.sizes.body, app.map(|app| format!(" {}", app.escape_ascii())))
    });
    let odd = Notes(exchange.notes.0 & !Notes::EARLY_RESPONSE.0);
    format!(
        "{} {} {} {}/{} {status} {received}/{}{}{}{}",
        request.method.escape_ascii(),
        request.target.escape_ascii(),
        request.fields.get("host").unwrap_or_default().escape_ascii(),
        request.sizes.body,
        exchange.messages[0].count,
        exchange.messages[1].count,
        app.unwrap_or_default(),
        if odd == Notes::default() { "" } else { " " },
        odd.names().collect::<Vec<_>>().join(" "),
    )
}

/// How much of a frame's bytes reaches us: all, or all but a part.
fn packets_of(frames: &[Frames], seen: impl Fn(usize, &Frames) -> Option<(usize, usize)>) -> Vec<Packet> {
    let mut next = FIRST;
    let mut packets = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let seq = &mut next[frame.from as usize];
        let (from, to) = seen(at, frame).unwrap_or((frame.bytes.len(), frame.bytes.len()));
        let mut push = |bytes: &[u8], len: usize| {
            if len > 0 {
                let len = len as u32;
                packets.push(Packet {
                    from: frame.from,
                    seq: *seq,
                    len,
                    bytes: bytes.to_vec(),
                    fin: false,
                    rst: false,
                    wait: 0,
                });
                *seq = seq.wrapping_add(len);
            }
        };
        push(&frame.bytes[..from], to);
        push(&frame.bytes[to..], frame.bytes.len() - to);
    }
    packets
}

fn calls(packets: &[Packet], middle: bool) -> (Vec<String>, DecoderStats) {
    let mut decoder = Decoder::new(Limits::default());
    let mut seen = Vec::new();
    let mut at = 0;
    for packet in packets {
        at += 1000 + packet.wait;
        let Packet { from, seq, len, ref bytes, fin, rst, .. } = *packet;
        let segment = Segment { conn: ConnId(1), at, from, syn_seen: !middle, seq, len, bytes, fin, rst };
        decoder.segment(&segment, &mut |exchange| seen.push(tell(exchange)));
    }
    decoder.finish(at, &mut |exchange| seen.push(tell(exchange)));
    assert_eq!(decoder.buffered(), 0, "buffers are given back");
    seen.sort();
    (seen, *decoder.stats())
}

/// Cuts packets that follow each other in one direction at other places.
fn recut(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    let mut cut = Vec::new();
    for run in packets.chunk_by(|one, next| one.from == next.from && one.bytes.len() == one.len as usize) {
        if run.iter().any(|packet| packet.bytes.len() < packet.len as usize) {
            cut.extend(run.iter().cloned());
            continue;
        }
        let bytes: Vec<u8> = run.iter().flat_map(|packet| packet.bytes.clone()).collect();
        let whole = Packet { bytes, ..run[0].clone() };
        let size = if dice.below(3) == 0 { 12 } else { 4000 };
        cut.extend(split(&[whole], 1 + dice.below(size)));
    }
    cut
}

/// Holds the server's packets back for a while.
fn delayed(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    let mut held = VecDeque::new();
    let mut all = Vec::new();
    for packet in packets {
        if packet.from == Side::Server {
            held.push_back(packet.clone());
        } else {
            let some = dice.below(held.len() + 1);
            all.extend(held.drain(..some));
            all.push(packet.clone());
        }
    }
    all.extend(held);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_read_however_it_is_cut(plans in proptest::collection::vec(plan(), 1..12), seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (frames, wanted) = write(&plans, &mut dice);
        let packets = packets_of(&frames, |_, _| None);
        let (seen, stats) = calls(&packets, false);
        prop_assert_eq!(&seen, &wanted);
        prop_assert_eq!(stats.losses().iter().map(|(_, lost)| lost).sum::<u64>(), 0, "{:?}", stats);
        prop_assert_eq!(calls(&recut(&packets, &mut dice), false).0, wanted);
    }

    /// Of two directions, what answers may be heard later than it was said, and never earlier.
    #[test]
    fn every_call_is_read_however_directions_are_interleaved(plans in proptest::collection::vec(plan(), 1..12), seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (frames, wanted) = write(&plans, &mut dice);
        let packets = recut(&packets_of(&frames, |_, _| None), &mut dice);
        prop_assert_eq!(calls(&delayed(&packets, &mut dice), false).0, wanted);
    }

    /// The kernel ships a prefix of DATA and skips the rest: nothing that is counted changes.
    #[test]
    fn data_need_not_be_captured(plans in proptest::collection::vec(plan(), 1..12), seed in any::<u64>(), prefix in 5usize..300) {
        let (frames, wanted) = write(&plans, &mut Dice(seed));
        let packets = packets_of(&frames, |_, frame| {
            frame.data.map(|(from, to)| ((from + prefix).min(to), to))
        });
        let (seen, stats) = calls(&packets, false);
        prop_assert_eq!(seen, wanted);
        prop_assert_eq!(stats.resyncs, 0);
    }

    /// Met in the middle, or with a hole: what is named is right.
    #[test]
    fn never_a_wrong_endpoint(plans in proptest::collection::vec(plan(), 2..14), seed in any::<u64>(), from in 0usize..30, hole in 0usize..60) {
        let mut dice = Dice(seed);
        let (frames, wanted) = write(&plans, &mut dice);
        let all = packets_of(&frames, |_, _| None);
        let lost: BTreeSet<usize> = [hole, hole + dice.below(3)].into();
        let packets: Vec<Packet> = all.iter().enumerate()
            .filter(|(at, _)| *at >= from && !lost.contains(&(at - from))).map(|(_, packet)| packet.clone()).collect();
        let (seen, _) = calls(&packets, from > 0);
        let ends: BTreeSet<String> = wanted.iter().map(|call| call.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        for call in &seen {
            let name: Vec<&str> = call.split(' ').take(2).collect();
            let known = name[1].is_empty() || ends.contains(&name.join(" "));
            prop_assert!(known && (name[0] == "POST"), "{call} is none of {wanted:#?}");
        }
        prop_assert!(seen.len() <= wanted.len());
    }
}

/// A connection of some calls one after the other, the same ones again and again.
fn repeated_calls(count: usize) -> Vec<Frames> {
    let plan = Plan {
        path: "/shop.Cart/Add".into(),
        grpc: true,
        sent: [vec![10], vec![20]],
        status: 200,
        padding: 0,
        split: 999,
        prioritised: false,
        pushed: false,
        reset: false,
    };
    let mut writer = Writer::new();
    for call in 0..count {
        let mut step = 0;
        while !writer.step(2 * call as u32 + 1, &plan, step) {
            step += 1;
        }
    }
    writer.out
}

#[test]
fn met_in_the_middle_every_call_is_counted_and_none_is_misnamed() {
    let frames = repeated_calls(10);
    // From the third call on: all its fields that are not in the static table rest on the first.
    let packets = packets_of(&frames[4 + 2 * 5..], |_, _| None);
    let (seen, stats) = calls(&packets, true);
    assert_eq!(seen, vec!["POST   15/0 200 25/0 opaque-fields"; 8], "{stats:?}");
    assert!(stats.opaque_fields > 0);
    assert_eq!(stats.http2, 1);
}

#[test]
fn a_lost_block_makes_older_entries_unknown_and_newer_ones_are_known_again() {
    let frames = repeated_calls(3);
    let mut packets = packets_of(&frames, |_, _| None);
    // The head of the first request, and what it put into the table.
    packets.remove(4);
    let (seen, stats) = calls(&packets, false);
    assert!(seen.iter().all(|call| call.contains("opaque-fields") || call.contains("gap")), "{seen:#?}");
    assert_eq!((stats.resyncs, stats.holes), (1, 1));
}

/// A connection that goes on, for what no one should send.
struct Line {
    decoder: Decoder,
    next: [u32; 2],
    reported: Vec<String>,
}

impl Line {
    fn new() -> Self {
        let mut line = Self { decoder: Decoder::new(Limits::default()), next: FIRST, reported: Vec::new() };
        line.send(Side::Client, PREFACE);
        line
    }

    fn send(&mut self, from: Side, bytes: &[u8]) {
        let (seq, len) = (self.next[from as usize], bytes.len() as u32);
        let segment =
            Segment { conn: ConnId(1), at: 1, from, syn_seen: true, seq, len, bytes, fin: false, rst: false };
        self.next[from as usize] = seq.wrapping_add(len);
        let reported = &mut self.reported;
        self.decoder.segment(&segment, &mut |exchange| reported.push(tell(exchange)));
    }
}

/// `GET /` from the static table.
const GET: &[u8] = &[0x82, 0x86, 0x84];

#[test]
fn a_flood_of_continuations_stays_in_its_cap() {
    let mut line = Line::new();
    line.send(Side::Client, &frame(1, END_STREAM, 1, GET));
    for _ in 0..2000 {
        // A literal that is not indexed, cut by the frames: 32 MB of header.
        line.send(Side::Client, &frame(9, 0, 1, &[b'a'; 16_000]));
        assert!(line.decoder.buffered() < 256 * 1024);
    }
    line.send(Side::Client, &frame(9, END_HEADERS, 1, &[]));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 1, &[0x88]));
    assert_eq!(line.reported, ["GET /  0/0 200 0/0 head-truncated"]);
    assert_eq!(line.decoder.stats().heads_too_large, 1);
    // The table is not known any more, the connection is.
    line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, 3, &[0x82, 0x86, 0x84, 0xbe]));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 3, &[0x88]));
    assert_eq!(line.reported[1], "GET /  0/0 200 0/0 opaque-fields");
}

#[test]
fn rapid_resets_are_calls_that_were_reset_and_hold_nothing() {
    let mut line = Line::new();
    for stream in 0..50_000 {
        let stream = 2 * stream + 1;
        let both =
            [frame(1, END_STREAM | END_HEADERS, stream, GET), frame(3, 0, stream, &[0, 0, 0, 8])].concat();
        line.send(Side::Client, &both);
        assert!(line.decoder.buffered() < 4096);
    }
    assert_eq!(line.reported.len(), 50_000);
    assert!(line.reported.iter().all(|call| call == "GET /  0/0 - 0/0 reset"));
    assert_eq!(line.decoder.stats().resets, 50_000);
}

#[test]
fn streams_that_are_never_ended_are_bounded_and_counted() {
    let mut line = Line::new();
    for stream in 0..10_000 {
        line.send(Side::Client, &frame(1, END_HEADERS, 2 * stream + 1, GET));
    }
    let stats = *line.decoder.stats();
    assert!(stats.streams_refused >= 5000, "{stats:?}");
    assert!(line.decoder.buffered() < 8 * 1024 * 1024);
    line.decoder.finish(2, &mut |_| {});
    assert_eq!(line.decoder.buffered(), 0);
}

#[test]
fn a_frame_that_no_peer_may_send_is_noted_and_the_next_frames_are_found() {
    let mut line = Line::new();
    line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, 1, GET));
    line.send(Side::Client, &frame(8, 0, 0, &[0; 3]));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 1, &[0x88]));
    line.send(Side::Client, b"whatever it is that follows");
    line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, 3, GET));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 3, &[0x88]));
    assert_eq!(line.reported, ["GET /  0/0 200 0/0 bad-frame", "GET /  0/0 200 0/0 place-guessed"]);
    assert_eq!((line.decoder.stats().bad_frames, line.decoder.stats().resyncs), (1, 1));
}

/// Nothing tells a frame from bytes of a body that look like one, where the header of the frame around them was lost: what is read
/// there says so, has no answer, and goes when the connection is certain again.
#[test]
fn a_body_behind_a_gap_that_looks_like_frames_is_a_guess_and_unanswered() {
    let mut line = Line::new();
    let path = |path: &[u8]| [&[0x82, 0x86, 0x04, path.len() as u8], path].concat();
    line.send(Side::Client, &frame(1, END_HEADERS, 1, &path(b"/upload")));
    line.next[0] = line.next[0].wrapping_add(5000);
    line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, 3, &path(b"/forged")));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 1, &[0x88]));
    for stream in [5, 7, 9] {
        line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, stream, &path(b"/next")));
        line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, stream, &[0x88]));
    }
    let Line { mut decoder, mut reported, .. } = line;
    decoder.finish(2, &mut |exchange| reported.push(tell(exchange)));
    let forged: Vec<_> = reported.iter().filter(|call| call.contains("/forged")).collect();
    assert!(!forged.is_empty() && forged.iter().all(|call| call.contains("place-guessed")), "{reported:#?}");
    assert!(forged.iter().all(|call| call.contains(" - ")), "{reported:#?}");
    assert_eq!(reported.iter().filter(|call| call.contains("/next") && !call.contains("guessed")).count(), 2);
}

#[test]
fn a_long_stream_is_seen_before_it_ends_and_counted_once() {
    const SECOND: u64 = 1_000_000_000;
    let frames = repeated_calls(1);
    let mut decoder = Decoder::new(Limits::default());
    let mut seen = Vec::new();
    let mut next = FIRST;
    let mut send = |decoder: &mut Decoder,
                    at: u64,
                    from: Side,
                    bytes: &[u8],
                    seen: &mut Vec<(Notes, u64, u64)>| {
        let (seq, len) = (next[from as usize], bytes.len() as u32);
        let segment =
            Segment { conn: ConnId(1), at, from, syn_seen: true, seq, len, bytes, fin: false, rst: false };
        next[from as usize] = seq.wrapping_add(len);
        decoder.segment(&segment, &mut |exchange| {
            seen.push((
                exchange.notes,
                exchange.messages[1].count,
                exchange.response.as_ref().unwrap().sizes.wire,
            ));
        });
    };
    let (last, before) = frames.split_last().unwrap();
    before.iter().for_each(|frame| send(&mut decoder, SECOND, frame.from, &frame.bytes, &mut seen));
    let message = frame(0, 0, 1, &[0, 0, 0, 0, 1, b'm']);
    for second in 2..20 {
        send(&mut decoder, second * SECOND, Side::Server, &message, &mut seen);
        decoder.sweep(second * SECOND, &mut |exchange| {
            seen.push((
                exchange.notes,
                exchange.messages[1].count,
                exchange.response.as_ref().unwrap().sizes.wire,
            ));
        });
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|(notes, ..)| *notes == Notes(Notes::ONE_WAY.0 | Notes::STREAMING.0)));
    send(&mut decoder, 20 * SECOND, last.from, &last.bytes, &mut seen);
    assert_eq!(seen.last().unwrap().0, Notes::STREAMING);
    let sum = |of: fn(&(Notes, u64, u64)) -> u64| seen.iter().map(of).sum::<u64>();
    assert_eq!(sum(|(_, count, _)| *count), 19, "every message once");
    let sent: usize =
        frames.iter().skip(4).filter(|frame| frame.from == Side::Server).map(|frame| frame.bytes.len()).sum();
    assert_eq!(sum(|(.., wire)| *wire), (sent + 18 * message.len()) as u64, "every byte once");
}

#[test]
fn a_request_that_was_upgraded_is_answered_on_stream_1() {
    let mut line = Line { decoder: Decoder::new(Limits::default()), next: FIRST, reported: Vec::new() };
    line.send(Side::Client, b"GET /up?a=1 HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    line.send(Side::Server, &[&switched[..], &frame(4, 0, 0, &[])].concat());
    line.send(Side::Client, &[PREFACE, &frame(4, 0, 0, &[])].concat());
    line.send(Side::Server, &[frame(1, END_HEADERS, 1, &[0x88]), frame(0, END_STREAM, 1, b"hello")].concat());
    line.send(Side::Client, &frame(1, END_STREAM | END_HEADERS, 3, GET));
    line.send(Side::Server, &frame(1, END_STREAM | END_HEADERS, 3, &[0x88]));
    assert_eq!(line.reported, ["GET /up?a=1 shop 0/0 200 5/0 upgraded", "GET /  0/0 200 0/0"]);
    assert_eq!((line.decoder.stats().http1, line.decoder.stats().http2), (1, 1));
}
