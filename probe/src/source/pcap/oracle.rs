//! The same packets through other people's parsers: where both read one, they read the same.

use super::container::{Container, Step, classic, ng};
use super::fixture::*;
use crate::source::intake::Intake;
use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use proptest::prelude::*;
use std::io::Cursor;
use std::net::IpAddr;

/// The packets of a file, as we find them.
fn ours(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut intake = Intake::memory(bytes.to_vec());
    let mut container = if bytes.starts_with(&ng::SECTION) {
        Container::Ng(ng::Ng::new())
    } else {
        let container = Container::Classic(classic::Classic::new(bytes).unwrap());
        intake.want(classic::HEADER).unwrap();
        intake.consume(classic::HEADER);
        container
    };
    let mut packets = Vec::new();
    loop {
        match container.next(&mut intake).unwrap() {
            Step::Packet(record) => {
                packets.push(intake.available()[record.skip..][..record.captured].to_vec());
                intake.consume(record.length);
            }
            Step::Other => {}
            Step::End => return packets,
            other => panic!("{other:?}"),
        }
    }
}

/// The packets of a file, as `pcap-parser` finds them.
fn theirs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = create_reader(1 << 16, Cursor::new(bytes.to_vec())).unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                match block {
                    PcapBlockOwned::Legacy(packet) => packets.push(packet.data.to_vec()),
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        packets.push(packet.packet_data().to_vec());
                    }
                    _ => {}
                }
                reader.consume(length);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(PcapError::Eof) => return packets,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Addresses, ports, sequence number and payload.
type Dissected = (IpAddr, IpAddr, [u16; 2], u32, Vec<u8>);

/// A frame that holds TCP, as `etherparse` reads it.
fn dissected(frame: &[u8]) -> Option<Dissected> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match packet.net? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    let ports = [tcp.source_port(), tcp.destination_port()];
    let seq = tcp.sequence_number().wrapping_add(u32::from(tcp.syn()));
    Some((source, destination, ports, seq, tcp.payload().to_vec()))
}

proptest! {
    #[test]
    fn containers_agree(
        big: bool,
        nano: bool,
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), any::<u32>()), 0..20),
    ) {
        let (mut file, mut next) = (Writer::classic(1, big, nano), Writer::ng(big));
        next.interface(1, &[(2, b"eth0"), (9, &[9])]);
        for (frame, at) in &frames {
            file.snapped(u64::from(*at), frame, frame.len() / 2);
            next.enhanced(0, u64::from(*at), frame).block(0x0bad, &[frame.as_slice(), b"odd"].concat()).statistics(0, &[]);
        }
        prop_assert_eq!(ours(&file.bytes), theirs(&file.bytes));
        prop_assert_eq!(ours(&next.bytes), theirs(&next.bytes));
        prop_assert_eq!(ours(&file.bytes).len(), frames.len());
    }

    #[test]
    fn dissectors_agree(
        v6: bool,
        vlan: bool,
        seq: u32,
        flags in prop::sample::select(&[ACK, SYN, ACK | FIN, SYN | ACK][..]),
        payload in prop::collection::vec(any::<u8>(), 1..100),
        padding in 0..20_usize,
        changes in prop::collection::vec((14..80_usize, any::<u8>()), 0..3),
        cut in 60..200_usize,
    ) {
        let packet = ip(v6, CLIENT, SERVER, &tcp(CLIENT, SERVER, seq, 7, flags, &payload));
        let mut frame = if vlan { tagged(&[0x8100], &packet) } else { frame(1, &packet) };
        frame.resize(frame.len() + padding, 0xee);
        for (at, value) in &changes {
            if let Some(byte) = frame.get_mut(*at) { *byte = *value }
        }
        let captured = cut.min(frame.len());
        let mut file = Writer::classic(1, false, false);
        file.snapped(0, &frame, captured);
        let (seen, _) = read(&file.bytes).unwrap();
        let theirs = dissected(&frame[..captured]);
        if changes.is_empty() && captured == frame.len() {
            prop_assert!(seen.len() == 1 && theirs.is_some(), "an ordinary packet is read by both");
        }
        // A length of zero is an offloaded packet to us; the text of a reset is no payload to us.
        let special = seen.first().is_some_and(|seen| seen.rst || frame[if vlan { 20 } else { 16 }..][..2] == [0, 0]);
        if let ([seen], Some(theirs), false) = (&seen[..], theirs, special || v6 && !changes.is_empty()) {
            let mut ends = [seen.flow.client, seen.flow.server];
            if seen.from == apisec_proto::segment::Side::Server { ends.reverse() }
            let ours = (ends[0].ip(), ends[1].ip(), [ends[0].port(), ends[1].port()], seen.seq, seen.bytes.clone());
            prop_assert_eq!(ours, theirs);
        }
    }
}
