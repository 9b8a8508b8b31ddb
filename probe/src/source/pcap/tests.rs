//! Captures that are built packet by packet: every link type, both IP versions, every oddity.

use super::fixture::*;
use crate::source::open;
use apisec_proto::segment::Side;
use proptest::prelude::*;
use std::path::Path;

const LINKS: [u32; 10] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const T: u64 = 1_700_000_000_123_456_000;

/// Handshake, one request, one response, both ends closing; sequence numbers wrap.
fn conversation() -> Vec<Vec<u8>> {
    let (c, s) = (u32::MAX - 5, 500_u32);
    let c1 = c.wrapping_add(1);
    let c2 = c1.wrapping_add(GET.len() as u32);
    let s2 = s + 1 + OK.len() as u32;
    vec![
        tcp(CLIENT, SERVER, c, 0, SYN, b""),
        tcp(SERVER, CLIENT, s, c1, SYN | ACK, b""),
        tcp(CLIENT, SERVER, c1, s + 1, ACK, b""),
        tcp(CLIENT, SERVER, c1, s + 1, ACK, GET),
        tcp(SERVER, CLIENT, s + 1, c2, ACK, OK),
        tcp(CLIENT, SERVER, c2, s2, ACK | FIN, b""),
        tcp(SERVER, CLIENT, s2, c2.wrapping_add(1), ACK | FIN, b""),
    ]
}

fn ends(index: usize) -> (End, End) {
    if matches!(index, 1 | 4 | 6) { (SERVER, CLIENT) } else { (CLIENT, SERVER) }
}

fn packets(v6: bool) -> Vec<Vec<u8>> {
    let packet = |(index, segment): (usize, &Vec<u8>)| {
        let (from, to) = ends(index);
        ip(v6, from, to, segment)
    };
    conversation().iter().enumerate().map(packet).collect()
}

fn classic(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Writer::classic(1, false, false);
    for (index, frame) in frames.iter().enumerate() {
        file.packet(T + index as u64 * 1_000_000, frame);
    }
    file.bytes
}

fn ethernet(v6: bool) -> Vec<Vec<u8>> {
    packets(v6).iter().map(|packet| frame(1, packet)).collect()
}

fn assert_conversation(seen: &[Seen], v6: bool, context: &str) {
    let [syn, syn_ack, get, ok, fin, fin_too] = seen else { panic!("{context}: {seen:#?}") };
    assert!(
        seen.iter().all(|each| each.syn_seen && each.conn == syn.conn && each.flow == syn.flow),
        "{context}"
    );
    assert_eq!((syn.seq, syn.len, syn.from), (u32::MAX - 4, 0, Side::Client), "{context}");
    assert_eq!((syn_ack.seq, syn_ack.len, syn_ack.from), (501, 0, Side::Server), "{context}");
    assert_eq!((get.bytes.as_slice(), get.seq, get.from), (GET, syn.seq, Side::Client), "{context}");
    assert_eq!((ok.bytes.as_slice(), ok.seq, ok.from), (OK, 501, Side::Server), "{context}");
    assert!(fin.fin && fin_too.fin && !get.fin && !ok.fin && !seen.iter().any(|each| each.rst), "{context}");
    let address = |end: End| {
        if v6 { format!("[2001:db8::{}]:{}", end.0, end.1) } else { format!("10.0.0.{}:{}", end.0, end.1) }
    };
    assert_eq!(syn.flow.client.to_string(), address(CLIENT), "{context}");
    assert_eq!(syn.flow.server.to_string(), address(SERVER), "{context}");
}

#[test]
fn every_link_type_and_ip_version() {
    for (link, v6) in LINKS.into_iter().flat_map(|link| [(link, false), (link, true)]) {
        let mut file = Writer::classic(link, false, false);
        for packet in packets(v6) {
            file.packet(T, &frame(link, &packet));
        }
        assert_conversation(&read(&file.bytes).unwrap().0, v6, &format!("link {link} v6 {v6}"));
    }
}

