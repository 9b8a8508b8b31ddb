//! What went over the wire, as a capture file (pcap, raw IPv4): headers are made up, payload and order are not.

use crate::clock;
use std::net::{IpAddr, SocketAddr};

/// Magic of microseconds in little-endian order, version 2.4, zone 0, accuracy 0, whole packets, raw IP.
const FILE_HEADER: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, 101];
/// Payload of one packet: like segments that a network card puts together.
const MAX_PAYLOAD: usize = 16 << 10;
/// IPv4 and TCP headers without options.
const HEADERS: usize = 40;

/// TCP flags.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

/// The capture file so far.
pub(super) struct Tape(Vec<u8>);

/// One direction of a connection.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

impl Tape {
    pub(super) fn new() -> Self {
        Self(FILE_HEADER.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Takes the file out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::replace(self, Self::new()).0
    }

    /// Adds what was written at `seq`.
    pub(super) fn data(&mut self, way: Way, seq: u32, bytes: &[u8]) {
        let mut seq = seq;
        for payload in bytes.chunks(MAX_PAYLOAD) {
            self.packet(way, (seq, 1), ACK, payload);
            seq = seq.wrapping_add(payload.len() as u32);
        }
    }

    /// Adds one packet.
    pub(super) fn packet(&mut self, way: Way, (seq, ack): (u32, u32), flags: u8, payload: &[u8]) {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (way.from.ip(), way.to.ip()) else { return };
        let length = HEADERS + payload.len();
        let at = clock::now();
        for word in [at.as_secs() as u32, at.subsec_micros(), length as u32, length as u32] {
            self.0.extend_from_slice(&word.to_le_bytes());
        }
        self.0.extend_from_slice(&[0x45, 0]);
        self.0.extend_from_slice(&(length as u16).to_be_bytes());
        // No fragments, 64 hops, TCP; checksums are left to a network card that is not there.
        self.0.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        self.0.extend_from_slice(&from.octets());
        self.0.extend_from_slice(&to.octets());
        self.0.extend_from_slice(&way.from.port().to_be_bytes());
        self.0.extend_from_slice(&way.to.port().to_be_bytes());
        self.0.extend_from_slice(&seq.to_be_bytes());
        self.0.extend_from_slice(&ack.to_be_bytes());
        self.0.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.0.extend_from_slice(payload);
    }
}
