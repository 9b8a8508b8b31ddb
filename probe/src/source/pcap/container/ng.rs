//! pcapng: sections of blocks, each section with its byte order and its interfaces.
//!
//! Reads section headers, interface descriptions and statistics, and the three kinds of packet block.
//! Everything else (name resolution, decryption secrets, comments, journal entries) is skipped.

use super::{MAX_BLOCK, Record, Step, missing};
use crate::source::intake::{Filled, Intake};
use crate::source::pcap::field::Order;
use std::io;

/// Block type of a section header, the same in both byte orders.
pub(in crate::source) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Most interfaces of a section: more than any host has, and a bound on what a hostile file makes us keep.
const MAX_INTERFACES: usize = 4096;
/// Type, length, and the length again at the end.
const FRAME: usize = 12;

/// How the time stamps of an interface become nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Multiply(u64),
    Divide(u64),
    /// Units are 2^-n seconds.
    Shift(u32),
}

/// One interface of the section.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    snap: u32,
    resolution: Resolution,
    /// Seconds to add to every time stamp.
    offset: i64,
    /// Packets that the capture lost on it, as last said.
    dropped: u64,
}

/// A pcapng file.
#[derive(Debug)]
pub(in crate::source::pcap) struct Ng {
    order: Order,
    interfaces: Vec<Interface>,
    dropped_before: u64,
    /// Bytes of an uninteresting block that are still to be skipped.
    skip: u64,
}

