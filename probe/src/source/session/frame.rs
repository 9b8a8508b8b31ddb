//! The envelope of a session file: a header, then frames that stand on their own.
//!
//! Every frame begins with a mark and carries its lengths, a checksum and its number, so that a reader
//! finds the next one behind whatever is damaged and knows how many it missed. What is inside is zstd; this is the only place that unpacks it.

use std::io;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, DParameter};

/// First bytes of a session: not text, and broken by a transfer that believes it is.
pub(crate) const MAGIC: [u8; 8] = *b"\x89APISEC\n";
/// Format that is written, and the newest that is read.
pub(crate) const VERSION: u16 = 5;
/// Length of the file header: the magic, the version, reserved bytes.
pub(crate) const FILE_HEADER: usize = 16;
/// Length of a frame header: the mark, the checksum of the rest, the number, the raw and the packed length.
pub(crate) const FRAME_HEADER: usize = 20;
/// Largest unpacked frame: the recorder closes a frame at 1 MiB, and one record is far below the rest.
pub(crate) const MAX_RAW: usize = 4 << 20;
/// Largest packed frame: what zstd makes of incompressible bytes is hardly longer than they are.
const MAX_PACKED: usize = MAX_RAW + MAX_RAW / 128;
/// First bytes of a frame.
const MARK: [u8; 4] = [0xf7, 0x5e, 0xc0, 0x01];
/// Level 3 packs calls to about a tenth at several hundred MB/s.
const LEVEL: i32 = 3;
/// 4 MiB, the window that a frame of [`MAX_RAW`] can use: more is an attempt to make us allocate.
const WINDOW_LOG: u32 = 22;

/// The header of a file.
pub(crate) fn file_header() -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// The version in the header of a file; `None` when it is not a session or is cut.
pub(crate) fn version(bytes: &[u8]) -> Option<u16> {
    let header: &[u8; FILE_HEADER] = bytes.first_chunk()?;
    header.starts_with(&MAGIC).then(|| u16::from_le_bytes([header[8], header[9]]))
}

/// Packs frames.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    /// # Errors
    /// There is no memory.
    pub(crate) fn new() -> io::Result<Self> {
        let mut packer = Compressor::new(LEVEL)?;
        packer.set_parameter(CParameter::WindowLog(WINDOW_LOG - 1))?;
        Ok(Self(packer))
    }

    /// Writes `raw` as the frame with this number into `out`, which is cleared.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn frame(&mut self, number: u32, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        out.resize(FRAME_HEADER + zstd::zstd_safe::compress_bound(raw.len()), 0);
        let room = out.get_mut(FRAME_HEADER..).unwrap_or_default();
        let packed = self.0.compress_to_buffer(raw, room)?;
        out.truncate(FRAME_HEADER + packed);
        let (room, packed) = out.split_at_mut(FRAME_HEADER);
        room.copy_from_slice(&frame_header(number, raw.len(), packed));
        Ok(())
    }
}

fn frame_header(number: u32, raw: usize, packed: &[u8]) -> [u8; FRAME_HEADER] {
    let mut header = [0; FRAME_HEADER];
    header[..4].copy_from_slice(&MARK);
    header[8..12].copy_from_slice(&number.to_le_bytes());
    header[12..16].copy_from_slice(&(raw as u32).to_le_bytes());
    header[16..].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&header[8..]);
    checksum.update(packed);
    header[4..8].copy_from_slice(&checksum.finalize().to_le_bytes());
    header
}

/// A frame header with plausible lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHead {
    checksum: u32,
    /// Counts the frames of a file from 0.
    pub(crate) number: u32,
    raw: usize,
    packed: usize,
}

impl FrameHead {
    /// Reads the header at the start of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; FRAME_HEADER] = bytes.first_chunk()?;
        let field = |at: usize| header.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok();
        let head = Self {
            checksum: field(4)?,
            number: field(8)?,
            raw: field(12)? as usize,
            packed: field(16)? as usize,
        };
        (header.starts_with(&MARK) && head.raw <= MAX_RAW && head.packed <= MAX_PACKED).then_some(head)
    }

    /// Length of the frame with its header.
    pub(crate) const fn length(&self) -> usize {
        FRAME_HEADER + self.packed
    }

    /// Whether `frame` is what was written.
    pub(crate) fn verifies(&self, frame: &[u8]) -> bool {
        frame.get(8..self.length()).is_some_and(|rest| crc32fast::hash(rest) == self.checksum)
    }
}

/// Unpacks frames.
pub(crate) struct Unpacker(Decompressor<'static>);

impl Unpacker {
    /// # Errors
    /// There is no memory.
    pub(crate) fn new() -> io::Result<Self> {
        let mut unpacker = Decompressor::new()?;
        unpacker.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self(unpacker))
    }

    /// Unpacks a verified frame into `out`, which is cleared; whether it holds what its header says.
    pub(crate) fn unpack(&mut self, head: &FrameHead, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let packed = frame.get(FRAME_HEADER..head.length()).unwrap_or_default();
        out.clear();
        out.resize(head.raw, 0);
        self.0.decompress_to_buffer(packed, out.as_mut_slice()).is_ok_and(|length| length == head.raw)
    }
}

/// Where the next frame may begin behind the first byte of `bytes`; `None` when no mark stands there.
pub(crate) fn next_mark(bytes: &[u8]) -> Option<usize> {
    let behind = bytes.get(1..)?;
    behind.windows(MARK.len()).position(|window| window == MARK).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Packer::new().unwrap().frame(7, raw, &mut out).unwrap();
        out
    }

    fn unpacked(frame: &[u8]) -> Option<Vec<u8>> {
        let head = FrameHead::parse(frame).filter(|head| head.verifies(frame))?;
        let mut out = Vec::new();
        Unpacker::new().unwrap().unpack(&head, frame, &mut out).then_some(out)
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let zeros = vec![0; 2 * MAX_RAW];
        let bomb = zstd::bulk::compress(&zeros, 3).unwrap();
        let mut frame = framed(b"");
        frame.truncate(FRAME_HEADER);
        frame.extend(&bomb);
        for raw in [MAX_RAW, MAX_RAW + 1, 10, zeros.len()] {
            frame[12..16].copy_from_slice(&(raw as u32).to_le_bytes());
            frame[16..20].copy_from_slice(&(bomb.len() as u32).to_le_bytes());
            let checksum = crc32fast::hash(&frame[8..]);
            frame[4..8].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(unpacked(&frame), None, "{raw}");
        }
    }

    #[test]
    fn the_largest_frame_fits() {
        let raw: Vec<u8> = (0..MAX_RAW as u64)
            .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        assert_eq!(unpacked(&framed(&raw)), Some(raw));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(raw in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(unpacked(&framed(&raw)), Some(raw));
        }

        #[test]
        fn every_changed_byte_is_noticed(raw in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, flip in 1..=255_u8) {
            let mut frame = framed(&raw);
            let at = at.index(frame.len());
            frame[at] ^= flip;
            prop_assert_eq!(unpacked(&frame), None);
        }

        #[test]
        fn marks_are_found(before in prop::collection::vec(0..=0xf6_u8, 1..50)) {
            let bytes = [before.clone(), framed(b"x")].concat();
            prop_assert_eq!(next_mark(&bytes), Some(before.len()));
        }
    }
}
