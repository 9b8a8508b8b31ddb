//! TLS records: recognised and left unread. Their plaintext comes from other hooks, if at all; what is in clear, the
//! beginning of the handshake, is read by [`handshake`] where a source ships it.

mod certificate;
pub mod handshake;

use super::{Entry, Match};

/// TLS in the table of protocols.
pub const ENTRY: Entry = Entry {
    name: "tls",
    recognise,
    resumes: |_, _| false,
    counter: |stats| &mut stats.opaque_tls,
    start: None,
};

/// Longest record body: 2^14 and the expansion that RFC 8446 §5.2 and RFC 5246 §6.2.3 allow.
const MAX_RECORD: u16 = 16384 + 2048;

/// A record header: content type, version 3.x, a length that is possible (RFC 8446 §5.1).
fn recognise(bytes: &[u8]) -> Match {
    let expect: [fn(u8) -> bool; 3] = [|b| matches!(b, 0x14..=0x17), |b| b == 3, |b| b <= 4];
    if bytes.iter().zip(expect).any(|(byte, fits)| !fits(*byte)) {
        return Match::No;
    }
    match bytes.get(3..5) {
        Some(&[high, low]) if (1..=MAX_RECORD).contains(&u16::from_be_bytes([high, low])) => Match::Yes,
        Some(_) => Match::No,
        None => Match::Maybe,
    }
}