#[test]
fn every_byte_order_and_resolution_of_the_classic_format() {
    for (big, nano) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut file = Writer::classic(1, big, nano);
        let at = if nano { T + 789 } else { T };
        for packet in ethernet(false) {
            file.packet(at, &packet);
        }
        let (seen, source) = read(&file.bytes).unwrap();
        assert_conversation(&seen, false, &format!("big {big} nano {nano}"));
        assert_eq!((seen[0].at, source.now()), (at, at));
    }
}

#[test]
fn the_24_byte_packet_headers_of_old_distributions() {
    let mut bytes = classic(&[]);
    bytes[..4].copy_from_slice(&0xa1b2_cd34_u32.to_le_bytes());
    for packet in ethernet(false) {
        let mut one = Writer::classic(1, false, false);
        one.packet(T, &packet);
        let (header, data) = one.bytes[24..].split_at(16);
        bytes.extend([header, &[9; 8], data].concat());
    }
    assert_conversation(&read(&bytes).unwrap().0, false, "modified");
}

#[test]
fn pcapng_in_both_byte_orders_with_interfaces_of_their_own() {
    for big in [false, true] {
        let mut file = Writer::ng(big);
        file.interface(1, &[]).block(0x0bad, &[7; 333]).interface(113, &[(9, &[9])]);
        file.interface(276, &[(9, &[0x80 | 10])]).interface(0, &[(9, &[12])]);
        for (index, packet) in packets(true).iter().enumerate() {
            match index % 4 {
                0 => file.enhanced(0, T / 1000, &frame(1, packet)),
                1 => file.enhanced(1, T, &frame(113, packet)),
                2 => file.enhanced(2, (u128::from(T) * 1024 / 1_000_000_000) as u64, &frame(276, packet)),
                _ => file.enhanced(3, T - 1_600_000_000_000_000_000, &frame(0, packet)),
            };
        }
        let (seen, _) = read(&file.bytes).unwrap();
        assert_conversation(&seen, true, &format!("big {big}"));
        assert_eq!((seen[0].at, seen[1].at), (T, T), "big {big}");
        assert_eq!(seen[2].at, (T - 1_600_000_000_000_000_000) / 1000, "picoseconds");
    }
}

#[test]
fn pcapng_binary_resolution_and_offset() {
    for (order, offset) in [(false, 100_i64.to_le_bytes()), (true, (-100_i64).to_be_bytes())] {
        let mut file = Writer::ng(order);
        file.interface(1, &[(9, &[0x8a]), (14, &offset)]);
        file.enhanced(0, 1_600_000_000 * 1024 + 512, &ethernet(false)[3]);
        let seconds = if order { 1_599_999_900 } else { 1_600_000_100 };
        assert_eq!(payloads(&file.bytes)[0].at, seconds * 1_000_000_000 + 500_000_000);
    }
}

#[test]
fn pcapng_simple_and_obsolete_packets() {
    let mut file = Writer::ng(true);
    file.interface(1, &[]);
    for (index, packet) in ethernet(false).iter().enumerate() {
        if index % 2 == 0 {
            file.obsolete(0, T / 1000, packet)
        } else {
            file.simple(packet)
        };
    }
    let (seen, _) = read(&file.bytes).unwrap();
    assert_conversation(&seen, false, "simple");
    assert!(seen.iter().all(|each| each.at == T), "a packet without a time takes that of the one before");
}

#[test]
fn pcapng_sections_forget_interfaces_and_may_change_byte_order() {
    let mut file = Writer::ng(false);
    file.interface(101, &[]).interface(1, &[]);
    for frame in &ethernet(false)[..4] {
        file.enhanced(1, T / 1000, frame);
    }
    let mut second = Writer::ng(true);
    second.interface(1, &[]);
    for frame in &ethernet(false)[4..] {
        second.enhanced(0, T / 1000, frame);
    }
    let bytes = [file.bytes, second.bytes].concat();
    assert_conversation(&read(&bytes).unwrap().0, false, "two sections");
}

