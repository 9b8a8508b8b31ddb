//! Messages as bytes: first a line that says who speaks which version, then frames as in a session file.
//!
//! Whatever stands before that line (a banner of ssh, a warning of kubectl, the complaint of a shell) is skipped, and
//! its end is kept: it is the best explanation when the line never comes. Nothing here waits or reads by itself.

use super::PROTOCOL;
use crate::source::session::frame::{FRAME_HEADER, FrameHead, MAX_RAW, Packer, Unpacker};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// What the line begins with, in both directions.
const GREETING: &str = "APISEC-AGENT/";
/// Longest line; more is not one of ours.
const MAX_LINE: usize = 256;
/// Bytes of foreign text before the line that are put up with: longer than any message of the day.
const MAX_FOREIGN: usize = 64 << 10;
/// Bytes of them that are kept.
const KEPT_FOREIGN: usize = 400;
/// A buffer larger than this is given back once it is empty.
const LARGE_BUFFER: usize = 256 << 10;

/// Why nothing more can be read from the other end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The first line never came; with the end of what came instead.
    #[error("it does not answer as an agent{}", said(.0))]
    Foreign(String),
    /// Another version.
    #[error("it speaks protocol {theirs} ({program}), and this program {PROTOCOL}")]
    Version {
        /// Theirs.
        theirs: u16,
        /// Their program and version.
        program: String,
    },
    /// Not what we would have written.
    #[error("what it sent is damaged")]
    Damaged,
    /// A frame is missing.
    #[error("a part of what it sent is missing")]
    Gap,
}

fn said(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

/// The first line of either end.
pub(crate) fn greeting(program: &str) -> String {
    format!("{GREETING}{PROTOCOL} {program}\n")
}

/// A message is larger than a frame may be.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Makes frames of messages.
pub(crate) struct Speech {
    packer: Packer,
    number: u32,
    raw: Vec<u8>,
    frame: Vec<u8>,
}

impl Speech {
    /// # Errors
    /// There is no memory.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { packer: Packer::new()?, number: 0, raw: Vec::new(), frame: Vec::new() })
    }

    /// The frame of a message.
    ///
    /// # Errors
    /// It is too large.
    pub(crate) fn say(&mut self, message: &impl Serialize) -> Result<&[u8], TooLarge> {
        self.raw.clear();
        self.raw = postcard::to_extend(message, std::mem::take(&mut self.raw)).map_err(|_| TooLarge)?;
        if self.raw.len() > MAX_RAW {
            self.raw = Vec::new();
            return Err(TooLarge);
        }
        self.packer.frame(self.number, &self.raw, &mut self.frame).map_err(|_| TooLarge)?;
        self.number = self.number.wrapping_add(1);
        Ok(&self.frame)
    }
}

/// Makes messages of what arrives, in whatever pieces.
#[derive(Default)]
pub(crate) struct Hearing {
    buffer: Vec<u8>,
    /// What of the buffer has been read.
    read: usize,
    /// Who speaks, once the line was there.
    program: Option<String>,
    number: u32,
}

impl Hearing {
    /// Takes in bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > LARGE_BUFFER {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Who speaks, once that is known.
    pub(crate) fn program(&self) -> Option<&str> {
        self.program.as_deref()
    }

    /// The next message, if it is whole.
    ///
    /// # Errors
    /// Nothing more can be read.
    pub(crate) fn next<T: DeserializeOwned>(
        &mut self,
        unpacker: &mut Unpacker,
        raw: &mut Vec<u8>,
    ) -> Result<Option<T>, Broken> {
        if self.program.is_none() && !self.greeted()? {
            return Ok(None);
        }
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        if rest.len() < FRAME_HEADER {
            return Ok(None);
        }
        let head = FrameHead::parse(rest).ok_or(Broken::Damaged)?;
        let Some(frame) = rest.get(..head.length()) else { return Ok(None) };
        if !head.verifies(frame) || !unpacker.unpack(&head, frame, raw) {
            return Err(Broken::Damaged);
        }
        if head.number != self.number {
            return Err(Broken::Gap);
        }
        let (message, left) = postcard::take_from_bytes(raw).map_err(|_| Broken::Damaged)?;
        if !left.is_empty() {
            return Err(Broken::Damaged);
        }
        self.number = self.number.wrapping_add(1);
        self.read += head.length();
        Ok(Some(message))
    }

    /// Looks for the first line.
    fn greeted(&mut self) -> Result<bool, Broken> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some(at) = memmem(rest, GREETING.as_bytes()) else {
            return if rest.len() > MAX_FOREIGN { Err(self.stranger()) } else { Ok(false) };
        };
        let line = rest.get(at..).unwrap_or_default();
        let line = line.get(..MAX_LINE).unwrap_or(line);
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            return if line.len() == MAX_LINE { Err(Broken::Damaged) } else { Ok(false) };
        };
        let text = line.get(GREETING.len()..end).unwrap_or_default();
        let (version, program) = introduction(text).ok_or(Broken::Damaged)?;
        if version != PROTOCOL {
            return Err(Broken::Version { theirs: version, program });
        }
        self.program = Some(program);
        self.read += at + end + 1;
        Ok(true)
    }

    /// What came instead of an agent.
    pub(crate) fn stranger(&self) -> Broken {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let end = rest.get(rest.len().saturating_sub(KEPT_FOREIGN)..).unwrap_or_default();
        Broken::Foreign(String::from_utf8_lossy(end).into_owned())
    }
}

