//! Messages written by tungstenite, cut and joined at random, come out as they were sent.

use crate::call::Notes;
use crate::decoder::Decoder;
use crate::decoder::limits::Limits;
use crate::exchange::{Exchange, Frame, Wire};
use crate::segment::{ConnId, Segment, Side};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

const ASK: &str =
    "GET /chat/42?room=7 HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

/// A connection that is fed.
struct Wired {
    decoder: Decoder,
    next: [u32; 2],
    seen: Vec<String>,
    at: u64,
}

fn describe(exchange: &Exchange<'_>) -> String {
    let message = exchange.response.as_ref().map_or(exchange.request.body, |response| response.body);
    let frame = match exchange.wire {
        Wire::Websocket(Frame::Text) => "text",
        Wire::Websocket(Frame::Binary) => "binary",
        Wire::Websocket(Frame::Close) => "close",
        _ => "http",
    };
    let method = String::from_utf8_lossy(exchange.request.method);
    let target = String::from_utf8_lossy(exchange.request.target);
    let [sent, received] = exchange.messages;
    let notes: Vec<_> = Notes(exchange.notes.0 & !Notes::ONE_WAY.0).names().collect();
    format!(
        "{method} {target} {frame} {:?} {} {}",
        String::from_utf8_lossy(message),
        sent.bytes + received.bytes,
        notes.join(" ")
    )
}

impl Wired {
    fn new(extensions: &str) -> Self {
        let mut wired =
            Self { decoder: Decoder::new(Limits::default()), next: [0; 2], seen: Vec::new(), at: 1 };
        wired.send(Side::Client, ASK.as_bytes(), 0);
        wired.send(Side::Server, format!("{ANSWER}{extensions}\r\n").as_bytes(), 0);
        assert_eq!(wired.seen, ["GET /chat/42?room=7 http \"\" 0 upgraded streaming"]);
        wired.seen.clear();
        wired
    }

    /// Sends bytes, and `more` that are not captured.
    fn send(&mut self, from: Side, bytes: &[u8], more: u32) {
        let [client, server] = &mut self.next;
        let next = if from == Side::Client { client } else { server };
        let len = bytes.len() as u32 + more;
        self.at += 1;
        let segment = Segment {
            conn: ConnId(1),
            at: self.at,
            from,
            syn_seen: true,
            seq: *next,
            len,
            bytes,
            fin: false,
            rst: false,
        };
        *next = next.wrapping_add(len);
        let seen = &mut self.seen;
        self.decoder.segment(&segment, &mut |exchange| seen.push(describe(exchange)));
    }

    fn lose(&mut self, from: Side, len: u32) {
        let [client, server] = &mut self.next;
        let next = if from == Side::Client { client } else { server };
        *next = next.wrapping_add(len);
    }
}

