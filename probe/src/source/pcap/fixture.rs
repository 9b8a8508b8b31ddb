//! A small writer of packets and capture files, and a sink that keeps what it is given.

use crate::flow::Flow;
use crate::source::intake::Intake;
use crate::source::open::recognise;
use crate::source::{Progress, Sink, Source, SourceError};
use apisec_abi::{Exec, Exit, Open};
use apisec_proto::call::Call;
use apisec_proto::segment::{ConnId, Segment, Side};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// Where an end of a test connection is: the last byte of its address, and its port.
pub(super) type End = (u8, u16);
pub(super) const CLIENT: End = (1, 40_000);
pub(super) const SERVER: End = (2, 8080);

/// A TCP segment with a payload.
pub(super) fn tcp(from: End, to: End, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(from.1.to_be_bytes());
    out.extend(to.1.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend(ack.to_be_bytes());
    out.extend([0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend([1; 12]);
    out.extend(payload);
    out
}

/// IPv4 with a flags-and-offset field and an identification.
pub(super) fn ipv4(from: End, to: End, protocol: u8, id: u16, place: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((20 + payload.len() as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(place.to_be_bytes());
    out.extend([64, protocol, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
    out.extend(payload);
    out
}

/// IPv6 whose payload is what `next` says.
pub(super) fn ipv6(from: End, to: End, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    for end in [from, to] {
        out.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end.0]);
    }
    out.extend(payload);
    out
}

/// A segment in IPv4 or IPv6.
pub(super) fn ip(v6: bool, from: End, to: End, segment: &[u8]) -> Vec<u8> {
    if v6 { ipv6(from, to, 6, segment) } else { ipv4(from, to, 6, 0, 0x4000, segment) }
}

/// An IP packet in a frame of `link`.
pub(super) fn frame(link: u32, packet: &[u8]) -> Vec<u8> {
    let v6 = packet[0] >> 4 == 6;
    let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
    let mut out = match link {
        0 => vec![if v6 { 30 } else { 2 }, 0, 0, 0],
        1 => [&[2; 12], ethertype.as_slice()].concat(),
        108 => vec![0, 0, 0, if v6 { 24 } else { 2 }],
        113 => [&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0], ethertype.as_slice()].concat(),
        276 => [ethertype.as_slice(), &[0; 18]].concat(),
        _ => Vec::new(),
    };
    out.extend(packet);
    out
}

/// An Ethernet frame with VLAN tags of these types.
pub(super) fn tagged(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut out = frame(1, packet);
    for tag in tags.iter().rev() {
        let tag = [tag.to_be_bytes(), [0, 7]].concat();
        out.splice(12..12, tag);
    }
    out
}

/// A capture file in the making.
#[derive(Clone)]
pub(super) struct Writer {
    big: bool,
    nano: bool,
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// A classic file.
    pub(super) fn classic(link: u32, big: bool, nano: bool) -> Self {
        let mut file = Self { big, nano, bytes: Vec::new() };
        file.u32(if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
        file.u16(2).u16(4).u32(0).u32(0).u32(262_144).u32(link);
        file
    }

    /// A pcapng file without interfaces.
    pub(super) fn ng(big: bool) -> Self {
        let mut file = Self { big, nano: false, bytes: Vec::new() };
        file.section();
        file
    }

    /// Starts a pcapng section.
    pub(super) fn section(&mut self) -> &mut Self {
        let mut body = self.empty();
        body.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
        self.block(0x0a0d_0d0a, &body.bytes)
    }

    /// Describes a pcapng interface with these options.
    pub(super) fn interface(&mut self, link: u16, options: &[(u16, &[u8])]) -> &mut Self {
        let mut body = self.empty();
        body.u16(link).u16(0).u32(0).options(options);
        self.block(1, &body.bytes)
    }

    /// Statistics of an interface.
    pub(super) fn statistics(&mut self, interface: u32, options: &[(u16, &[u8])]) -> &mut Self {
        let mut body = self.empty();
        body.u32(interface).u32(0).u32(0).options(options);
        self.block(5, &body.bytes)
    }

    /// A pcapng packet with a comment behind it.
    pub(super) fn enhanced(&mut self, interface: u32, units: u64, frame: &[u8]) -> &mut Self {
        let mut body = self.empty();
        body.u32(interface).u32((units >> 32) as u32).u32(units as u32);
        body.u32(frame.len() as u32).u32(frame.len() as u32).padded(frame);
        body.options(&[(1, b"odd")]);
        self.block(6, &body.bytes)
    }

    /// A packet block of the first pcapng draft.
    pub(super) fn obsolete(&mut self, interface: u16, units: u64, frame: &[u8]) -> &mut Self {
        let mut body = self.empty();
        body.u16(interface).u16(0).u32((units >> 32) as u32).u32(units as u32);
        body.u32(frame.len() as u32).u32(frame.len() as u32).padded(frame);
        self.block(2, &body.bytes)
    }

    /// A packet without interface and time.
    pub(super) fn simple(&mut self, frame: &[u8]) -> &mut Self {
        let mut body = self.empty();
        body.u32(frame.len() as u32).padded(frame);
        self.block(3, &body.bytes)
    }

    /// Any pcapng block.
    pub(super) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let length = 12 + body.len().next_multiple_of(4) as u32;
        self.u32(kind).u32(length).padded(body).u32(length)
    }

    /// A packet of a classic file, captured whole, `at` nanoseconds.
    pub(super) fn packet(&mut self, at: u64, frame: &[u8]) -> &mut Self {
        self.snapped(at, frame, frame.len())
    }

    /// A packet of which `captured` bytes were kept.
    pub(super) fn snapped(&mut self, at: u64, frame: &[u8], captured: usize) -> &mut Self {
        let unit = if self.nano { 1 } else { 1000 };
        self.u32((at / 1_000_000_000) as u32).u32((at % 1_000_000_000 / unit) as u32);
        self.u32(captured as u32).u32(frame.len() as u32);
        self.bytes.extend(&frame[..captured]);
        self
    }

    fn options(&mut self, options: &[(u16, &[u8])]) -> &mut Self {
        for (code, value) in options {
            self.u16(*code).u16(value.len() as u16).padded(value);
        }
        self.u32(0)
    }

    fn empty(&self) -> Self {
        Self { bytes: Vec::new(), ..*self }
    }

    fn padded(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }
}

/// A segment with its bytes and its flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) conn: ConnId,
    pub(super) at: u64,
    pub(super) from: Side,
    pub(super) syn_seen: bool,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) flow: Flow,
}

/// Keeps segments.
#[derive(Default)]
pub(super) struct Kept(pub(super) Vec<Seen>);

impl Sink for Kept {
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow) {
        assert!(segment.bytes.len() as u64 <= u64::from(segment.len), "{segment:?}");
        let Segment { conn, at, from, syn_seen, seq, len, bytes, fin, rst } = *segment;
        self.0.push(Seen {
            conn,
            at,
            from,
            syn_seen,
            seq,
            len,
            bytes: bytes.to_vec(),
            fin,
            rst,
            flow: *flow,
        });
    }

    fn opened(&mut self, _: &Open) {
        unreachable!("a capture file knows no sockets")
    }

    fn started(&mut self, _: &Exec) {
        unreachable!("a capture file knows no processes")
    }

    fn ended(&mut self, _: &Exit) {
        unreachable!("a capture file knows no processes")
    }

    fn call(&mut self, _: &Call) {
        unreachable!("a capture file knows no calls")
    }
}

/// Reads a file to its end.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Seen>, Box<dyn Source>), SourceError> {
    let mut source = recognise("test.pcap".into(), Intake::memory(bytes.to_vec()))?;
    let mut kept = Kept::default();
    while source.poll(&mut kept)? != Progress::End {}
    Ok((kept.0, source))
}

/// Reads a file that can be read; the segments that carry payload.
pub(super) fn payloads(bytes: &[u8]) -> Vec<Seen> {
    read(bytes).unwrap().0.into_iter().filter(|seen| seen.len > 0).collect()
}

/// A loss or counter at the end of the file.
pub(super) fn count(bytes: &[u8], name: &str) -> u64 {
    let stats = read(bytes).unwrap().1.stats();
    *stats.losses.get(name).or_else(|| stats.counters.get(name)).unwrap()
}
