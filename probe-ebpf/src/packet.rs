//! Where the payload of a TCP packet begins, and the few header fields that matter.

use aya_ebpf::programs::SkBuffContext;

const IPPROTO_TCP: u8 = 6;
const TCP_FIN: u8 = 1;
const TCP_RST: u8 = 4;
const TCP_PSH: u8 = 8;
const IPV6_HEADER: usize = 40;
/// Extension headers that are walked; more than this is not legitimate traffic.
const MAX_EXTENSIONS: usize = 4;

/// A TCP packet of a socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Packet {
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// Acknowledged sequence number.
    pub ack: u32,
    /// Offset of the payload from the IP header.
    pub offset: u32,
    /// Payload bytes.
    pub payload: u32,
    flags: u8,
}

impl Packet {
    /// The sender will send nothing more.
    #[inline(always)]
    pub fn fin(&self) -> bool {
        self.flags & TCP_FIN != 0
    }

    /// The connection was reset.
    #[inline(always)]
    pub fn rst(&self) -> bool {
        self.flags & TCP_RST != 0
    }

    /// The sender's write ended here.
    #[inline(always)]
    pub fn push(&self) -> bool {
        self.flags & TCP_PSH != 0
    }
}

/// Why a packet was not parsed.
pub enum Unparsed {
    /// Not TCP, or shorter than its headers say.
    NotTcp,
    /// Too many IPv6 extension headers.
    TooManyHeaders,
}

/// Bytes of an IPv4 header without options and a TCP header without options.
const PLAIN_HEADERS: usize = 40;
const PLAIN_IPV4: u8 = 0x45;

/// Parses the headers of a packet that starts at its IP header.
#[inline(always)]
pub fn parse(ctx: &SkBuffContext) -> Result<Packet, Unparsed> {
    let headers: [u8; PLAIN_HEADERS] = ctx.load(0).map_err(|_| Unparsed::NotTcp)?;
    if headers[0] == PLAIN_IPV4 {
        let tcp = [
            headers[24],
            headers[25],
            headers[26],
            headers[27],
            headers[28],
            headers[29],
            headers[30],
            headers[31],
            headers[32],
            headers[33],
        ];
        return Ok(packet(ctx, 20, tcp));
    }
    let tcp_at = match headers[0] >> 4 {
        4 => ((headers[0] & 15) as usize) * 4,
        6 => ipv6_payload(ctx)?,
        _ => return Err(Unparsed::NotTcp),
    };
    let tcp: [u8; 10] = ctx.load(tcp_at + 4).map_err(|_| Unparsed::NotTcp)?;
    Ok(packet(ctx, tcp_at, tcp))
}

/// `tcp` are the bytes of the TCP header from the sequence number to the flags.
#[inline(always)]
fn packet(ctx: &SkBuffContext, tcp_at: usize, tcp: [u8; 10]) -> Packet {
    let offset = (tcp_at + ((tcp[8] >> 4) as usize) * 4) as u32;
    Packet {
        seq: u32::from_be_bytes([tcp[0], tcp[1], tcp[2], tcp[3]]),
        ack: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        offset,
        payload: ctx.len().saturating_sub(offset),
        flags: tcp[9],
    }
}

#[inline(always)]
fn ipv6_payload(ctx: &SkBuffContext) -> Result<usize, Unparsed> {
    let mut next: u8 = ctx.load(6).map_err(|_| Unparsed::NotTcp)?;
    let mut at = IPV6_HEADER;
    for _ in 0..MAX_EXTENSIONS {
        if next == IPPROTO_TCP {
            return Ok(at);
        }
        // hop-by-hop, routing, destination options: the only ones before TCP that are not fragments
        if next != 0 && next != 43 && next != 60 {
            return Err(Unparsed::NotTcp);
        }
        let header: [u8; 2] = ctx.load(at).map_err(|_| Unparsed::NotTcp)?;
        next = header[0];
        at += (header[1] as usize + 1) * 8;
    }
    if next == IPPROTO_TCP { Ok(at) } else { Err(Unparsed::TooManyHeaders) }
}
