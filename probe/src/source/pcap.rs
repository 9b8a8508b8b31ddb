//! A capture file as a source: pcap and pcapng, from a file or a pipe.
//!
//! Reads TCP over IPv4 and IPv6 on the link types that hosts and clouds produce. What cannot be read is
//! counted by reason. Order, duplicates and gaps inside a stream are left to the decoder; who the ends
//! are is known by address only, because a capture holds no processes.

mod connections;
mod container;
mod field;
#[cfg(test)]
mod fixture;
mod fragment;
mod ip;
mod link;
#[cfg(test)]
mod oracle;
mod tcp;
#[cfg(test)]
mod tests;

use super::intake::Intake;
use super::{Progress, Sink, Source, SourceError, SourceStats};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_proto::segment::Segment;
use connections::{Connections, Way};
use container::classic::{self, Classic};
use container::ng::{self, Ng};
use container::{Container, Record, Step};
use fragment::Fragments;
use link::Unread;

/// Packets of one poll.
const BATCH: usize = 4096;
/// Link types that are named in the degradation.
const MAX_NAMED: usize = 8;

/// A capture file.
pub struct PcapSource {
    name: String,
    intake: Intake,
    container: Container,
    dissector: Dissector,
    packets: u64,
    now: u64,
    end: Option<End>,
}

/// How the file came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
    Damaged { at: u64, why: &'static str },
}

impl PcapSource {
    /// Whether a file that begins with `magic` is a capture file.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        magic == ng::SECTION || Classic::recognises(magic)
    }

    /// Reads the header of the capture `name`.
    pub(super) fn new(name: String, mut intake: Intake) -> Result<Self, SourceError> {
        intake.want(classic::HEADER).map_err(|error| SourceError::unreadable(&name, &error))?;
        let bytes = intake.available();
        let container = if bytes.starts_with(&ng::SECTION) {
            Container::Ng(Ng::new())
        } else {
            let classic = Classic::new(bytes).ok_or_else(|| no_header(&name))?;
            if !link::is_read(classic.link()) {
                return Err(foreign_link(&name, classic.link()));
            }
            intake.consume(classic::HEADER);
            Container::Classic(classic)
        };
        Ok(Self { name, intake, container, dissector: Dissector::new(), packets: 0, now: 0, end: None })
    }

    fn packet(&mut self, record: Record, sink: &mut dyn Sink) {
        let frame = record.skip..record.skip.saturating_add(record.captured);
        let bytes = self.intake.available().get(frame).unwrap_or_default();
        // A packet without a time happened when the one before it did.
        let at = record.at.unwrap_or(self.now);
        self.now = self.now.max(at);
        self.packets += 1;
        self.dissector.frame(record.link, bytes, record.wire, at, sink);
        self.intake.consume(record.length);
    }

    fn finish(&mut self, end: End) -> Result<Progress, SourceError> {
        self.end = Some(end);
        match end {
            End::Damaged { at, why } if self.packets == 0 => Err(SourceError {
                what: format!(
                    "{}: {why} (at byte {at}), and no packet stands before that: the file is damaged",
                    self.name
                ),
                remedy: "copy or capture the file again; `capinfos FILE` shows what other tools make of it"
                    .into(),
            }),
            _ => Ok(Progress::End),
        }
    }
}