/// What tungstenite writes for messages.
fn written(role: Role, messages: &[Message]) -> Vec<u8> {
    let mut socket =
        WebSocket::from_raw_socket(std::io::Cursor::new(Vec::new()), role, Some(WebSocketConfig::default()));
    for message in messages {
        socket.write(message.clone()).unwrap();
    }
    socket.flush().unwrap();
    socket.into_inner().into_inner()
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn messages_of_both_directions() {
    let mut wired = Wired::new("");
    let text = r#"{"type":"join"}"#;
    wired.send(
        Side::Client,
        &written(Role::Client, &[Message::text(text), Message::Ping(b"x".to_vec().into())]),
        0,
    );
    wired.send(
        Side::Server,
        &written(Role::Server, &[Message::binary(vec![1; 300]), Message::Pong(b"x".to_vec().into())]),
        0,
    );
    wired.send(Side::Server, &frame(0x88, &[0x03, 0xf3, b'b', b'y', b'e']), 0);
    assert_eq!(wired.seen[0], format!("SEND /chat/42?room=7 text {text:?} 15 "));
    assert!(wired.seen[1].starts_with("RECEIVE /chat/42?room=7 binary") && wired.seen[1].ends_with(" 300 "));
    assert!(wired.seen[2].starts_with("RECEIVE /chat/42?room=7 close") && wired.seen[2].ends_with(" 5 "));
    assert_eq!(wired.decoder.stats().websocket_controls, 2);
}

#[test]
fn fragments_with_a_ping_between_them_are_one_message() {
    let mut wired = Wired::new("");
    let bytes = [frame(0x01, b"hel"), frame(0x89, b"p"), frame(0x00, b"lo "), frame(0x80, b"you")].concat();
    wired.send(Side::Server, &bytes, 0);
    assert_eq!(wired.seen, ["RECEIVE /chat/42?room=7 text \"hello you\" 9 "]);
}

#[test]
fn skipped_payloads_keep_the_position() {
    let mut wired = Wired::new("");
    let long = frame(0x81, &[b'x'; 60_000]);
    wired.send(Side::Server, &long[..500], (long.len() - 500) as u32);
    wired.send(Side::Server, &frame(0x81, b"next"), 0);
    assert!(wired.seen[0].contains(" 60000 "), "{}", &wired.seen[0][wired.seen[0].len() - 20..]);
    assert_eq!(wired.seen[1], "RECEIVE /chat/42?room=7 text \"next\" 4 ");
}

#[test]
fn after_a_hole_it_goes_on_where_frames_are_whole() {
    let mut wired = Wired::new("");
    wired.send(Side::Server, &frame(0x81, b"one"), 0);
    wired.lose(Side::Server, 100);
    wired.at += 1_000_000_000;
    wired.send(Side::Server, b"middle of some frame", 0);
    wired.at += 1_000_000_000;
    wired.send(Side::Server, &[frame(0x81, b"two"), frame(0x82, b"")].concat(), 0);
    assert_eq!(
        wired.seen,
        [
            "RECEIVE /chat/42?room=7 text \"one\" 3 ",
            "RECEIVE /chat/42?room=7 text \"two\" 3 ",
            "RECEIVE /chat/42?room=7 binary \"\" 0 ",
        ]
    );
}

#[test]
fn broken_frames_are_noted_and_cost_nothing_else() {
    let mut wired = Wired::new("");
    wired.send(Side::Server, &[frame(0x01, b"open"), frame(0x83, b"?")].concat(), 0);
    assert_eq!(wired.seen, ["RECEIVE /chat/42?room=7 text \"open\" 4 gap bad-frame"]);
    wired.send(Side::Client, &written(Role::Client, &[Message::text("fine")]), 0);
    assert_eq!(wired.seen[1], "SEND /chat/42?room=7 text \"fine\" 4 ");
    assert_eq!(wired.decoder.stats().bad_frames, 1);
    let mut huge = vec![0x81, 127];
    huge.extend((u64::MAX >> 1).to_be_bytes());
    wired.send(Side::Server, &huge, 0);
    wired.send(Side::Server, &[b'x'; 5000], 0);
    assert_eq!(wired.seen.len(), 2);
}

/// permessage-deflate as a server with context takeover sends it.
struct Deflater(Compress);

impl Deflater {
    fn frame(&mut self, text: &str) -> Vec<u8> {
        let mut packed = Vec::with_capacity(text.len() + 64);
        self.0.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Sync).unwrap();
        let packed = packed.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap();
        frame(0xc1, packed)
    }
}

#[test]
fn compressed_messages_refer_to_earlier_ones() {
    let mut wired = Wired::new("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut deflater = Deflater(Compress::new(Compression::default(), false));
    for n in 0..5 {
        let text = format!("{{\"type\":\"order.created\",\"number\":{n}}}");
        let packed = deflater.frame(&text);
        let size = packed.len() - 2;
        wired.send(Side::Server, &packed, 0);
        assert_eq!(wired.seen[n], format!("RECEIVE /chat/42?room=7 text {text:?} {size} "));
    }
    // A message that was not seen leaves the later ones unreadable, but counted.
    let unseen = deflater.frame("something that later messages refer to");
    wired.send(Side::Server, &[], unseen.len() as u32);
    let after = deflater.frame("something that later messages refer to, again");
    wired.send(Side::Server, &after, 0);
    assert!(wired.seen[5].starts_with("RECEIVE /chat/42?room=7 text \"\""), "{}", wired.seen[5]);
}

#[test]
fn without_takeover_every_message_stands_alone() {
    let mut wired =
        Wired::new("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n");
    let fresh = |text: &str| Deflater(Compress::new(Compression::default(), false)).frame(text);
    let lost = fresh("not seen");
    wired.send(Side::Server, &lost[..1], lost.len() as u32 - 1);
    wired.send(Side::Server, &fresh("seen"), 0);
    assert!(wired.seen.last().unwrap().contains("\"seen\""), "{:?}", wired.seen);
}

#[test]
fn a_bomb_is_capped() {
    let mut wired = Wired::new("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let zeros = "0".repeat(8 << 20);
    let mut deflater = Deflater(Compress::new(Compression::fast(), false));
    wired.send(Side::Server, &deflater.frame(&zeros), 0);
    assert!(wired.seen[0].ends_with("body-capped") && wired.seen[0].len() < 10_000);
    wired.send(Side::Server, &deflater.frame("next"), 0);
    assert_eq!(wired.seen.len(), 2);
}

#[test]
fn an_unknown_extension_leaves_payloads_alone() {
    let mut wired = Wired::new("Sec-WebSocket-Extensions: x-fancy\r\n");
    wired.send(Side::Server, &frame(0xe1, b"abc"), 0);
    assert_eq!(wired.seen, ["RECEIVE /chat/42?room=7 text \"\" 3 "]);
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "[a-z{}\":]{0,40}".prop_map(Message::text),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(Message::binary),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Message::Ping(bytes.into())),
    ]
}