#[test]
fn pcapng_tells_what_the_capture_lost() {
    let mut file = Writer::ng(false);
    file.interface(1, &[]).interface(1, &[]);
    file.statistics(0, &[(5, &3_u64.to_le_bytes())]);
    file.statistics(0, &[(5, &4_u64.to_le_bytes()), (7, &1_u64.to_le_bytes())]);
    file.section().interface(1, &[]).statistics(0, &[(7, &10_u64.to_le_bytes())]);
    assert_eq!(count(&file.bytes, "dropped_by_capture"), 15);
    assert!(codes(&file.bytes).contains(&"capture-dropped".into()));
}

fn codes(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().1.degradations().into_iter().map(|each| each.code).collect()
}

#[test]
fn vlan_tags() {
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100, 0x8100, 0x8100]] {
        let frames: Vec<_> = packets(true).iter().map(|packet| tagged(tags, packet)).collect();
        assert_conversation(&read(&classic(&frames)).unwrap().0, true, &format!("{tags:x?}"));
    }
    let frames: Vec<_> = packets(true).iter().map(|packet| tagged(&[0x8100; 9], packet)).collect();
    assert_eq!(count(&classic(&frames), "not_ip"), 7);
}

#[test]
fn vlan_tags_in_linux_cooked_frames() {
    for link in [113, 276] {
        let mut file = Writer::classic(link, false, false);
        for packet in packets(false) {
            let mut frame = frame(link, &packet);
            let at = if link == 113 { 14 } else { 0 };
            frame[at..at + 2].copy_from_slice(&[0x81, 0]);
            frame.splice(frame.len() - packet.len()..frame.len() - packet.len(), [0, 5, 8, 0]);
            file.packet(T, &frame);
        }
        assert_conversation(&read(&file.bytes).unwrap().0, false, &format!("link {link}"));
    }
}

#[test]
fn ethernet_padding_is_not_payload() {
    let mut frames = ethernet(false);
    frames.iter_mut().for_each(|frame| frame.extend([0xee; 22]));
    let (seen, mut source) = read(&classic(&frames)).unwrap();
    assert_conversation(&seen, false, "padded");
    assert_eq!(source.stats().losses.values().sum::<u64>(), 0);
}

#[test]
fn offloaded_segments_without_an_ip_length() {
    for v6 in [false, true] {
        let mut frames = ethernet(v6);
        for frame in &mut frames {
            let at = if v6 { 14 + 4 } else { 14 + 2 };
            frame[at..at + 2].copy_from_slice(&[0, 0]);
        }
        assert_conversation(&read(&classic(&frames)).unwrap().0, v6, "offloaded");
    }
}

#[test]
fn a_segment_beyond_64_kib() {
    let body = vec![b'x'; 200_000];
    let mut frame = frame(1, &ip(false, SERVER, CLIENT, &tcp(SERVER, CLIENT, 1, 1, ACK, &body)));
    frame[16..18].copy_from_slice(&[0, 0]);
    assert_eq!(payloads(&classic(&[frame]))[0].bytes, body);
}

#[test]
fn snapped_packets_keep_their_length() {
    let frames = ethernet(false);
    let head = 14 + 20 + 32;
    let mut file = Writer::classic(1, false, false);
    file.snapped(T, &frames[3], head + 10).snapped(T, &frames[4], head).snapped(T, &frames[4], head - 5);
    let seen = payloads(&file.bytes);
    assert_eq!((seen[0].len as usize, seen[0].bytes.as_slice()), (GET.len(), &GET[..10]));
    assert_eq!((seen[1].len as usize, seen[1].bytes.as_slice()), (OK.len(), &b""[..]));
    assert_eq!(
        (seen[2].len as usize, seen[2].bytes.as_slice()),
        (OK.len(), &b""[..]),
        "cut in the TCP options"
    );
    file.snapped(T, &frames[3], 40);
    assert_eq!((count(&file.bytes, "snapped"), count(&file.bytes, "headers_cut")), (3, 1));
    assert_eq!(codes(&file.bytes), ["capture-snapped"]);
}

