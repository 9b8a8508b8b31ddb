//! Replays the scripts of `tests/torture.txt`: as written, byte by byte, and cut, repeated and reordered at random.

use super::*;
use crate::call::Notes;
use crate::segment::Side;
use proptest::prelude::*;

const TORTURE: &str = include_str!("tests/torture.txt");

/// Notes that depend on how the bytes were cut.
const OF_THE_CUT: Notes = Notes(Notes::RETRANSMIT.0 | Notes::EXCESS.0);

/// One event of a script.
#[derive(Clone, Debug)]
enum Event {
    /// Bytes on the wire and how they reach us.
    Send {
        from: Side,
        bytes: Vec<u8>,
        seen: Seen,
    },
    End(Side),
    Reset(Side),
    /// So many milliseconds pass.
    Wait(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Captured,
    Skipped,
    Lost,
}

#[derive(Debug)]
struct Script {
    name: &'static str,
    events: Vec<Event>,
    middle: bool,
    as_written: bool,
    want: Vec<&'static str>,
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next().unwrap() {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                other => panic!("unknown escape {other}"),
            },
            // `«ab*3»` is ababab.
            '«' => {
                let inner: String = chars.by_ref().take_while(|char| *char != '»').collect();
                let (what, times) = inner.rsplit_once('*').unwrap();
                let what = unescape(what);
                (0..times.parse().unwrap()).for_each(|_| bytes.extend_from_slice(&what));
            }
            char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn side(letter: &str) -> Side {
    if letter == "C" { Side::Client } else { Side::Server }
}

fn scripts() -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in TORTURE.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("# ") {
            scripts.push(Script {
                name,
                events: Vec::new(),
                middle: false,
                as_written: false,
                want: Vec::new(),
            });
            continue;
        }
        let script = scripts.last_mut().unwrap();
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        let (who, how) = word.split_at(1);
        let seen = match how {
            "|" => Seen::Skipped,
            "?" => Seen::Lost,
            _ => Seen::Captured,
        };
        script.events.push(match (who, how) {
            ("=", _) => {
                script.want.push(text);
                continue;
            }
            ("~", _) => {
                script.middle = true;
                continue;
            }
            ("^", _) => {
                script.as_written = true;
                continue;
            }
            ("+", ms) => Event::Wait(ms.parse().unwrap()),
            (who, ".") => Event::End(side(who)),
            (who, "!") => Event::Reset(side(who)),
            (who, _) => Event::Send { from: side(who), bytes: unescape(text), seen },
        });
    }
    scripts
}

/// An owned segment.
#[derive(Clone, Debug)]
struct Packet {
    from: Side,
    seq: u32,
    len: u32,
    bytes: Vec<u8>,
    fin: bool,
    rst: bool,
    wait: u64,
}

const FIRST: [u32; 2] = [u32::MAX - 20, 77];

/// The segments of a script as written, and those of each turn after one another.
fn packets(script: &Script) -> Vec<Packet> {
    let mut next = FIRST;
    let mut wait = 0;
    let mut packets = Vec::new();
    for event in &script.events {
        let (from, bytes, fin, rst, seen) = match event {
            Event::Wait(ms) => {
                wait += ms * 1_000_000;
                continue;
            }
            Event::Send { from, bytes, seen } => (*from, bytes.clone(), false, false, *seen),
            Event::End(from) => (*from, Vec::new(), true, false, Seen::Captured),
            Event::Reset(from) => (*from, Vec::new(), false, true, Seen::Captured),
        };
        let at = &mut next[from as usize];
        let (seq, len) = (*at, bytes.len() as u32);
        *at = at.wrapping_add(len);
        if seen != Seen::Lost {
            let bytes = if seen == Seen::Captured { bytes } else { Vec::new() };
            packets.push(Packet { from, seq, len, bytes, fin, rst, wait: std::mem::take(&mut wait) });
        }
    }
    packets
}

/// What an exchange is, in the notation of the scripts.
fn describe(exchange: &Exchange<'_>, ignore: Notes) -> String {
    let request = &exchange.request;
    let notes: Vec<_> = Notes(exchange.notes.0 & !ignore.0).names().collect();
    let answer = exchange.response.as_ref().map_or_else(
        || "-".to_owned(),
        |response| format!("{} {}+{}", response.status, response.sizes.wire, response.sizes.body),
    );
    format!(
        "{}{} {} {}+{} -> {answer}{}{}",
        if exchange.requester == Side::Server { "(server asks) " } else { "" },
        request.method.escape_ascii(),
        request.target.escape_ascii(),
        request.sizes.wire,
        request.sizes.body,
        if notes.is_empty() { "" } else { " " },
        notes.join(" "),
    )
}