proptest! {
    #[test]
    fn any_split_and_interleaving_gives_the_same_messages(
        sent in proptest::collection::vec(any_message(), 0..8),
        received in proptest::collection::vec(any_message(), 0..8),
        sizes in proptest::collection::vec(1_usize..50, 1..20),
        order in any::<u64>(),
    ) {
        let both = [written(Role::Client, &sent), written(Role::Server, &received)];
        let mut wired = Wired::new("");
        let mut rest = [&both[0][..], &both[1][..]];
        let mut turn = 0;
        while !(rest[0].is_empty() && rest[1].is_empty()) {
            let side = ((order >> (turn % 64)) & 1) as usize;
            let side = if rest[side].is_empty() { 1 - side } else { side };
            let take = sizes[turn % sizes.len()].min(rest[side].len());
            let (piece, tail) = rest[side].split_at(take);
            wired.send([Side::Client, Side::Server][side], piece, 0);
            rest[side] = tail;
            turn += 1;
        }
        for (method, messages) in [("SEND", &sent), ("RECEIVE", &received)] {
            let wanted: Vec<_> = messages.iter().filter(|message| !message.is_ping()).map(|message| {
                let kind = if message.is_text() { "text" } else { "binary" };
                let text = String::from_utf8_lossy(&message.clone().into_data()).into_owned();
                format!("{method} /chat/42?room=7 {kind} {text:?} {} ", message.len())
            }).collect();
            let seen: Vec<_> = wired.seen.iter().filter(|line| line.starts_with(method)).cloned().collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn noise_and_gaps_never_panic_or_name_another_path(
        events in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60), 0_u32..200), 0..30),
        deflate in any::<bool>(),
    ) {
        let mut wired = Wired::new(if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" });
        for (client, bytes, skipped) in events {
            wired.send(if client { Side::Client } else { Side::Server }, &bytes, skipped);
        }
        let seen = &mut wired.seen;
        wired.decoder.finish(u64::MAX / 2, &mut |exchange| seen.push(describe(exchange)));
        prop_assert!(seen.iter().all(|line| line.contains(" /chat/42?room=7 ")));
        prop_assert_eq!(wired.decoder.buffered(), 0);
    }
}

/// A connection of which the upgrade was not seen, by what both ends send.
fn met_in_the_middle(pieces: &[(Side, Vec<u8>)]) -> (Vec<String>, u64) {
    let mut decoder = Decoder::new(Limits::default());
    let (mut next, mut seen) = ([7_u32, 9], Vec::new());
    for (at, (from, bytes)) in (1..).zip(pieces) {
        let seq = &mut next[usize::from(*from == Side::Server)];
        let segment = Segment {
            conn: ConnId(1),
            at,
            from: *from,
            syn_seen: false,
            seq: *seq,
            len: bytes.len() as u32,
            bytes,
            fin: false,
            rst: false,
        };
        *seq += segment.len;
        decoder.segment(&segment, &mut |exchange| {
            assert!(exchange.notes.any(Notes::OPAQUE_FIELDS));
            seen.push(describe(exchange));
        });
    }
    (seen, decoder.stats().websockets)
}

#[test]
fn an_open_connection_is_read_without_its_path() {
    let masked = |text: &[u8]| [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text].concat();
    let (seen, found) = met_in_the_middle(&[
        // The rest of a message that began before us.
        (Side::Server, b"rest of it".to_vec()),
        (Side::Client, masked(b"{\"type\":\"join\"}")),
        (Side::Server, [&[0x81, 2][..], b"ok", &[0x89, 0]].concat()),
        (Side::Client, vec![0xc1, 0x83, 1, 2, 3, 4, 0xaa, 0, 0]),
        (Side::Server, vec![0x88, 2, 3, 0xe8]),
    ]);
    assert_eq!(
        seen,
        [
            "SEND  text \"{\\\"type\\\":\\\"join\\\"}\" 15 opaque-fields",
            "RECEIVE  text \"ok\" 2 opaque-fields",
            "SEND  text \"\" 3 opaque-fields",
            "RECEIVE  close \"\\u{3}\u{fffd}\" 2 opaque-fields",
        ]
    );
    assert_eq!(found, 1);
}

#[test]
fn what_merely_looks_like_frames_is_given_up() {
    // MQTT: a client subscribes, unmasked, and what its broker says is none either.
    let subscribe = [&[0x82, 8, 0, 1, 0, 3][..], b"a/b", &[0]].concat();
    let granted = vec![0x90, 3, 0, 1, 0];
    assert_eq!(met_in_the_middle(&[(Side::Client, subscribe), (Side::Server, granted)]), (vec![], 0));
    let (seen, _) = met_in_the_middle(&[
        (Side::Server, vec![0x82, 1, 7]),
        (Side::Server, vec![0xf0, 1, 7]),
        (Side::Client, vec![0xf0, 1, 7]),
    ]);
    assert_eq!(seen.len(), 1, "one guess, and no more of it");
}
