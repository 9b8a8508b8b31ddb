//! The TCP header.

use super::field::{net16, net32};

/// A TCP segment as captured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tcp<'a> {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// Sequence number of the first payload byte, the one that SYN takes already added.
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    /// Payload bytes on the wire.
    pub(super) length: u32,
    /// What was captured of them.
    pub(super) payload: &'a [u8],
}

/// The flag bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const fn fin(self) -> bool {
        self.0 & 1 != 0
    }

    pub(super) const fn syn(self) -> bool {
        self.0 & 2 != 0
    }

    pub(super) const fn rst(self) -> bool {
        self.0 & 4 != 0
    }

    pub(super) const fn ack(self) -> bool {
        self.0 & 16 != 0
    }
}

/// Reads the segment of `length` bytes on the wire whose captured part is `bytes`; `None` when it ends
/// inside its header.
#[inline]
pub(super) fn parse(bytes: &[u8], length: u32) -> Option<Tcp<'_>> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let start = usize::from(header[12] >> 4) * 4;
    if start < header.len() {
        return None;
    }
    let flags = Flags(header[13]);
    // The text that a reset may carry (RFC 9293 §3.5.3) is not part of the stream.
    let length = if flags.rst() { 0 } else { length.checked_sub(start as u32)? };
    // Options that were not captured leave no payload, but its length is known.
    let payload = bytes.get(start..).unwrap_or_default();
    Some(Tcp {
        source: net16(header, 0)?,
        destination: net16(header, 2)?,
        seq: net32(header, 4)?.wrapping_add(u32::from(flags.syn())),
        ack: net32(header, 8)?,
        flags,
        length,
        payload: payload.get(..length as usize).unwrap_or(payload),
    })
}
