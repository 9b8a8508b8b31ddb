//! The classic format of libpcap: one header, one link type, then packets.

use super::{MAX_BLOCK, Record, Step, missing};
use crate::source::intake::Intake;
use crate::source::pcap::field::Order;
use std::io;

/// Length of the file header.
pub(in crate::source) const HEADER: usize = 24;
/// Bits of the link field that name the link type; the others hold the length of a checksum.
const LINK_BITS: u32 = 0x03ff_ffff;

/// A classic file behind its header.
#[derive(Debug)]
pub(in crate::source::pcap) struct Classic {
    order: Order,
    /// Nanoseconds per unit of the fraction: 1 or 1000.
    unit: u64,
    /// Length of a packet header: 16, or 24 in the variant of old Linux distributions.
    header: usize,
    link: u32,
}

impl Classic {
    /// Whether a file that begins with `magic` is in this format.
    pub(in crate::source) fn recognises(magic: [u8; 4]) -> bool {
        variant(magic).is_some()
    }

    /// Reads the file header from the first [`HEADER`] bytes; `None` when it is not one.
    pub(in crate::source::pcap) fn new(bytes: &[u8]) -> Option<Self> {
        let (order, unit, header) = variant(*bytes.first_chunk()?)?;
        let link = order.u32(bytes, HEADER - 4)? & LINK_BITS;
        Some(Self { order, unit, header, link })
    }

    /// The link type of every packet.
    pub(in crate::source::pcap) const fn link(&self) -> u32 {
        self.link
    }

    #[inline]
    pub(super) fn next(&mut self, intake: &mut Intake) -> io::Result<Step> {
        if let Some(step) = missing(intake.want(self.header)?, intake) {
            return Ok(step);
        }
        let Some(record) = self.record(intake.available()) else {
            return Ok(Step::Damaged("a packet is longer than any packet can be"));
        };
        Ok(missing(intake.want(record.length)?, intake).unwrap_or(Step::Packet(record)))
    }

    #[inline]
    fn record(&self, bytes: &[u8]) -> Option<Record> {
        let seconds = u64::from(self.order.u32(bytes, 0)?);
        let fraction = u64::from(self.order.u32(bytes, 4)?);
        let captured = self.order.u32(bytes, 8)?;
        let wire = self.order.u32(bytes, 12)?.max(captured);
        let captured = usize::try_from(captured).ok().filter(|captured| *captured <= MAX_BLOCK)?;
        let at = seconds * 1_000_000_000 + fraction * self.unit;
        let length = self.header + captured;
        Some(Record { at: Some(at), link: self.link, wire, skip: self.header, captured, length })
    }
}

const fn variant(magic: [u8; 4]) -> Option<(Order, u64, usize)> {
    match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((Order::Little, 1000, 16)),
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((Order::Big, 1000, 16)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((Order::Little, 1, 16)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((Order::Big, 1, 16)),
        [0x34, 0xcd, 0xb2, 0xa1] => Some((Order::Little, 1000, 24)),
        [0xa1, 0xb2, 0xcd, 0x34] => Some((Order::Big, 1000, 24)),
        _ => None,
    }
}
