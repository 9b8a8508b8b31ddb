//! Content codings, undone: every compressed byte of the wire goes through [`Unpacker::unpack`] and its caps.
//!
//! What comes out is bounded absolutely and by its ratio to what went in; a window larger than the cap is refused.
//! A body may be cut anywhere: what was unpacked until then counts.

use super::Coding;
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::FrameDecoder;
use std::io::Read;

/// Most bytes that come out of one body.
pub(crate) const MAX_UNPACKED: usize = 128 * 1024;
/// Most bytes that come out per byte that goes in, beyond the first [`FREE`]: real text reaches 20.
const MAX_RATIO: usize = 64;
/// Bytes that are not weighed: short repetitive documents pack well.
const FREE: usize = 16 * 1024;
/// Largest window of zstd (RFC 9659).
const MAX_WINDOW: u64 = 8 << 20;
/// Largest window of brotli in bits: what servers use on the fly; 24 are possible.
const MAX_BROTLI_BITS: u8 = 22;
/// Members of one gzip body.
const MAX_MEMBERS: usize = 16;

/// How the unpacking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body was complete.
    Whole,
    /// The bytes ended before the body did.
    Cut,
    /// It grew beyond the caps.
    Capped,
    /// It is not of this coding, or broken.
    Bad,
}

/// Undoes content codings; keeps its buffers.
#[derive(Default)]
pub(crate) struct Unpacker {
    out: Vec<u8>,
    inflate: Option<Inflate>,
}

impl Coding {
    /// The coding that a `content-encoding` names.
    pub(crate) fn named(value: &[u8]) -> Self {
        let is = |name: &str| value.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        if value.trim_ascii().is_empty() || is("identity") {
            Self::Identity
        } else if is("gzip") || is("x-gzip") {
            Self::Gzip
        } else if is("deflate") {
            Self::Deflate
        } else if is("br") {
            Self::Br
        } else if is("zstd") {
            Self::Zstd
        } else {
            Self::Unknown
        }
    }
}

impl Unpacker {
    /// Undoes `coding`, at most to `cap` bytes. A body without a coding is lent as it is.
    pub(crate) fn unpack<'a>(&'a mut self, coding: Coding, body: &'a [u8], cap: usize) -> (&'a [u8], Ending) {
        if coding == Coding::Identity {
            return (body, Ending::Whole);
        }
        let limit = cap.min(MAX_UNPACKED).min(FREE.max(body.len().saturating_mul(MAX_RATIO)));
        self.out.clear();
        let Self { out, inflate } = self;
        let ending = match coding {
            Coding::Gzip => gzip(inflate.get_or_insert_with(Inflate::raw), body, limit, out),
            Coding::Deflate => deflate(inflate.get_or_insert_with(Inflate::raw), body, limit, out),
            Coding::Br => brotli(body, limit, out),
            Coding::Zstd => zstd(body, limit, out),
            Coding::Identity | Coding::Unknown => Ending::Bad,
        };
        (out, ending)
    }
}

/// An inflater of raw deflate, with the window that it keeps between calls.
pub(crate) struct Inflate(Decompress);

impl Inflate {
    pub(crate) fn raw() -> Self {
        Self(Decompress::new(false))
    }

    /// Forgets its window.
    pub(crate) fn reset(&mut self) {
        self.0.reset(false);
    }

    /// Unpacks up to `room` bytes, which it takes off, and appends those of them to `out` that it may hold (`keep`).
    /// Says how much of `input` was used.
    pub(crate) fn run(
        &mut self,
        input: &[u8],
        keep: usize,
        room: &mut usize,
        out: &mut Vec<u8>,
    ) -> (Ending, usize) {
        let before = self.0.total_in();
        let mut buffer = [0; STEP];
        let ending = loop {
            let used = (self.0.total_in() - before) as usize;
            let rest = input.get(used..).unwrap_or_default();
            if *room == 0 {
                break if rest.is_empty() { Ending::Cut } else { Ending::Capped };
            }
            let made = self.0.total_out();
            let piece = buffer.get_mut(..STEP.min(*room)).unwrap_or_default();
            let status = self.0.decompress(rest, piece, FlushDecompress::None);
            let made = (self.0.total_out() - made) as usize;
            *room = room.saturating_sub(made);
            let kept = made.min(keep.saturating_sub(out.len()));
            out.extend_from_slice(buffer.get(..kept).unwrap_or_default());
            let moved = made > 0 || (self.0.total_in() - before) as usize > used;
            match status {
                Ok(Status::StreamEnd) => break Ending::Whole,
                Ok(Status::Ok | Status::BufError) if moved => {}
                Ok(_) => break Ending::Cut,
                Err(_) => break Ending::Bad,
            }
        };
        (ending, (self.0.total_in() - before) as usize)
    }
}