#[test]
fn other_protocols_are_counted() {
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    let udp = frame(1, &ipv4(CLIENT, SERVER, 17, 0, 0, &[0; 30]));
    let ack = ethernet(false)[2].clone();
    let broken = frame(1, &ipv4(CLIENT, SERVER, 6, 0, 0, &[0; 30]));
    let file = classic(&[arp, udp, ack, broken]);
    assert_eq!(["not_ip", "not_tcp", "without_payload", "malformed"].map(|name| count(&file, name)), [1; 4]);
}

mod fragments {
    use super::*;

    const MORE: u16 = 0x2000;

    /// The request in pieces of 16 bytes, IPv4 or IPv6.
    fn pieces(v6: bool, id: u16) -> Vec<Vec<u8>> {
        let segment = tcp(CLIENT, SERVER, 1, 1, ACK, GET);
        let count = segment.len().div_ceil(16);
        let piece = |(index, part): (usize, &[u8])| {
            let more = index + 1 < count;
            if v6 {
                let place = (index as u16 * 16) | u16::from(more);
                let header = [&[6, 0], &place.to_be_bytes()[..], &[0, 0], &id.to_be_bytes()[..]].concat();
                frame(1, &ipv6(CLIENT, SERVER, 44, &[&header, part].concat()))
            } else {
                let place = (index as u16 * 2) | if more { MORE } else { 0 };
                frame(1, &ipv4(CLIENT, SERVER, 6, id, place, part))
            }
        };
        segment.chunks(16).enumerate().map(piece).collect()
    }

    fn assert_whole(frames: &[Vec<u8>], context: &str) {
        let seen = payloads(&classic(frames));
        assert_eq!(seen.len(), 1, "{context}");
        assert_eq!(seen[0].bytes, GET, "{context}");
    }

    #[test]
    fn in_any_order_and_repeated() {
        for v6 in [false, true] {
            let pieces = pieces(v6, 7);
            assert_whole(&pieces, "in order");
            assert_whole(&pieces.iter().rev().cloned().collect::<Vec<_>>(), "reversed");
            let twice: Vec<_> = pieces.iter().flat_map(|piece| [piece.clone(), piece.clone()]).collect();
            assert_whole(&twice[..twice.len() - 1], "repeated");
        }
    }

    #[test]
    fn interleaved_datagrams_are_told_apart() {
        let (a, b) = (pieces(false, 1), pieces(false, 2));
        let both: Vec<_> = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect();
        assert_eq!(payloads(&classic(&both)).len(), 2);
    }

    #[test]
    fn a_missing_piece_is_counted() {
        let mut pieces = pieces(true, 7);
        pieces.remove(1);
        let file = classic(&pieces);
        assert!(payloads(&file).is_empty());
        assert_eq!(count(&file, "fragments_incomplete"), 1);
    }

    #[test]
    fn overlapping_pieces_are_refused() {
        let mut pieces = pieces(false, 7);
        let overlapping = frame(1, &ipv4(CLIENT, SERVER, 6, 7, 1 | MORE, &[b'x'; 16]));
        pieces.insert(2, overlapping);
        let file = classic(&pieces);
        assert!(payloads(&file).is_empty());
        assert_eq!(count(&file, "fragments_refused"), 1);
    }

    #[test]
    fn pieces_that_come_too_late_begin_anew() {
        let pieces = pieces(false, 7);
        let mut file = Writer::classic(1, false, false);
        file.packet(T, &pieces[0]);
        for piece in &pieces {
            file.packet(T + 31_000_000_000, piece);
        }
        assert_eq!(payloads(&file.bytes).len(), 1);
        assert_eq!(count(&file.bytes, "fragments_incomplete"), 1);
    }

    #[test]
    fn a_flood_is_bounded() {
        let flood: Vec<_> = (0..2000_u16).map(|id| pieces(false, id).swap_remove(0)).collect();
        assert_eq!(count(&classic(&flood), "fragments_incomplete"), 2000);
    }

