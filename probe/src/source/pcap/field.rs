//! Integers at an offset, in either byte order; `None` where the bytes end before.

/// Byte order of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 16 bits at `at`.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u16::from_le_bytes(*field) } else { u16::from_be_bytes(*field) })
    }

    /// The 32 bits at `at`.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u32::from_le_bytes(*field) } else { u32::from_be_bytes(*field) })
    }

    /// The 64 bits at `at`.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u64::from_le_bytes(*field) } else { u64::from_be_bytes(*field) })
    }
}

/// The 16 bits at `at`, in network order.
#[inline]
pub(super) fn net16(bytes: &[u8], at: usize) -> Option<u16> {
    Order::Big.u16(bytes, at)
}

/// The 32 bits at `at`, in network order.
#[inline]
pub(super) fn net32(bytes: &[u8], at: usize) -> Option<u32> {
    Order::Big.u32(bytes, at)
}