/// Bytes that are unpacked at a time.
const STEP: usize = 4 * 1024;

fn gzip(inflate: &mut Inflate, body: &[u8], limit: usize, out: &mut Vec<u8>) -> Ending {
    let (mut rest, mut room) = (body, limit);
    for member in 0..MAX_MEMBERS {
        let Some(packed) = after_gzip_header(rest) else {
            // What follows a member may be padding.
            return match member {
                0 if rest.starts_with(&[0x1f, 0x8b]) || rest.len() < 2 => Ending::Cut,
                0 => Ending::Bad,
                _ => Ending::Whole,
            };
        };
        inflate.reset();
        let (ending, used) = inflate.run(packed, limit, &mut room, out);
        if ending != Ending::Whole {
            return ending;
        }
        // Checksum and length.
        rest = packed.get(used + 8..).unwrap_or_default();
        if rest.is_empty() {
            return if packed.len() < used + 8 { Ending::Cut } else { Ending::Whole };
        }
    }
    Ending::Capped
}

/// What stands behind the header of a gzip member (RFC 1952 §2.3).
fn after_gzip_header(member: &[u8]) -> Option<&[u8]> {
    let ([0x1f, 0x8b, 8, flags, ..], mut rest) = member.split_at_checked(10)? else { return None };
    if flags & 4 != 0 {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        rest = tail.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let end = memchr::memchr(0, rest)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & 2 != 0 { rest.get(2..) } else { Some(rest) }
}

/// zlib as the standard says, or raw deflate as some servers send it.
fn deflate(inflate: &mut Inflate, body: &[u8], limit: usize, out: &mut Vec<u8>) -> Ending {
    let packed = match body {
        [method, flags, rest @ ..]
            if method & 15 == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0 =>
        {
            rest
        }
        _ => body,
    };
    inflate.reset();
    inflate.run(packed, limit, &mut { limit }, out).0
}

fn brotli(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Ending {
    if brotli_window(body.first().copied().unwrap_or_default()) > MAX_BROTLI_BITS {
        return Ending::Capped;
    }
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    out.resize(limit, 0);
    let (mut left, mut at, mut room, mut made, mut total) = (body.len(), 0, limit, 0, 0);
    let result =
        BrotliDecompressStream(&mut left, &mut at, body, &mut room, &mut made, out, &mut total, &mut state);
    out.truncate(made);
    match result {
        BrotliResult::ResultSuccess => Ending::Whole,
        BrotliResult::NeedsMoreInput => Ending::Cut,
        BrotliResult::NeedsMoreOutput => Ending::Capped,
        BrotliResult::ResultFailure => Ending::Bad,
    }
}

/// Window bits that the first byte of a stream announces (RFC 7932 §9.1).
const fn brotli_window(first: u8) -> u8 {
    match first & 0x7f {
        bits if bits & 1 == 0 => 16,
        bits if bits & 0x0e != 0 => 17 + (bits >> 1 & 7),
        0x01 => 17,
        // The large-window extension, which a strict decoder refuses.
        0x11 => 30,
        bits => 8 + (bits >> 4 & 7),
    }
}

fn zstd(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Ending {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut rest = body;
    if decoder.init(&mut rest).is_err() {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        return if magic.starts_with(body.get(..4).unwrap_or(body)) && body.len() < 18 {
            Ending::Cut
        } else {
            Ending::Bad
        };
    }
    loop {
        let step = decoder.decode_blocks(&mut rest, ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1));
        let room = limit.saturating_sub(out.len()) as u64;
        let ready = decoder.can_collect() as u64;
        if decoder.by_ref().take(room).read_to_end(out).is_err() {
            return Ending::Bad;
        }
        match step {
            _ if ready > room => return Ending::Capped,
            Ok(true) => return Ending::Whole,
            Ok(false) => {}
            Err(_) => return if rest.is_empty() { Ending::Cut } else { Ending::Bad },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    fn deflated(text: &[u8], zlib: bool) -> Vec<u8> {
        let mut packed = Vec::with_capacity(text.len() + 100);
        Compress::new(Compression::best(), zlib)
            .compress_vec(text, &mut packed, FlushCompress::Finish)
            .unwrap();
        packed
    }

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut packed = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, b'n', 0];
        packed.extend(deflated(text, false));
        packed.extend([0; 8]);
        packed
    }

    fn unpack(coding: Coding, body: &[u8]) -> (Vec<u8>, Ending) {
        let mut unpacker = Unpacker::default();
        let (out, ending) = unpacker.unpack(coding, body, usize::MAX);
        (out.to_vec(), ending)
    }

    const TEXT: &[u8] = b"{\"id\":1,\"name\":\"Ada\",\"mail\":\"ada@example.com\"}";
    /// `TEXT` by the reference encoder, as node's zlib has it.
    const BROTLI: &[u8] = &[
        0x8b, 0x16, 0x80, 0x7b, 0x22, 0x69, 0x64, 0x22, 0x3a, 0x31, 0x2c, 0x22, 0x6e, 0x61, 0x6d, 0x65, 0x22,
        0x3a, 0x22, 0x41, 0x64, 0x61, 0x22, 0x2c, 0x22, 0x6d, 0x61, 0x69, 0x6c, 0x22, 0x3a, 0x22, 0x61, 0x64,
        0x61, 0x40, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x63, 0x6f, 0x6d, 0x22, 0x7d, 0x03,
    ];

    #[test]
    fn every_coding_is_undone() {
        for (coding, body) in [
            (Coding::Gzip, gzipped(TEXT)),
            (Coding::Gzip, [gzipped(&TEXT[..10]), gzipped(&TEXT[10..])].concat()),
            (Coding::Deflate, deflated(TEXT, true)),
            (Coding::Deflate, deflated(TEXT, false)),
            (Coding::Br, BROTLI.to_vec()),
            (
                Coding::Zstd,
                ruzstd::encoding::compress_to_vec(TEXT, ruzstd::encoding::CompressionLevel::Fastest),
            ),
            (Coding::Identity, TEXT.to_vec()),
        ] {
            let (text, ending) = unpack(coding, &body);
            assert_eq!(
                (str::from_utf8(&text).unwrap(), ending),
                (str::from_utf8(TEXT).unwrap(), Ending::Whole),
                "{coding:?}"
            );
            for end in 0..body.len() {
                let (text, ending) = unpack(coding, &body[..end]);
                assert!(TEXT.starts_with(&text) && (ending != Ending::Bad), "{coding:?} {end} {ending:?}");
            }
        }
    }

    #[test]
    fn bombs_are_capped() {
        let zeros = vec![b'0'; 512 << 10];
        for (coding, bomb) in [
            (Coding::Gzip, gzipped(&zeros)),
            (Coding::Deflate, deflated(&zeros, true)),
            (
                Coding::Zstd,
                ruzstd::encoding::compress_to_vec(&*zeros, ruzstd::encoding::CompressionLevel::Fastest),
            ),
        ] {
            let (text, ending) = unpack(coding, &bomb);
            assert_eq!(ending, Ending::Capped, "{coding:?}");
            assert!(text.len() <= MAX_UNPACKED);
            assert!(unpack(coding, &bomb[..bomb.len().min(200)]).0.len() <= FREE);
        }
    }

    #[test]
    fn windows_beyond_the_cap_are_refused() {
        assert_eq!(
            [0x0b, 0x0d, 0x0f, 0x8b, 0x01, 0x11, 0x21, 0x00].map(brotli_window),
            [22, 23, 24, 22, 17, 30, 10, 16]
        );
        assert_eq!(unpack(Coding::Br, &[0x0f, 0, 0, 0]).1, Ending::Capped);
    }

    proptest! {
        #[test]
        fn nothing_panics(coding in 1_usize..6, mut body in proptest::collection::vec(any::<u8>(), 0..300), real in any::<bool>()) {
            let coding = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd, Coding::Unknown][coding];
            if real {
                let mut damaged = if coding == Coding::Br { BROTLI.to_vec() } else { gzipped(TEXT) };
                for (at, byte) in body.iter().enumerate().take(3) {
                    let at = (at * 97 + usize::from(*byte)) % damaged.len();
                    damaged[at] ^= byte;
                }
                body = damaged;
            }
            let (text, _) = unpack(coding, &body);
            prop_assert!(text.len() <= MAX_UNPACKED);
        }

        #[test]
        fn what_was_packed_comes_out(text in "[a-z{}\", ]{0,2000}") {
            for (coding, body) in [(Coding::Gzip, gzipped(text.as_bytes())), (Coding::Deflate, deflated(text.as_bytes(), true))] {
                prop_assert_eq!(unpack(coding, &body), (text.clone().into_bytes(), Ending::Whole));
            }
        }
    }
}