fn introduction(text: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let (version, program) = text.split_once(' ')?;
    Some((version.parse().ok()?, program.trim_end().to_owned()))
}

fn memmem(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Ear {
        hearing: Hearing,
        unpacker: Unpacker,
        raw: Vec<u8>,
    }

    impl Ear {
        fn new() -> Self {
            Self { hearing: Hearing::default(), unpacker: Unpacker::new().unwrap(), raw: Vec::new() }
        }

        fn hear(&mut self, bytes: &[u8]) -> Result<Vec<String>, Broken> {
            self.hearing.push(bytes);
            let mut heard = Vec::new();
            while let Some(text) = self.hearing.next(&mut self.unpacker, &mut self.raw)? {
                heard.push(text);
            }
            Ok(heard)
        }
    }

    fn spoken(texts: &[String]) -> Vec<u8> {
        let mut speech = Speech::new().unwrap();
        let mut bytes = greeting("apisec-top 0.1.0").into_bytes();
        texts.iter().for_each(|text| bytes.extend_from_slice(speech.say(text).unwrap()));
        bytes
    }

    #[test]
    fn a_banner_before_the_first_line_is_skipped() {
        let bytes = [b"Welcome to node-b!\r\n".to_vec(), spoken(&["a".into()])].concat();
        let mut ear = Ear::new();
        assert_eq!(ear.hear(&bytes), Ok(vec!["a".into()]));
        assert_eq!(ear.hearing.program(), Some("apisec-top 0.1.0"));
    }

    #[test]
    fn what_came_instead_of_an_agent_is_told() {
        let mut ear = Ear::new();
        assert_eq!(ear.hear(b"sh: apisec-top: not found\n"), Ok(vec![]));
        assert!(ear.hearing.stranger().to_string().ends_with(": sh: apisec-top: not found"));
        let noise = vec![b'x'; MAX_FOREIGN + 100];
        assert!(matches!(ear.hear(&noise), Err(Broken::Foreign(_))));
    }

    #[test]
    fn another_version_is_named() {
        let broken = Ear::new().hear(b"APISEC-AGENT/7 apisec-top 9.0.0\n").unwrap_err();
        assert_eq!(broken, Broken::Version { theirs: 7, program: "apisec-top 9.0.0".into() });
        assert!(matches!(Ear::new().hear(b"APISEC-AGENT/x y\n"), Err(Broken::Damaged)));
        let endless = [b"APISEC-AGENT/1 ".to_vec(), vec![b'a'; MAX_LINE]].concat();
        assert!(matches!(Ear::new().hear(&endless), Err(Broken::Damaged)));
    }

    #[test]
    fn a_frame_that_is_missing_or_comes_twice_is_noticed() {
        let mut speech = Speech::new().unwrap();
        let frames: Vec<Vec<u8>> = (0..3).map(|n| speech.say(&format!("{n}")).unwrap().to_vec()).collect();
        for order in [[0, 2], [0, 0], [1, 0]] {
            let mut bytes = greeting("x 1").into_bytes();
            order.iter().for_each(|n: &usize| bytes.extend_from_slice(&frames[*n]));
            assert_eq!(Ear::new().hear(&bytes), Err(Broken::Gap));
        }
    }

    #[test]
    fn what_does_not_fit_a_frame_is_refused_before_it_is_sent() {
        let mut speech = Speech::new().unwrap();
        assert!(speech.say(&"x".repeat(MAX_RAW + 1)).is_err());
        assert!(speech.say(&"x").is_ok());
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(texts in prop::collection::vec("[a-z]{0,40}", 0..8), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = spoken(&texts);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut ear = Ear::new();
            let heard: Vec<String> = cuts.windows(2).flat_map(|cut| ear.hear(&bytes[cut[0]..cut[1]]).unwrap()).collect();
            prop_assert_eq!(heard, texts);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _broken = Ear::new().hear(&bytes);
            let framed = [greeting("x 1").into_bytes(), bytes].concat();
            let _broken = Ear::new().hear(&framed);
        }

        #[test]
        fn a_changed_byte_is_never_another_message(text in "[a-z]{1,40}", at: prop::sample::Index, flip in 1..=255_u8) {
            let mut bytes = spoken(std::slice::from_ref(&text));
            let head = greeting("apisec-top 0.1.0").len();
            let at = head + at.index(bytes.len() - head);
            bytes[at] ^= flip;
            let heard = Ear::new().hear(&bytes).unwrap_or_default();
            prop_assert!(heard.is_empty());
        }
    }
}