impl Ng {
    /// A file that begins with [`SECTION`], still to be read.
    pub(in crate::source::pcap) const fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), dropped_before: 0, skip: 0 }
    }

    /// Packets lost by the capture, over all sections and interfaces.
    pub(super) fn dropped(&self) -> u64 {
        self.interfaces.iter().fold(self.dropped_before, |sum, each| sum.saturating_add(each.dropped))
    }

    pub(super) fn next(&mut self, intake: &mut Intake) -> io::Result<Step> {
        if self.skip > 0 {
            return self.skip_on(intake);
        }
        if let Some(step) = missing(intake.want(FRAME)?, intake) {
            return Ok(step);
        }
        let bytes = intake.available();
        if bytes.starts_with(&SECTION) {
            match bytes.get(8..12) {
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => self.order = Order::Little,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => self.order = Order::Big,
                _ => return Ok(Step::Damaged("a section header has no byte order mark")),
            }
        }
        let (Some(kind), Some(length)) = (self.order.u32(bytes, 0), self.order.u32(bytes, 4)) else {
            return Ok(Step::Cut);
        };
        self.block(kind, length as usize, intake)
    }

    fn block(&mut self, kind: u32, length: usize, intake: &mut Intake) -> io::Result<Step> {
        if length < FRAME {
            return Ok(Step::Damaged("a block is shorter than its own header"));
        }
        // The specification pads blocks to 32 bits; some writers forget to count the padding.
        let length = length.next_multiple_of(4);
        if !matches!(kind, 1..=3 | 5 | 6 | 0x0a0d_0d0a) {
            self.skip = length as u64;
            return self.skip_on(intake);
        }
        if length > MAX_BLOCK {
            return Ok(Step::Damaged("a block is longer than any packet can be"));
        }
        if let Some(step) = missing(intake.want(length)?, intake) {
            return Ok(step);
        }
        let block = intake.available().get(..length - 4).unwrap_or_default();
        let step = match kind {
            1 => self.describe_interface(block),
            2 => self.obsolete_packet(block, length),
            3 => self.simple_packet(block, length),
            5 => self.statistics(block),
            6 => self.enhanced_packet(block, length),
            _ => self.section(),
        };
        let step = step.unwrap_or(Step::Damaged("a block contradicts its own length"));
        if step == Step::Other {
            intake.consume(length);
        }
        Ok(step)
    }

    fn skip_on(&mut self, intake: &mut Intake) -> io::Result<Step> {
        while self.skip > 0 {
            match intake.want(1)? {
                Filled::Yes => {}
                Filled::Idle => return Ok(Step::Idle),
                Filled::End => return Ok(Step::Cut),
            }
            let count = intake.available().len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            intake.consume(count);
            self.skip -= count as u64;
        }
        Ok(Step::Other)
    }

    fn section(&mut self) -> Option<Step> {
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        Some(Step::Other)
    }

    fn describe_interface(&mut self, block: &[u8]) -> Option<Step> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Some(Step::Damaged("a section has more interfaces than any host"));
        }
        let mut interface = Interface {
            link: u32::from(self.order.u16(block, 8)?),
            snap: self.order.u32(block, 12)?,
            resolution: Resolution::Multiply(1000),
            offset: 0,
            dropped: 0,
        };
        let order = self.order;
        each_option(order, block, 16, |code, value| match code {
            9 => interface.resolution = value.first().map_or(interface.resolution, |unit| resolution(*unit)),
            14 => interface.offset = order.u64(value, 0).map_or(0, u64::cast_signed),
            _ => {}
        });
        self.interfaces.push(interface);
        Some(Step::Other)
    }

    /// Options 5 and 7: dropped by the interface, dropped by the operating system.
    fn statistics(&mut self, block: &[u8]) -> Option<Step> {
        let index = self.order.u32(block, 8)? as usize;
        let (order, mut dropped) = (self.order, 0_u64);
        each_option(order, block, 20, |code, value| {
            if matches!(code, 5 | 7) {
                dropped = dropped.saturating_add(order.u64(value, 0).unwrap_or(0));
            }
        });
        if let Some(interface) = self.interfaces.get_mut(index) {
            interface.dropped = dropped;
        }
        Some(Step::Other)
    }

    #[inline]
    fn enhanced_packet(&self, block: &[u8], length: usize) -> Option<Step> {
        let interface = self.order.u32(block, 8)?;
        self.packet(interface, block, 12, length)
    }

    fn obsolete_packet(&self, block: &[u8], length: usize) -> Option<Step> {
        let interface = u32::from(self.order.u16(block, 8)?);
        self.packet(interface, block, 12, length)
    }

    /// Time stamp, captured and wire length stand at `at`, then the packet.
    #[inline]
    fn packet(&self, interface: u32, block: &[u8], at: usize, length: usize) -> Option<Step> {
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return Some(Step::Damaged("a packet names an interface that is not described"));
        };
        let high = u64::from(self.order.u32(block, at)?);
        let low = u64::from(self.order.u32(block, at + 4)?);
        let captured = self.order.u32(block, at + 8)?;
        let wire = self.order.u32(block, at + 12)?.max(captured);
        let (skip, captured) = (at + 16, captured as usize);
        (captured <= block.len().checked_sub(skip)?).then_some(())?;
        let at = Some(interface.nanoseconds(high << 32 | low));
        Some(Step::Packet(Record { at, link: interface.link, wire, skip, captured, length }))
    }

    fn simple_packet(&self, block: &[u8], length: usize) -> Option<Step> {
        let Some(interface) = self.interfaces.first() else {
            return Some(Step::Damaged("a packet stands before the description of its interface"));
        };
        let wire = self.order.u32(block, 8)?;
        let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
        let captured = (wire.min(snap) as usize).min(block.len().checked_sub(12)?);
        Some(Step::Packet(Record { at: None, link: interface.link, wire, skip: 12, captured, length }))
    }
}

impl Interface {
    #[inline]
    fn nanoseconds(&self, units: u64) -> u64 {
        let since = match self.resolution {
            Resolution::Multiply(factor) => units.saturating_mul(factor),
            Resolution::Divide(factor) => units / factor,
            Resolution::Shift(bits) => {
                u64::try_from((u128::from(units) * 1_000_000_000) >> bits).unwrap_or(u64::MAX)
            }
        };
        since.saturating_add_signed(self.offset.saturating_mul(1_000_000_000))
    }
}

/// if_tsresol: the exponent of 10, or of 2 when the highest bit is set.
fn resolution(unit: u8) -> Resolution {
    let exponent = u32::from(unit & 0x7f);
    if unit & 0x80 != 0 {
        return Resolution::Shift(exponent);
    }
    match 9_u32.checked_sub(exponent) {
        Some(up) => Resolution::Multiply(10_u64.pow(up)),
        None => Resolution::Divide(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX)),
    }
}

fn each_option(order: Order, block: &[u8], mut at: usize, mut each: impl FnMut(u16, &[u8])) {
    while let (Some(code), Some(length)) = (order.u16(block, at), order.u16(block, at + 2)) {
        let length = usize::from(length);
        let Some(value) = block.get(at + 4..at + 4 + length) else { return };
        if code == 0 {
            return;
        }
        each(code, value);
        at += 4 + length.next_multiple_of(4);
    }
}
