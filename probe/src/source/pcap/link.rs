//! Where the IP packet begins inside a frame of each link type that we read.
//!
//! Tunnels (GRE, VXLAN, MPLS, PPPoE) and wireless frames are not looked into: they count as not IP.

use super::field::net16;

/// Stacked VLAN tags that are walked: two are common (QinQ), more than four are an attack.
const MAX_TAGS: usize = 4;

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: [u32; 5] = [12, 14, 101, 228, 229];
const LOOP: u32 = 108;
const COOKED: u32 = 113;
const COOKED_2: u32 = 276;

/// Why a frame holds no IP packet for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Another protocol: ARP, spanning tree.
    NotIp,
    /// The frame ends before its own header does.
    Short,
    /// A link type that we do not know.
    LinkType,
}

/// Whether frames of `link` are read at all.
pub(super) fn is_read(link: u32) -> bool {
    matches!(link, NULL | ETHERNET | LOOP | COOKED | COOKED_2) || RAW.contains(&link)
}

/// Names of link types that people meet and we do not read, for messages.
pub(super) const fn name(link: u32) -> &'static str {
    match link {
        9 => "PPP",
        50 => "PPP over HDLC",
        51 => "PPPoE",
        105 => "IEEE 802.11",
        127 => "IEEE 802.11 radiotap",
        147..=162 => "private",
        187 | 201 => "Bluetooth",
        189 | 220 => "USB",
        195 | 230 => "IEEE 802.15.4",
        227 => "CAN",
        239 => "netfilter log",
        252 => "exported by Wireshark",
        253 => "netlink",
        _ => "unknown",
    }
}

/// Offset of the IP packet in `frame`.
#[inline]
pub(super) fn ip_offset(link: u32, frame: &[u8]) -> Result<usize, Unread> {
    match link {
        ETHERNET => tagged(frame, 12),
        NULL | LOOP => family(frame),
        COOKED => tagged(frame, 14),
        COOKED_2 => cooked_2(frame),
        _ if RAW.contains(&link) => Ok(0),
        _ => Err(Unread::LinkType),
    }
}

/// Walks VLAN tags from the protocol field at `at` to the end of an IP protocol field.
#[inline]
fn tagged(frame: &[u8], mut at: usize) -> Result<usize, Unread> {
    for _ in 0..=MAX_TAGS {
        match net16(frame, at).ok_or(Unread::Short)? {
            0x0800 | 0x86dd => return Ok(at + 2),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => at += 4,
            _ => return Err(Unread::NotIp),
        }
    }
    Err(Unread::NotIp)
}

/// Linux cooked, version 2: the protocol stands first, VLAN tags behind the header of 20 bytes.
fn cooked_2(frame: &[u8]) -> Result<usize, Unread> {
    match net16(frame, 0).ok_or(Unread::Short)? {
        0x0800 | 0x86dd => Ok(20),
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => tagged(frame, 22),
        _ => Err(Unread::NotIp),
    }
}

/// BSD loopback: an address family in the byte order of the capturing host, whose numbers for IPv6 differ.
fn family(frame: &[u8]) -> Result<usize, Unread> {
    let family = match frame.first_chunk() {
        Some([family, 0, 0, 0] | [0, 0, 0, family]) => *family,
        Some(_) => return Err(Unread::NotIp),
        None => return Err(Unread::Short),
    };
    if matches!(family, 2 | 10 | 24 | 28 | 30) { Ok(4) } else { Err(Unread::NotIp) }
}
