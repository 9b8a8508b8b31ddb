//! One record of the ring, decoded and handed on to whom it concerns.

use super::ends::Ends;
use crate::flow::Flow;
use crate::source::Sink;
use crate::tls::opaque::Unread;
use crate::tls::probes::Probes;
use crate::tls::sessions::{Sessions, Way};
use apisec_abi::{
    DataHeader, Exec, Exit, FLAG_EGRESS, FLAG_FIN, FLAG_HANDSHAKE, FLAG_RST, FLAG_SYN_SEEN, KIND_DATA,
    KIND_EXEC, KIND_EXIT, KIND_OPAQUE, KIND_OPEN, KIND_TLS_DATA, KIND_TLS_END, KIND_TLS_TIE, KIND_TLS_TOLD,
    OpaqueBytes, Open, ROLE_CLIENT, TlsData, TlsEnd, TlsTie, VERDICT_TLS, VERDICT_TLS_HELLO,
};
use apisec_proto::call::Vantage;
use apisec_proto::segment::{ConnId, Segment, Side};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What records are handed on with; apart from the ring, which lends them.
pub(super) struct Desk<'a> {
    pub clock_offset: u64,
    pub ends: &'a mut Ends,
    pub shipped: &'a mut Shipped,
    pub sessions: &'a mut Sessions,
    pub unread: &'a mut Unread,
    pub probes: &'a mut Option<Probes>,
}

impl Desk<'_> {
    /// Decodes one record; `None` when it is not one that this build knows.
    pub(super) fn hand_on(&mut self, record: &[u8], sink: &mut dyn Sink) -> Option<()> {
        let offset = self.clock_offset;
        match *record.first()? {
            KIND_DATA => {
                let (header, payload) = data(record)?;
                if header.flags & FLAG_HANDSHAKE != 0 {
                    self.sessions.greeted(&header, payload);
                } else if !self.ends.is_covered(header.cookie) {
                    self.shipped.add(&header);
                    segment(&header, payload, offset, sink);
                }
            }
            KIND_OPEN => {
                let mut open = fixed::<Open>(record)?;
                open.at = open.at.saturating_add(offset);
                self.opened(&open, sink);
            }
            KIND_EXEC => {
                let mut exec = fixed::<Exec>(record)?;
                exec.at = exec.at.saturating_add(offset);
                if let Some(probes) = self.probes {
                    probes.started(exec.tgid);
                }
                sink.started(&exec);
            }
            KIND_EXIT => {
                let mut exit = fixed::<Exit>(record)?;
                exit.at = exit.at.saturating_add(offset);
                if let Some(probes) = self.probes {
                    probes.ended(exit.tgid);
                }
                sink.ended(&exit);
            }
            KIND_TLS_DATA => {
                let header = fixed::<TlsData>(record)?;
                let payload = record.get(size_of::<TlsData>()..)?.get(..header.captured as usize)?;
                self.joined(sink, |sessions, way| sessions.data(&header, payload, way));
            }
            KIND_TLS_TOLD => {
                let header = fixed::<TlsData>(record)?;
                let what = record.get(size_of::<TlsData>()..)?.get(..header.captured as usize)?;
                self.joined(sink, |sessions, way| sessions.told(&header, what, way));
            }
            KIND_TLS_TIE => {
                let tie = fixed(record)?;
                self.joined(sink, |sessions, way| sessions.tied(&tie, way));
            }
            KIND_TLS_END => {
                let end = fixed(record)?;
                self.joined(sink, |sessions, way| sessions.ended(&end, way));
            }
            KIND_OPAQUE => {
                let bytes = fixed::<OpaqueBytes>(record)?;
                if !self.ends.is_covered(bytes.cookie) {
                    self.unread.heard(&bytes);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Plaintext of TLS, on its way to its connection.
    fn joined(&mut self, sink: &mut dyn Sink, join: impl FnOnce(&mut Sessions, &mut Way<'_>)) {
        let probes = self.probes.as_ref();
        let library = |pid| probes.map(|probes| probes.library_of(pid)).unwrap_or_default();
        join(self.sessions, &mut Way { offset: self.clock_offset, sink, library: &library });
    }

    fn opened(&mut self, open: &Open, sink: &mut dyn Sink) {
        if let Some(twice) = self.ends.join(open) {
            self.sessions.superseded(twice.0, open.cookie);
            sink.discard(twice);
        }
        if self.ends.is_covered(open.cookie) {
            return;
        }
        if matches!(open.verdict, VERDICT_TLS | VERDICT_TLS_HELLO) {
            self.joined(sink, |sessions, way| sessions.opened(open, way));
        }
        sink.opened(open);
    }
}

fn segment(header: &DataHeader, payload: &[u8], clock_offset: u64, sink: &mut dyn Sink) {
    let local = address(header.local_addr, header.local_port);
    let remote = address(header.remote_addr, header.remote_port);
    let (flow, local_side) = if header.role == ROLE_CLIENT {
        (Flow { client: local, server: remote, vantage: Vantage::Client }, Side::Client)
    } else {
        (Flow { client: remote, server: local, vantage: Vantage::Server }, Side::Server)
    };
    let segment = Segment {
        conn: ConnId(header.cookie),
        at: header.at.saturating_add(clock_offset),
        from: if header.flags & FLAG_EGRESS != 0 { local_side } else { local_side.peer() },
        syn_seen: header.flags & FLAG_SYN_SEEN != 0,
        seq: header.seq,
        len: header.total,
        bytes: payload,
        fin: header.flags & FLAG_FIN != 0,
        rst: header.flags & FLAG_RST != 0,
    };
    sink.segment(&segment, &flow);
}

/// An address from the kernel's 16 bytes; mapped IPv4 becomes IPv4.
#[must_use]
pub fn address(bytes: [u8; 16], port: u16) -> SocketAddr {
    let address = Ipv6Addr::from(bytes);
    let ip = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
    SocketAddr::new(ip, port)
}

fn data(record: &[u8]) -> Option<(DataHeader, &[u8])> {
    let header = fixed::<DataHeader>(record)?;
    let payload = record.get(size_of::<DataHeader>()..)?;
    Some((header, payload.get(..header.captured as usize)?))
}

/// Records that cross the kernel boundary: plain integers, any bit pattern is a value.
trait Plain: Copy {}
impl Plain for DataHeader {}
impl Plain for Open {}
impl Plain for Exec {}
impl Plain for Exit {}
impl Plain for TlsData {}
impl Plain for OpaqueBytes {}
impl Plain for TlsTie {}
impl Plain for TlsEnd {}

#[expect(unsafe_code, reason = "the ABI records are plain integers, read from bytes of sufficient length")]
fn fixed<T: Plain>(record: &[u8]) -> Option<T> {
    let bytes = record.get(..size_of::<T>())?;
    // SAFETY: `bytes` is as long as `T`, and every bit pattern of `T` is a value.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Payload bytes of the records that were handed on.
#[derive(Default)]
pub(super) struct Shipped {
    pub total: u64,
    pub copied: u64,
}

impl Shipped {
    fn add(&mut self, header: &DataHeader) {
        self.total += u64::from(header.total);
        self.copied += u64::from(header.captured.min(header.total));
    }
}