fn replay(packets: &[Packet], middle: bool, ignore: Notes, limits: Limits) -> (Vec<String>, DecoderStats) {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(limits);
    let mut at = 1_000_000_000;
    let mut take = |decoder: &mut Decoder, at, packet: &Packet| {
        let segment = Segment {
            conn: ConnId(1),
            at,
            from: packet.from,
            syn_seen: !middle,
            seq: packet.seq,
            len: packet.len,
            bytes: &packet.bytes,
            fin: packet.fin,
            rst: packet.rst,
        };
        decoder.segment(&segment, &mut |exchange| seen.push(describe(exchange, ignore)));
    };
    if !middle {
        for (from, seq) in [(Side::Client, FIRST[0]), (Side::Server, FIRST[1])] {
            let base = Packet { from, seq, len: 0, bytes: Vec::new(), fin: false, rst: false, wait: 0 };
            take(&mut decoder, at, &base);
        }
    }
    for packet in packets {
        at += 1000 + packet.wait;
        take(&mut decoder, at, packet);
    }
    decoder.finish(at, &mut |exchange| seen.push(describe(exchange, ignore)));
    assert_eq!(decoder.buffered(), 0, "buffers are given back");
    (seen, *decoder.stats())
}

/// Whether everything of a script reaches us, so that it may be cut differently.
fn is_whole(script: &Script) -> bool {
    !script.middle
        && !script.as_written
        && script
            .events
            .iter()
            .all(|event| matches!(event, Event::Send { seen: Seen::Captured, .. } | Event::End(_)))
}

#[test]
fn scripts_as_written() {
    let mut wrong = String::new();
    for script in scripts() {
        let (seen, stats) =
            replay(&packets(&script), script.middle, Notes(Notes::RETRANSMIT.0), Limits::default());
        if seen != script.want {
            wrong += &format!("# {}\nwant {:#?}\nseen {seen:#?}\n{stats:?}\n", script.name, script.want);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Splits the packets so that each has at most `size` bytes; the end becomes a packet of its own.
fn split(packets: &[Packet], size: usize) -> Vec<Packet> {
    let mut small = Vec::new();
    for packet in packets {
        for (i, bytes) in packet.bytes.chunks(size).enumerate() {
            let seq = packet.seq.wrapping_add((i * size) as u32);
            small.push(Packet {
                seq,
                len: bytes.len() as u32,
                bytes: bytes.to_vec(),
                fin: false,
                ..packet.clone()
            });
        }
        if packet.fin {
            small.push(Packet {
                seq: packet.seq.wrapping_add(packet.len),
                len: 0,
                bytes: Vec::new(),
                ..packet.clone()
            });
        }
    }
    small
}

fn whole(packets: &[Packet]) -> Vec<String> {
    replay(packets, false, OF_THE_CUT, Limits::default()).0
}

#[test]
fn scripts_byte_by_byte() {
    for script in scripts().iter().filter(|script| is_whole(script)) {
        let packets = packets(script);
        assert_eq!(whole(&split(&packets, 1)), whole(&packets), "{}", script.name);
    }
}

/// A deterministic source of arbitrary numbers, so that a failing case shrinks to a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Cuts every turn at random, repeats some pieces (whole, or overlapping the next), and shuffles the turn.
fn disturb(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    let mut disturbed = Vec::new();
    for turn in packets.chunk_by(|one, next| one.from == next.from) {
        let size = 1 + dice.below(30);
        let mut pieces = split(turn, size);
        let cut = pieces.len();
        for i in 0..cut {
            if dice.below(5) == 0 && !pieces[i].fin {
                let mut again = pieces[i].clone();
                if let Some(next) = pieces[..cut].get(i + 1).filter(|_| dice.below(2) == 0) {
                    again.bytes.extend_from_slice(&next.bytes);
                    again.len = again.bytes.len() as u32;
                }
                pieces.push(again);
            }
        }
        for i in (1..pieces.len()).rev() {
            let with = dice.below(i + 1).max(i.saturating_sub(6));
            pieces.swap(i, with);
        }
        disturbed.extend(pieces);
    }
    disturbed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn scripts_disturbed(seed in any::<u64>()) {
        for script in scripts().iter().filter(|script| is_whole(script)) {
            let packets = packets(script);
            let disturbed = disturb(&packets, &mut Dice(seed));
            prop_assert_eq!(whole(&disturbed), whole(&packets), "{}", script.name);
        }
    }
}

mod budget;
mod hostile;
mod http2;
mod time;