impl Source for PcapSource {
    fn describe(&self) -> String {
        format!("pcap {}", self.name)
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<Progress, SourceError> {
        if self.end.is_some() {
            return Ok(Progress::End);
        }
        for done in 0..BATCH {
            let step = self.container.next(&mut self.intake);
            match step.map_err(|error| SourceError::unreadable(&self.name, &error))? {
                Step::Packet(record) => self.packet(record, sink),
                Step::Other => {}
                Step::Idle => return Ok(if done == 0 { Progress::Idle } else { Progress::Some }),
                Step::End => return self.finish(End::Whole),
                Step::Cut => return self.finish(End::Cut),
                Step::Damaged(why) => return self.finish(End::Damaged { at: self.intake.offset(), why }),
            }
        }
        Ok(Progress::Some)
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn stats(&mut self) -> SourceStats {
        let mut stats = SourceStats { chunks: self.packets, ..SourceStats::default() };
        self.dissector.count(&mut stats);
        stats.losses.insert("dropped_by_capture".into(), self.container.dropped());
        stats.losses.insert("file_cut".into(), u64::from(self.end == Some(End::Cut)));
        stats.losses.insert("file_damaged".into(), u64::from(matches!(self.end, Some(End::Damaged { .. }))));
        stats
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = self.dissector.degradations();
        match self.end {
            Some(End::Cut) => all.push(cut(&self.name)),
            Some(End::Damaged { at, why }) => all.push(damaged(&self.name, at, why, self.packets)),
            Some(End::Whole) | None => {}
        }
        let dropped = self.container.dropped();
        if dropped > 0 {
            all.push(Degradation {
                code: "capture-dropped".into(),
                severity: Severity::Partial,
                what: format!("the capturing program lost {dropped} packets (it says so in the file)"),
                remedy: "capture with a larger buffer (tcpdump -B) or a narrower filter".into(),
            });
        }
        all
    }
}

/// Frames to segments.
struct Dissector {
    fragments: Fragments,
    connections: Connections,
    not_ip: u64,
    not_tcp: u64,
    without_payload: u64,
    short: u64,
    malformed: u64,
    snapped: u64,
    foreign: u64,
    foreign_links: Vec<u32>,
}

impl Dissector {
    fn new() -> Self {
        Self {
            fragments: Fragments::new(),
            connections: Connections::new(),
            not_ip: 0,
            not_tcp: 0,
            without_payload: 0,
            short: 0,
            malformed: 0,
            snapped: 0,
            foreign: 0,
            foreign_links: Vec::new(),
        }
    }

    #[inline]
    fn frame(&mut self, link: u32, frame: &[u8], wire: u32, at: u64, sink: &mut dyn Sink) {
        let offset = match link::ip_offset(link, frame) {
            Ok(offset) => offset,
            Err(Unread::NotIp) => return self.not_ip += 1,
            Err(Unread::Short) => return self.unreadable(frame, wire),
            Err(Unread::LinkType) => return self.foreign(link),
        };
        let packet = frame.get(offset..).unwrap_or_default();
        let Some(packet) = ip::parse(packet, wire.saturating_sub(offset as u32)) else {
            return self.unreadable(frame, wire);
        };
        let Some(fragment) = packet.fragment else {
            return self.datagram(&packet, at, sink);
        };
        if let Some(datagram) = self.fragments.add(&packet, fragment, at) {
            let (payload, length) = datagram.payload();
            match ip::walk(ip::Packet { payload, length, fragment: None, ..packet }) {
                Some(packet) => self.datagram(&packet, at, sink),
                None => self.malformed += 1,
            }
        }
    }

    #[inline]
    fn datagram(&mut self, packet: &ip::Packet<'_>, at: u64, sink: &mut dyn Sink) {
        if packet.protocol != 6 {
            return self.not_tcp += 1;
        }
        let Some(tcp) = tcp::parse(packet.payload, packet.length) else {
            return self.unreadable(packet.payload, packet.length);
        };
        let way = Way { source: packet.source, destination: packet.destination };
        let place = self.connections.place(way, &tcp, at);
        let flags = tcp.flags;
        if tcp.length == 0 && !flags.syn() && !flags.fin() && !flags.rst() {
            return self.without_payload += 1;
        }
        self.snapped += u64::from((tcp.payload.len() as u64) < u64::from(tcp.length));
        let segment = Segment {
            conn: place.conn,
            at,
            from: place.from,
            syn_seen: place.syn_seen,
            seq: tcp.seq,
            len: tcp.length,
            bytes: tcp.payload,
            fin: flags.fin(),
            rst: flags.rst(),
        };
        sink.segment(&segment, &place.flow);
    }

    /// Headers that end before they should: because of the snap length, or because they are nonsense.
    #[cold]
    fn unreadable(&mut self, captured: &[u8], wire: u32) {
        if (captured.len() as u64) < u64::from(wire) { self.short += 1 } else { self.malformed += 1 }
    }

    #[cold]
    fn foreign(&mut self, link: u32) {
        self.foreign += 1;
        if self.foreign_links.len() < MAX_NAMED && !self.foreign_links.contains(&link) {
            self.foreign_links.push(link);
        }
    }

    fn count(&self, stats: &mut SourceStats) {
        let losses = [
            ("connections_evicted", self.connections.evicted()),
            ("fragments_incomplete", self.fragments.incomplete()),
            ("fragments_refused", self.fragments.refused()),
            ("headers_cut", self.short),
            ("link_type", self.foreign),
            ("malformed", self.malformed),
            ("snapped", self.snapped),
        ];
        let counters = [
            ("connections", self.connections.seen()),
            ("connections_without_handshake", self.connections.guessed()),
            ("not_ip", self.not_ip),
            ("not_tcp", self.not_tcp),
            ("without_payload", self.without_payload),
        ];
        stats.losses.extend(losses.map(|(name, count)| (name.to_owned(), count)));
        stats.counters.extend(counters.map(|(name, count)| (name.to_owned(), count)));
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = Vec::new();
        if self.foreign > 0 {
            let named: Vec<_> =
                self.foreign_links.iter().map(|link| format!("{link} ({})", link::name(*link))).collect();
            all.push(Degradation {
                code: "capture-link-type".into(),
                severity: Severity::Partial,
                what: format!(
                    "{} packets have a link type that is not read: {}",
                    self.foreign,
                    named.join(", ")
                ),
                remedy: "capture on an Ethernet, loopback or `any` interface".into(),
            });
        }
        let snapped = self.snapped + self.short;
        if snapped > 0 {
            all.push(Degradation {
                code: "capture-snapped".into(),
                severity: Severity::Partial,
                what: format!("{snapped} packets were not captured whole: heads and bodies may be missing"),
                remedy: "capture whole packets: tcpdump -s 0".into(),
            });
        }
        all
    }
}

fn no_header(name: &str) -> SourceError {
    SourceError {
        what: format!("{name}: the file ends inside its own header: it holds no packets"),
        remedy: "copy or capture the file again".into(),
    }
}

fn foreign_link(name: &str, link: u32) -> SourceError {
    SourceError {
        what: format!("{name}: every packet has link type {link} ({}), which is not read", link::name(link)),
        remedy: "capture on an Ethernet, loopback or `any` interface".into(),
    }
}

fn cut(name: &str) -> Degradation {
    Degradation {
        code: "capture-cut".into(),
        severity: Severity::Notice,
        what: format!("{name} ends inside a packet: the capture was stopped or copied while it was written"),
        remedy: String::new(),
    }
}

fn damaged(name: &str, at: u64, why: &str, packets: u64) -> Degradation {
    Degradation {
        code: "capture-damaged".into(),
        severity: Severity::Partial,
        what: format!("{name}: {why} (at byte {at}): only the {packets} packets before it were read"),
        remedy: "copy or capture the file again".into(),
    }
}
