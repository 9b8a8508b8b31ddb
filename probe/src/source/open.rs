//! Finds out what a file is and opens it as a source.

use super::intake::{Filled, Intake};
use super::pcap::PcapSource;
use super::session::SessionSource;
use super::{Source, SourceError};
use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes that are enough to recognise every format.
const MAGIC: usize = 8;

/// Opens a recorded session, a pcap or a pcapng file; `-` is standard input.
///
/// # Errors
/// The file cannot be opened, or is none of these; the text says what it is instead.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    if path.as_os_str() == "-" {
        let intake = Intake::stdin().map_err(|error| SourceError::unreadable("standard input", &error))?;
        return recognise("standard input".into(), intake);
    }
    let name = path.display().to_string();
    let intake = file(path).map_err(|error| SourceError::unreadable(&name, &error))?;
    recognise(name, intake)
}

/// Opens a recording or capture that is in memory, such as one that was built in, or from a fuzzer.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(
    name: &str,
    bytes: impl AsRef<[u8]> + Send + 'static,
) -> Result<Box<dyn Source>, SourceError> {
    recognise(name.to_owned(), Intake::memory(bytes))
}

fn file(path: &Path) -> io::Result<Intake> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Intake::file(file)
}

/// Opens what `intake` holds.
pub(super) fn recognise(name: String, mut intake: Intake) -> Result<Box<dyn Source>, SourceError> {
    // A pipe may be quiet until the capturing program has started; it closes when that program fails.
    while intake.want(MAGIC).map_err(|error| SourceError::unreadable(&name, &error))? == Filled::Idle {}
    let head = intake.available();
    if head.first_chunk().is_some_and(|magic| SessionSource::recognises(*magic)) {
        return Ok(Box::new(SessionSource::new(name, intake)?));
    }
    if head.first_chunk().is_some_and(|magic| PcapSource::recognises(*magic)) {
        return Ok(Box::new(PcapSource::new(name, intake)?));
    }
    Err(foreign(&name, head))
}

fn foreign(name: &str, head: &[u8]) -> SourceError {
    let (what, remedy) = judge(head);
    SourceError {
        what: format!("{name} is {what}, not a recorded session, pcap or pcapng file"),
        remedy: remedy.into(),
    }
}

const GIVE: &str = "give a file that `apisec-top --record`, tcpdump -w or Wireshark has written";

/// What a file that we cannot read is, by its first bytes, and what to do with it.
fn judge(head: &[u8]) -> (&'static str, &'static str) {
    let packed = "decompress it first, or pipe it: zcat FILE | apisec-top replay -";
    match head {
        [] => ("empty", "the recording or capture that should have written it failed, or has not begun"),
        [0x1f, 0x8b, ..] => ("compressed (gzip)", packed),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            ("compressed (zstd)", "decompress it first: zstdcat FILE | apisec-top replay -")
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            ("compressed (xz)", "decompress it first: xzcat FILE | apisec-top replay -")
        }
        [b'B', b'Z', b'h', ..] => {
            ("compressed (bzip2)", "decompress it first: bzcat FILE | apisec-top replay -")
        }
        [b'P', b'K', 3 | 5, ..] => ("a zip archive", "unpack it first"),
        [b's', b'n', b'o', b'o', b'p', ..] => ("a snoop capture", "convert it: editcap -F pcapng FILE OUT"),
        [0x7f, b'E', b'L', b'F', ..] => ("a program", GIVE),
        [b'{' | b'[', ..] if is_text(head) => ("text (JSON, perhaps a HAR file)", GIVE),
        _ if is_text(head) => ("text", GIVE),
        _ => ("binary data of an unknown kind", GIVE),
    }
}

/// UTF-8 that may be cut inside a character, without control characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => 0,
    };
    let text = head.get(..valid).unwrap_or_default();
    !text.is_empty() && text.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
}

impl SourceError {
    /// `name` cannot be read, for the reason that the system gives.
    pub(crate) fn unreadable(name: &str, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "run as a user who may read it",
            io::ErrorKind::IsADirectory => "give a file, not a folder",
            _ => "",
        };
        Self { what: format!("cannot read {name}: {error}"), remedy: remedy.into() }
    }
}