    #[test]
    fn a_snapped_piece_cuts_the_payload_and_keeps_its_length() {
        let pieces = pieces(false, 7);
        let mut file = Writer::classic(1, false, false);
        for (index, piece) in pieces.iter().enumerate() {
            file.snapped(T, piece, if index == 2 { piece.len() - 4 } else { piece.len() });
        }
        let seen = payloads(&file.bytes);
        assert_eq!((seen[0].len as usize, seen[0].bytes.as_slice()), (GET.len(), &GET[..12]));
    }

    #[test]
    fn an_atomic_fragment_is_a_datagram() {
        let header = [6, 0, 0, 0, 0, 0, 0, 9];
        let packet = ipv6(CLIENT, SERVER, 44, &[&header[..], &tcp(CLIENT, SERVER, 1, 1, ACK, GET)].concat());
        assert_whole(&[frame(1, &packet)], "atomic");
    }
}

#[test]
fn ipv6_extension_headers() {
    let segment = tcp(CLIENT, SERVER, 1, 1, ACK, GET);
    let hop_by_hop = [43, 0, 1, 4, 0, 0, 0, 0];
    let routing = [60, 1, 4, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    let options = [51, 0, 1, 4, 0, 0, 0, 0];
    let authentication = [6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2];
    let payload = [&hop_by_hop[..], &routing, &options, &authentication, &segment].concat();
    let seen = payloads(&classic(&[frame(1, &ipv6(CLIENT, SERVER, 0, &payload))]));
    assert_eq!(seen[0].bytes, GET);
    let endless = [[60, 0, 1, 4, 0, 0, 0, 0].repeat(40), segment].concat();
    assert_eq!(count(&classic(&[frame(1, &ipv6(CLIENT, SERVER, 60, &endless))]), "malformed"), 1);
}

mod connections {
    use super::*;

    /// From, to, sequence number, acknowledgement, flags, payload.
    type Spoken<'a> = (End, End, u32, u32, u8, &'a [u8]);

    fn file(segments: &[Spoken<'_>]) -> Vec<Seen> {
        let frames: Vec<_> = segments
            .iter()
            .map(|(from, to, seq, ack, flags, payload)| {
                frame(1, &ip(false, *from, *to, &tcp(*from, *to, *seq, *ack, *flags, payload)))
            })
            .collect();
        read(&classic(&frames)).unwrap().0
    }

    #[test]
    fn a_new_handshake_on_the_same_ends_is_a_new_connection() {
        let seen = file(&[
            (CLIENT, SERVER, 100, 0, SYN, b""),
            (CLIENT, SERVER, 100, 0, SYN, b""),
            (CLIENT, SERVER, 101, 1, ACK, b"x"),
            (CLIENT, SERVER, 900, 0, SYN, b""),
            (CLIENT, SERVER, 901, 1, ACK, b"y"),
        ]);
        let ids: Vec<_> = seen.iter().map(|each| each.conn.0).collect();
        assert_eq!(ids, [1, 1, 1, 2, 2]);
    }

    #[test]
    fn the_answer_to_a_handshake_may_be_captured_first() {
        let seen = file(&[
            (SERVER, CLIENT, 500, 101, SYN | ACK, b""),
            (CLIENT, SERVER, 100, 0, SYN, b""),
            (CLIENT, SERVER, 101, 501, ACK, b"x"),
        ]);
        assert!(seen.iter().all(|each| each.conn.0 == 1 && each.syn_seen));
        assert_eq!(seen[0].flow.client.port(), CLIENT.1);
    }

    #[test]
    fn a_segment_may_overtake_its_handshake() {
        let seen = file(&[(CLIENT, SERVER, 101, 501, ACK, b"x"), (CLIENT, SERVER, 100, 0, SYN, b"")]);
        assert_eq!((seen[0].conn, seen[0].syn_seen), (seen[1].conn, false));
        assert!(seen[1].syn_seen);
    }

    #[test]
    fn without_a_handshake_the_lower_port_serves() {
        let seen = file(&[(SERVER, CLIENT, 5, 5, ACK, b"x"), (CLIENT, SERVER, 5, 5, ACK, b"y")]);
        assert_eq!((seen[0].from, seen[1].from), (Side::Server, Side::Client));
        assert!(seen.iter().all(|each| !each.syn_seen && each.flow.server.port() == SERVER.1));
    }

    #[test]
    fn the_sender_of_the_handshake_is_the_client_whatever_its_port() {
        let (low, high) = ((1, 80), (2, 50_000));
        let seen = file(&[(low, high, 5, 0, SYN, b""), (high, low, 9, 6, SYN | ACK, b"")]);
        assert_eq!((seen[0].from, seen[1].from), (Side::Client, Side::Server));
        assert_eq!(seen[1].flow.client.port(), 80);
    }

    #[test]
    fn data_with_the_handshake_and_text_with_the_reset() {
        let seen = file(&[(CLIENT, SERVER, 100, 0, SYN, b"early"), (SERVER, CLIENT, 7, 0, RST, b"why")]);
        assert_eq!((seen[0].seq, seen[0].bytes.as_slice()), (101, &b"early"[..]));
        assert_eq!((seen[1].rst, seen[1].len), (true, 0));
    }

    #[test]
    fn both_ends_may_have_the_same_address_and_port_numbers_swapped() {
        let (a, b) = ((1, 4000), (1, 5000));
        let seen = file(&[(a, b, 1, 0, SYN, b""), (b, a, 1, 0, SYN, b"")]);
        assert_ne!(seen[0].conn, seen[1].conn, "a handshake in the other direction is another connection");
    }

    #[test]
    fn closed_ends_that_speak_again_much_later_are_new() {
        let mut file = Writer::classic(1, false, false);
        let data =
            |seq, flags| frame(1, &ip(false, CLIENT, SERVER, &tcp(CLIENT, SERVER, seq, 1, flags, b"x")));
        file.packet(T, &data(1, ACK)).packet(T, &data(2, RST)).packet(T + 1_000_000_000, &data(1, ACK));
        file.packet(T + 100_000_000_000, &data(50, ACK));
        let ids: Vec<_> = payloads(&file.bytes).iter().map(|each| each.conn.0).collect();
        assert_eq!(ids, [1, 1, 2]);
    }
}

mod files {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_cut_file_gives_what_it_has_and_says_so() {
        let mut ng = Writer::ng(true);
        ng.interface(1, &[]);
        ethernet(false).iter().for_each(|frame| {
            ng.enhanced(0, T / 1000, frame);
        });
        for whole in [classic(&ethernet(false)), ng.bytes] {
            let mut most = 0;
            for length in 28..whole.len() {
                let (seen, mut source) = read(&whole[..length]).unwrap();
                assert!(seen.len() >= most);
                most = seen.len();
                let cut = source.stats().losses["file_cut"] == 1;
                assert_eq!(cut, source.degradations().iter().any(|each| each.code == "capture-cut"));
            }
            assert_eq!((most, codes(&whole)), (5, vec![]));
        }
    }

    #[test]
    fn damage_in_the_middle_is_said_with_its_place() {
        let mut bytes = classic(&ethernet(false));
        let at = bytes.len();
        bytes.extend([0xff; 64]);
        let (seen, source) = read(&bytes).unwrap();
        assert_conversation(&seen, false, "damaged");
        let [damage] = &source.degradations()[..] else { panic!() };
        assert_eq!(damage.code, "capture-damaged");
        assert!(damage.what.contains(&format!("byte {at}")), "{}", damage.what);
    }

    #[test]
    fn a_file_without_a_readable_packet_is_an_error() {
        let mut bytes = classic(&[]);
        bytes.extend([0xff; 64]);
        assert!(read(&bytes).err().unwrap().what.contains("damaged"));
        assert!(read(&classic(&[])[..20]).err().unwrap().what.contains("ends inside its own header"));
    }

    #[test]
    fn a_file_without_packets_is_empty_and_fine() {
        assert_eq!(read(&classic(&[])).unwrap().0, []);
        assert_eq!(read(&Writer::ng(false).bytes).unwrap().0, []);
    }

    #[test]
    fn link_types_that_are_not_read_are_named() {
        let error = read(&Writer::classic(127, false, false).bytes).err().unwrap();
        assert!(error.what.contains("127 (IEEE 802.11 radiotap)"), "{error}");
        let mut file = Writer::ng(false);
        file.interface(189, &[]).interface(1, &[]).enhanced(0, 1, &[1; 40]);
        ethernet(false).iter().for_each(|frame| {
            file.enhanced(1, T / 1000, frame);
        });
        assert_conversation(&read(&file.bytes).unwrap().0, false, "one of two");
        assert_eq!(
            (count(&file.bytes, "link_type"), codes(&file.bytes)),
            (1, vec!["capture-link-type".into()])
        );
    }

    #[test]
    fn what_is_no_capture_is_named() {
        for (head, name) in [
            (&b""[..], "is empty"),
            (b"\x1f\x8b\x08\0\0\0", "gzip"),
            (b"\x28\xb5\x2f\xfd\0\0", "zstd"),
            (b"\xfd7zXZ\0", "xz"),
            (b"BZh9", "bzip2"),
            (b"PK\x03\x04", "zip"),
            (b"snoop\0\0\0", "snoop"),
            (b"\x7fELF\x02\x01", "a program"),
            (b"{\"log\":{}}", "HAR"),
            (b"GET / HTTP/1.1\r\n", "is text"),
            (b"\0\x01\x02\x03", "unknown kind"),
            (b"\xd4", "unknown kind"),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(head).unwrap();
            let error = open(file.path()).err().unwrap();
            assert!(error.what.contains(name), "{name}: {error}");
            assert!(!error.remedy.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let missing = open(Path::new("/nonexistent/dump.pcap")).err().unwrap().to_string();
        assert!(missing.contains("No such file") && missing.contains("check the path"), "{missing}");
        let folder = open(Path::new("/")).err().unwrap().to_string();
        assert!(folder.contains("directory") && folder.contains("not a folder"), "{folder}");
    }

    #[test]
    fn a_file_on_disk_is_read_and_described() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&classic(&ethernet(false))).unwrap();
        let mut source = open(file.path()).unwrap();
        let mut kept = Kept::default();
        while source.poll(&mut kept).unwrap() != crate::source::Progress::End {}
        assert_conversation(&kept.0, false, "file");
        assert_eq!(source.describe(), format!("pcap {}", file.path().display()));
    }
}

/// Reads whatever this is to its end; what a fuzz target calls.
fn survives(bytes: &[u8]) {
    if let Ok((_, mut source)) = read(bytes) {
        source.stats();
        source.degradations();
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_behind_a_header_are_survived(
        link in prop::sample::select(&LINKS[..]), big: bool, noise in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        survives(&[Writer::classic(link, big, false).bytes, noise.clone()].concat());
        let mut ng = Writer::ng(big);
        ng.interface(link as u16, &[]);
        survives(&[ng.bytes, noise].concat());
    }

    #[test]
    fn arbitrary_packets_are_survived(
        link in prop::sample::select(&LINKS[..]),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..40),
    ) {
        let mut file = Writer::classic(link, false, false);
        for packet in &noise {
            // Half of them look like IP.
            let mut packet = [&[0x45], packet.as_slice()].concat();
            if packet.len().is_multiple_of(2) { packet[0] = 0x60 | packet[1] }
            file.packet(T, &frame(link, &packet));
        }
        survives(&file.bytes);
    }

    #[test]
    fn a_damaged_file_is_survived(v6: bool, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = classic(&ethernet(v6));
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survives(&bytes);
    }

    #[test]
    fn packets_in_any_order_stay_one_connection(order in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let frames = ethernet(false);
        let shuffled: Vec<_> = order.iter().map(|index| frames[*index].clone()).collect();
        let (seen, mut source) = read(&classic(&shuffled)).unwrap();
        prop_assert_eq!(seen.iter().filter(|each| each.len > 0).count(), 2);
        prop_assert!(seen.iter().all(|each| each.flow.server.port() == SERVER.1));
        prop_assert_eq!(source.stats().counters["connections"], 1);
    }
}
