//! IPv4 and IPv6 headers, as far as they tell where the TCP segment is. Checksums are not verified:
//! captures on the sending host hold unfinished ones.

use super::field::{net16, net32};
use std::net::{IpAddr, Ipv6Addr};

/// Extension headers that are walked; a sane packet has at most four.
const MAX_EXTENSION_HEADERS: usize = 16;

/// An address as IPv6, IPv4 ones mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address(u128);

impl Address {
    const fn v4(bits: u32) -> Self {
        Self(0xffff_0000_0000 | bits as u128)
    }

    /// The address, mapped ones as IPv4.
    pub(super) const fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }
}

/// The part of a datagram that a fragment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Identification, to be read together with the addresses and the protocol.
    pub(super) id: u32,
    /// Offset of its payload in the datagram's.
    pub(super) offset: u32,
    /// Others follow.
    pub(super) more: bool,
}

/// An IP packet whose headers have been walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// What the payload is; for a fragment, what the whole datagram's is.
    pub(super) protocol: u8,
    /// What was captured of the payload.
    pub(super) payload: &'a [u8],
    /// Its length on the wire.
    pub(super) length: u32,
    /// Set when the payload is only a part of a datagram's.
    pub(super) fragment: Option<Fragment>,
}

/// Reads the packet that begins `bytes` and is `wire` long with what may be padding; `None` when it is
/// not IP or ends inside its headers.
#[inline]
pub(super) fn parse(bytes: &[u8], wire: u32) -> Option<Packet<'_>> {
    match bytes.first()? >> 4 {
        4 => v4(bytes, wire),
        6 => v6(bytes, wire),
        _ => None,
    }
}

#[inline]
fn v4(bytes: &[u8], wire: u32) -> Option<Packet<'_>> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let start = usize::from(header[0] & 0x0f) * 4;
    let total = match net16(header, 2)? {
        // Segmentation offload: the packet was captured before its length was known.
        0 => wire,
        total => u32::from(total),
    };
    let flags = net16(header, 6)?;
    let fragment = Fragment {
        id: u32::from(net16(header, 4)?),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
    };
    let packet = Packet {
        source: Address::v4(net32(header, 12)?),
        destination: Address::v4(net32(header, 16)?),
        protocol: header[9],
        payload: bytes.get(start..(total as usize).min(bytes.len()))?,
        length: total.checked_sub(start as u32)?,
        fragment: (fragment.more || fragment.offset > 0).then_some(fragment),
    };
    match packet.protocol {
        _ if start < header.len() => None,
        AUTHENTICATION if packet.fragment.is_none() => walk(packet),
        _ => Some(packet),
    }
}

#[inline]
fn v6(bytes: &[u8], wire: u32) -> Option<Packet<'_>> {
    let header: &[u8; 40] = bytes.first_chunk()?;
    let length = match net16(header, 4)? {
        // A jumbogram, or segmentation offload.
        0 => wire.checked_sub(40)?,
        length => u32::from(length),
    };
    let (source, destination) = (*header[8..].first_chunk()?, *header[24..].first_chunk()?);
    walk(Packet {
        source: Address(u128::from_be_bytes(source)),
        destination: Address(u128::from_be_bytes(destination)),
        protocol: header[6],
        payload: bytes.get(40..(40 + length as usize).min(bytes.len()))?,
        length,
        fragment: None,
    })
}

const AUTHENTICATION: u8 = 51;

/// Walks extension headers to what they carry, or to a fragment.
#[inline]
pub(super) fn walk(mut packet: Packet<'_>) -> Option<Packet<'_>> {
    for _ in 0..MAX_EXTENSION_HEADERS {
        let payload = packet.payload;
        let size = match packet.protocol {
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*payload.get(1)?) + 1) * 8,
            AUTHENTICATION => (usize::from(*payload.get(1)?) + 2) * 4,
            44 => 8,
            _ => return Some(packet),
        };
        if packet.protocol == 44 {
            packet.fragment = fragment(payload)?;
        }
        packet.protocol = *payload.first()?;
        packet.payload = payload.get(size..)?;
        packet.length = packet.length.checked_sub(size as u32)?;
        if packet.fragment.is_some() {
            return Some(packet);
        }
    }
    None
}

/// The fragment header of IPv6; an atomic fragment (RFC 6946) is the whole datagram and is none.
fn fragment(header: &[u8]) -> Option<Option<Fragment>> {
    let place = net16(header, 2)?;
    let fragment =
        Fragment { id: net32(header, 4)?, offset: u32::from(place & 0xfff8), more: place & 1 != 0 };
    Some((fragment.more || fragment.offset > 0).then_some(fragment))
}
