//! The chunked transfer coding (RFC 9112 §7.1): follows the framing, also over bytes that were not captured
//! as long as they lie within one chunk.

/// Longest chunk-size line with its extensions; servers refuse more (nginx 8 KiB, hyper 16 KiB).
const MAX_SIZE_LINE: u32 = 16 * 1024;
/// Longest trailer section, as for heads.
const MAX_TRAILERS: u32 = 65_535;
/// What follows the data of the last chunk of a body without trailers: `CRLF 0 CRLF CRLF`.
const TAIL: u64 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        cr: bool,
    },
    SizeFeed {
        value: u64,
    },
    Data(u64),
    DataReturn,
    DataFeed,
    TrailerStart {
        cr: bool,
    },
    Trailer {
        cr: bool,
    },
    /// So many bytes beyond the end of the last chunk whose size was seen.
    Blind(u64),
}

/// Where a chunked body stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    line: u32,
}

/// What became of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All were read; the body goes on.
    More,
    /// The body ended after so many of them.
    Done(usize),
    /// The framing is broken; so many of them came before.
    Broken(usize),
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, line: 0 }
    }

    /// Whether the framing can no longer be followed.
    pub(super) const fn is_blind(&self) -> bool {
        matches!(self.state, State::Blind(_))
    }

    /// Gives up following: broken framing.
    pub(super) const fn lose(&mut self) {
        self.state = State::Blind(TAIL + 1);
    }

    /// Reads bytes; `data` is given those of the body, `odd` is set by a bare CR or LF.
    pub(super) fn read(&mut self, bytes: &[u8], odd: &mut bool, data: &mut impl FnMut(&[u8])) -> Step {
        if let State::Blind(beyond) = self.state {
            return self.read_blind(bytes, beyond);
        }
        let mut at = 0;
        while let Some((byte, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) {
            if let State::Data(left) = self.state {
                let body = bytes.get(at..).unwrap_or_default();
                let take = body.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                data(body.get(..take).unwrap_or_default());
                at += take;
                let left = left.saturating_sub(take as u64);
                self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                continue;
            }
            at += 1;
            match self.framing(*byte, odd) {
                Some(true) => return Step::Done(bytes.len() - rest.len()),
                Some(false) => {}
                None => return Step::Broken(at),
            }
        }
        Step::More
    }

    /// One byte of framing. `Some(true)`: the body has ended; `None`: broken.
    fn framing(&mut self, byte: u8, odd: &mut bool) -> Option<bool> {
        self.line = self.line.saturating_add(1);
        self.state = match (self.state, byte) {
            (State::Size { digits: 0, .. }, b'\r' | b'\n' | b';' | b' ' | b'\t') => return None,
            (State::Size { value, .. }, b'\r') => State::SizeFeed { value },
            (State::Size { value, .. } | State::Extension { value, cr: false }, b'\n') => {
                *odd = true;
                self.sized(value)
            }
            (State::Size { value, .. }, b';') => State::Extension { value, cr: false },
            (State::Size { value, .. }, b' ' | b'\t') => {
                *odd = true;
                State::Extension { value, cr: false }
            }
            (State::Size { value, digits }, _) => State::Size {
                value: value.checked_mul(16)?.checked_add(u64::from(char::from(byte).to_digit(16)?))?,
                digits: digits.checked_add(1).filter(|digits| *digits <= 16)?,
            },
            (State::SizeFeed { value } | State::Extension { value, cr: true }, b'\n') => self.sized(value),
            (State::SizeFeed { .. } | State::DataFeed, _) if byte != b'\n' => return None,
            (State::Extension { value, cr }, _) => {
                *odd |= cr;
                (self.line <= MAX_SIZE_LINE).then_some(State::Extension { value, cr: byte == b'\r' })?
            }
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataReturn, b'\n') => {
                *odd = true;
                self.next_size()
            }
            (State::DataReturn, _) => return None,
            (State::DataFeed | State::SizeFeed { .. }, _) => self.next_size(),
            (State::TrailerStart { cr }, b'\n') => {
                *odd |= !cr;
                return Some(true);
            }
            (State::TrailerStart { cr: false }, b'\r') => State::TrailerStart { cr: true },
            (State::TrailerStart { .. } | State::Trailer { .. }, _) if self.line > MAX_TRAILERS => {
                return None;
            }
            (State::Trailer { cr }, b'\n') => {
                *odd |= !cr;
                State::TrailerStart { cr: false }
            }
            (State::TrailerStart { .. } | State::Trailer { .. }, _) => State::Trailer { cr: byte == b'\r' },
            (state @ (State::Data(_) | State::Blind(_)), _) => state,
        };
        Some(false)
    }

    const fn sized(&mut self, value: u64) -> State {
        self.line = 0;
        if value == 0 { State::TrailerStart { cr: false } } else { State::Data(value) }
    }

    const fn next_size(&mut self) -> State {
        self.line = 0;
        State::Size { value: 0, digits: 0 }
    }

    /// Bytes after the framing was lost: the body ends with the segment that ends like one.
    fn read_blind(&mut self, bytes: &[u8], beyond: u64) -> Step {
        self.state = State::Blind(beyond.saturating_add(bytes.len() as u64));
        let ends = bytes.ends_with(b"\r\n0\r\n\r\n") || (beyond == 2 && bytes == b"0\r\n\r\n");
        if ends { Step::Done(bytes.len()) } else { Step::More }
    }

    /// Passes over `len` bytes that are missing. Within a chunk the position stays exact. Beyond it, the body
    /// is taken to end where its shortest ending would: anything else cannot be followed.
    pub(super) fn skip(&mut self, len: u64, data: &mut u64) -> Step {
        let beyond = match self.state {
            State::Data(left) => {
                *data = data.saturating_add(len.min(left));
                if let Some(left) = left.checked_sub(len).filter(|left| *left > 0) {
                    self.state = State::Data(left);
                    return Step::More;
                }
                len.saturating_sub(left)
            }
            State::DataReturn => len,
            State::DataFeed => len.saturating_add(1),
            State::Size { digits: 0, .. } => len.saturating_add(2),
            State::TrailerStart { cr } => len.saturating_add(if cr { 6 } else { 5 }),
            State::Blind(beyond) => beyond.saturating_add(len),
            _ => TAIL + 1,
        };
        self.state = match beyond {
            0 => State::DataReturn,
            1 => State::DataFeed,
            2 => self.next_size(),
            _ => State::Blind(beyond),
        };
        if beyond == TAIL { Step::Done(0) } else { Step::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> (Step, Vec<u8>, bool) {
        let (mut odd, mut body) = (false, Vec::new());
        let step = Chunked::new().read(text, &mut odd, &mut |data| body.extend_from_slice(data));
        (step, body, odd)
    }

    #[test]
    fn well_formed() {
        assert_eq!(read(b"3\r\nabc\r\n0\r\n\r\nX"), (Step::Done(13), b"abc".to_vec(), false));
        assert_eq!(
            read(b"3;a=\"b\"\r\nabc\r\n00\r\nT: v\r\nU: w\r\n\r\n"),
            (Step::Done(32), b"abc".to_vec(), false)
        );
        assert_eq!(read(b"A\r\n0123456789\r\n"), (Step::More, b"0123456789".to_vec(), false));
    }

    #[test]
    fn odd_but_readable() {
        assert_eq!(read(b"1\na\n0\n\n"), (Step::Done(7), b"a".to_vec(), true));
        assert_eq!(read(b"1 \r\na\r\n0\r\n\r\n"), (Step::Done(12), b"a".to_vec(), true));
    }

    #[test]
    fn broken() {
        for bad in [
            &b"\r\n"[..],
            b"0x3\r\n",
            b"-1\r\n",
            b"3\r\nabcd",
            b"3\r\nabc\rX",
            b"11111111111111111\r\n",
            b" 3\r\n",
        ] {
            assert!(matches!(read(bad).0, Step::Broken(_)), "{bad:?}");
        }
    }

    #[test]
    fn missing_bytes_within_a_chunk_keep_the_position() {
        let mut chunked = Chunked::new();
        let mut size = 0;
        let mut data = 0;
        let mut count = |bytes: &[u8]| size += bytes.len();
        assert_eq!(chunked.read(b"10\r\nab", &mut false, &mut count), Step::More);
        assert_eq!(chunked.skip(10, &mut data), Step::More);
        assert_eq!(chunked.read(b"wxyz\r\n2\r\n", &mut false, &mut count), Step::More);
        assert_eq!(chunked.skip(2 + 2, &mut data), Step::More);
        assert_eq!(chunked.read(b"0\r\n\r\n", &mut false, &mut count), Step::Done(5));
        assert_eq!((size, data), (6, 12));
    }

    #[test]
    fn the_shortest_ending_ends_the_body() {
        let mut chunked = Chunked::new();
        let mut data = 0;
        chunked.read(b"10\r\nab", &mut false, &mut |_| {});
        assert_eq!(chunked.skip(14 + 7, &mut data), Step::Done(0));
        let mut chunked = Chunked::new();
        chunked.read(b"10\r\nab", &mut false, &mut |_| {});
        assert_eq!(chunked.skip(14 + 9, &mut data), Step::More);
        assert!(chunked.is_blind());
        assert_eq!(chunked.read(b"xyz\r\n0\r\n\r\n", &mut false, &mut |_| {}), Step::Done(10));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[03a;\r\n]{0,40}", size in 1usize..6) {
            let bytes = text.as_bytes();
            let (whole, body, odd) = read(bytes);
            let (mut chunked, mut at, mut seen, mut strange) = (Chunked::new(), 0, Vec::new(), false);
            let mut last = Step::More;
            for chunk in bytes.chunks(size) {
                last = chunked.read(chunk, &mut strange, &mut |data| seen.extend_from_slice(data));
                match last {
                    Step::More => at += chunk.len(),
                    Step::Done(used) => { last = Step::Done(at + used); break }
                    Step::Broken(used) => { last = Step::Broken(at + used); break }
                }
            }
            prop_assert_eq!(last, whole);
            prop_assert_eq!(seen, body);
            prop_assert_eq!(strange, odd);
        }
    }
}
