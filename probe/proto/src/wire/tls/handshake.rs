//! The part of a TLS handshake that is in clear (RFC 8446 §4, RFC 5246 §7.4): what the client offers, what the server
//! chooses, up to TLS 1.2 the server's certificate, and whether the client shows one of its own.
//!
//! In TLS 1.3 the agreed ALPN protocol and the certificates are encrypted; what somebody else tells of them, such as the library
//! that made them, is taken in by [`Handshake::agreed`] and [`Handshake::showed`]. Otherwise that the client showed one is told by
//! the length of the first record that it encrypts. A resumed session shows none again: what it was is not told.

use super::certificate;
use crate::call::Tls;
use crate::segment::Side;
use compact_str::CompactString;

/// Bytes of one side that are kept until they are read: a certificate chain beyond it is not waited for.
pub const MAX_FLIGHT: usize = 16 * 1024;
/// A name longer than this is not one (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
/// A protocol's name that is longer is none that is known.
const MAX_PROTOCOL: usize = 32;
/// Extensions of one hello that are looked at.
const MAX_EXTENSIONS: usize = 64;

const RECORD_HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const RECORD_CHANGE_CIPHER: u8 = 20;
const RECORD_ENCRYPTED: u8 = 23;
/// A client without a certificate encrypts `Finished` first, of 53 or 69 bytes (RFC 8446 §4.4.4), behind an empty certificate
/// at most, of 25 more; padding aside.
const LONGEST_FINISHED: usize = 100;
/// No certificate with its signature is shorter.
const SHORTEST_CERTIFICATE: usize = 200;
const EXTENSION_PRE_SHARED_KEY: u16 = 41;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const EXTENSION_VERSIONS: u16 = 43;

/// Reads the first bytes of both sides of a connection.
#[derive(Debug, Default)]
pub struct Handshake {
    flights: [Flight; 2],
    seen: Tls,
    /// The client's hello was read: what follows tells whether it shows a certificate.
    greeted: bool,
}

/// What one side has sent, as long as it is of use.
#[derive(Debug, Default)]
struct Flight {
    /// Records, as they came.
    bytes: Vec<u8>,
    over: bool,
}

impl Handshake {
    /// Takes the next bytes of one side, in order; whether more is known now.
    pub fn bytes(&mut self, from: Side, bytes: &[u8]) -> bool {
        let [client, server] = &mut self.flights;
        let flight = if from == Side::Client { client } else { server };
        if flight.over {
            return false;
        }
        let room = MAX_FLIGHT.saturating_sub(flight.bytes.len());
        flight.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let full = bytes.len() >= room;
        let mut records = std::mem::take(&mut flight.bytes);
        let before = self.seen.clone();
        let mut done = false;
        if from == Side::Server || !self.greeted {
            let (messages, complete) = messages(&records);
            done = self.read(&messages);
            if self.greeted && from == Side::Client {
                records = behind_the_hello(&records, &messages).unwrap_or_default().to_vec();
                done = false;
            } else {
                done |= !complete;
            }
        }
        if from == Side::Client && self.greeted {
            done = self.proof(&records);
        }
        done |= full;
        let [client, server] = &mut self.flights;
        let flight = if from == Side::Client { client } else { server };
        flight.over = done;
        if !done {
            flight.bytes = records;
        }
        self.seen != before
    }

    /// Reads what the client sends behind its hello; whether it has told whether it shows a certificate, or will not.
    fn proof(&mut self, mut records: &[u8]) -> bool {
        while let Some((header, rest)) = records.split_at_checked(RECORD_HEADER) {
            let &[kind, 3, _, high, low] = header else { return true };
            let len = usize::from(u16::from_be_bytes([high, low]));
            match kind {
                RECORD_ENCRYPTED => {
                    if self.seen.version == "1.3" && !self.seen.resumed {
                        self.seen.mutual = match len {
                            0..=LONGEST_FINISHED => Some(false),
                            SHORTEST_CERTIFICATE.. => Some(true),
                            _ => None,
                        };
                    }
                    return true;
                }
                // TLS 1.3 sends it for the sake of old boxes; earlier it ends what is in clear.
                RECORD_CHANGE_CIPHER if self.seen.version == "1.3" => {}
                RECORD_HANDSHAKE => match rest {
                    [CERTIFICATE, _, _, _, a, b, c, ..] => {
                        self.seen.mutual = Some([*a, *b, *c] != [0; 3]);
                        return true;
                    }
                    [CERTIFICATE, ..] | [] => return false,
                    [CLIENT_KEY_EXCHANGE, ..] => {
                        self.seen.mutual = Some(false);
                        return true;
                    }
                    // Again, as the server asked.
                    [CLIENT_HELLO, ..] => {}
                    _ => return true,
                },
                _ => return true,
            }
            let Some(next) = rest.get(len..) else { return false };
            records = next;
        }
        false
    }

    /// Bytes of one side are missing: nothing more of it can be read.
    pub fn interrupt(&mut self, from: Side) {
        let [client, server] = &mut self.flights;
        let flight = if from == Side::Client { client } else { server };
        *flight = Flight { bytes: Vec::new(), over: true };
    }

    /// The protocol that was agreed on, as one end knows it: a [`name_of`].
    pub fn agreed(&mut self, name: &CompactString) {
        self.seen.alpn = name.clone();
    }

    /// One side showed a certificate with this [`subject_of`] it, as one end knows.
    pub fn showed(&mut self, side: Side, subject: &CompactString) {
        match side {
            Side::Client => self.seen.mutual = Some(true),
            Side::Server => self.seen.subject = subject.clone(),
        }
    }

    /// What is known of the session.
    #[must_use]
    pub const fn seen(&self) -> &Tls {
        &self.seen
    }

    /// Both sides have said what they say in clear.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.flights.iter().all(|flight| flight.over)
    }

    /// Reads the messages that are whole; whether the side has nothing more to say in clear.
    fn read(&mut self, mut messages: &[u8]) -> bool {
        while let Some((kind, body, rest)) = message(messages) {
            messages = rest;
            match kind {
                CLIENT_HELLO => {
                    let _broken = self.client_hello(body);
                    self.greeted = true;
                    return true;
                }
                SERVER_HELLO => {
                    let _broken = self.server_hello(body);
                    if self.seen.version == "1.3" {
                        return true;
                    }
                }
                CERTIFICATE => {
                    let first = body.get(3..).and_then(|list| prefixed(list, 3)).map(|(first, _)| first);
                    self.seen.subject = first.and_then(certificate::subject).unwrap_or_default();
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    fn client_hello(&mut self, body: &[u8]) -> Option<()> {
        let (_session, rest) = prefixed(body.get(34..)?, 1)?;
        let (_suites, rest) = prefixed(rest, 2)?;
        let (_compressions, rest) = prefixed(rest, 1)?;
        let (list, _) = prefixed(rest, 2)?;
        let name = extensions(list).find(|(kind, _)| *kind == EXTENSION_SERVER_NAME);
        self.seen.sni = name.and_then(|(_, value)| server_name(value)).unwrap_or_default();
        Some(())
    }

    fn server_hello(&mut self, body: &[u8]) -> Option<()> {
        self.seen.version = version(body.get(..2)?).into();
        let (_session, rest) = prefixed(body.get(34..)?, 1)?;
        let (list, _) = prefixed(rest.get(3..)?, 2)?;
        for (kind, value) in extensions(list) {
            match kind {
                EXTENSION_VERSIONS => self.seen.version = version(value).into(),
                EXTENSION_PRE_SHARED_KEY => self.seen.resumed = true,
                EXTENSION_ALPN => self.seen.alpn = protocol(value).unwrap_or_default(),
                _ => {}
            }
        }
        Some(())
    }
}

/// The contents of the leading handshake records, joined, and whether nothing else follows them.
fn messages(records: &[u8]) -> (Vec<u8>, bool) {
    let mut joined = Vec::new();
    let mut rest = records;
    while let Some(header) = rest.get(..RECORD_HEADER) {
        let &[kind, 3, _, high, low] = header else { return (joined, false) };
        if kind != RECORD_HANDSHAKE {
            return (joined, false);
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        let body = rest.get(RECORD_HEADER..).unwrap_or_default();
        joined.extend_from_slice(body.get(..len).unwrap_or(body));
        rest = body.get(len..).unwrap_or_default();
    }
    (joined, true)
}

/// The records behind those that hold the first message.
fn behind_the_hello<'a>(records: &'a [u8], messages: &[u8]) -> Option<&'a [u8]> {
    let (_, _, rest) = message(messages)?;
    let mut left = messages.len() - rest.len();
    let mut records = records;
    while left > 0 {
        let (_, body) = records.split_at_checked(RECORD_HEADER - 2)?;
        let (own, behind) = prefixed(body, 2)?;
        left = left.saturating_sub(own.len());
        records = behind;
    }
    Some(records)
}

/// The first message: its kind, its body, and what follows. `None` until it is whole.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (body, rest) = prefixed(rest, 3)?;
    Some((*kind, body, rest))
}

/// What a length of `size` bytes announces, and what follows it.
fn prefixed(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let len = bytes.get(..size)?.iter().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
    let rest = bytes.get(size..)?;
    Some((rest.get(..len)?, rest.get(len..)?))
}

fn extensions(mut list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let kind = u16::from_be_bytes(*list.first_chunk()?);
        let (value, rest) = prefixed(list.get(2..)?, 2)?;
        list = rest;
        Some((kind, value))
    })
    .take(MAX_EXTENSIONS)
}

fn server_name(value: &[u8]) -> Option<CompactString> {
    const HOST_NAME: u8 = 0;
    let (list, _) = prefixed(value, 2)?;
    let (kind, rest) = list.split_first()?;
    let (name, _) = prefixed(rest, 2)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let good = *kind == HOST_NAME && name.len() <= MAX_NAME && name.iter().all(plain);
    let name = std::str::from_utf8(name).ok().filter(|_| good)?;
    Some(name.to_ascii_lowercase().into())
}

/// The protocol that a server chose.
fn protocol(value: &[u8]) -> Option<CompactString> {
    let (list, _) = prefixed(value, 2)?;
    let (first, _) = prefixed(list, 1)?;
    name_of(first)
}

/// The subject of a certificate (DER), of which at least the beginning is there.
#[must_use]
pub fn subject_of(der: &[u8]) -> Option<CompactString> {
    certificate::subject(der)
}

/// The name of a protocol.
#[must_use]
pub fn name_of(name: &[u8]) -> Option<CompactString> {
    let good = name.len() <= MAX_PROTOCOL && name.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(name).ok().filter(|_| good).map(CompactString::from)
}

fn version(bytes: &[u8]) -> &'static str {
    match bytes {
        [3, 1, ..] => "1.0",
        [3, 2, ..] => "1.1",
        [3, 3, ..] => "1.2",
        [3, 4, ..] => "1.3",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_length(size: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.len().to_be_bytes()[8 - size..].to_vec();
        out.extend_from_slice(bytes);
        out
    }

    fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
        [kind.to_be_bytes().to_vec(), with_length(2, value)].concat()
    }

    fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
        [vec![kind], with_length(3, body)].concat()
    }

    fn record(body: &[u8]) -> Vec<u8> {
        [vec![22, 3, 1], with_length(2, body)].concat()
    }

    fn client_hello() -> Vec<u8> {
        let name = with_length(2, &[vec![0], with_length(2, b"Shop.Example")].concat());
        let alpn = with_length(2, &with_length(1, b"h2"));
        let list = [extension(0, &name), extension(16, &alpn)].concat();
        let fixed = [vec![3, 3], vec![7; 32], vec![0], with_length(2, &[0x13, 1]), vec![1, 0]].concat();
        record(&handshake(1, &[fixed, with_length(2, &list)].concat()))
    }

    fn server_hello(list: &[u8]) -> Vec<u8> {
        let fixed = [vec![3, 3], vec![9; 32], vec![0], vec![0x13, 1, 0]].concat();
        handshake(2, &[fixed, with_length(2, list)].concat())
    }

    #[test]
    fn tls_1_3_tells_name_and_version() {
        let mut read = Handshake::default();
        assert!(read.bytes(Side::Client, &client_hello()));
        assert!(read.bytes(Side::Server, &record(&server_hello(&extension(43, &[3, 4])))));
        assert_eq!((read.seen().sni.as_str(), read.seen().version.as_str()), ("shop.example", "1.3"));
        assert!(!read.is_over() && read.seen().mutual.is_none());
        assert!(read.bytes(Side::Client, &encrypted(53)) && read.is_over());
    }

    fn encrypted(len: usize) -> Vec<u8> {
        let changed = vec![20, 3, 3, 0, 1, 1];
        [changed, vec![23, 3, 3], with_length(2, &vec![7; len])].concat()
    }

    fn shown(hello: &[u8], proof: &[u8], cut: usize) -> Option<bool> {
        let mut read = Handshake::default();
        read.bytes(Side::Client, &client_hello());
        read.bytes(Side::Server, &record(hello));
        let (first, second) = proof.split_at(cut.min(proof.len()));
        read.bytes(Side::Client, first);
        read.bytes(Side::Client, second);
        read.seen().mutual
    }

    #[test]
    fn whether_the_client_shows_a_certificate_is_told() {
        let new = server_hello(&extension(43, &[3, 4]));
        let old = server_hello(&[]);
        let resumed = server_hello(&[extension(43, &[3, 4]), extension(41, &[0, 0])].concat());
        let certificate = record(&handshake(11, &with_length(3, &with_length(3, &[7; 300]))));
        for cut in [0, 1, 4, 7, 12, 14, 40] {
            let shown = |hello: &[u8], proof: &[u8]| shown(hello, proof, cut);
            assert_eq!(shown(&new, &encrypted(69)), Some(false));
            assert_eq!(shown(&new, &encrypted(900)), Some(true));
            assert_eq!(shown(&new, &encrypted(150)), None, "it may be either");
            assert_eq!(shown(&resumed, &encrypted(53)), None, "an earlier session may have shown one");
            assert_eq!(shown(&old, &certificate), Some(true));
            assert_eq!(shown(&old, &record(&handshake(11, &[0, 0, 0]))), Some(false));
            assert_eq!(shown(&old, &record(&handshake(16, &[1; 33]))), Some(false));
            assert_eq!(shown(&old, &[20, 3, 3, 0, 1, 1]), None);
        }
    }

    #[test]
    fn tls_1_2_tells_protocol_and_subject() {
        let alpn = extension(16, &with_length(2, &with_length(1, b"http/1.1")));
        let der = include_bytes!("certificate/example.der");
        let chain = with_length(3, &with_length(3, der));
        let flight = record(&[server_hello(&alpn), handshake(11, &chain)].concat());
        let mut read = Handshake::default();
        for byte in &flight {
            read.bytes(Side::Server, &[*byte]);
        }
        let seen = read.seen();
        assert_eq!((seen.version.as_str(), seen.alpn.as_str()), ("1.2", "http/1.1"));
        assert_eq!(seen.subject, "O=Test, CN=shop.example");
    }

    #[test]
    fn what_is_encrypted_is_taken_from_who_knows() {
        let mut read = Handshake::default();
        let subject = subject_of(include_bytes!("certificate/example.der")).unwrap();
        read.agreed(&name_of(b"h2").unwrap());
        assert_eq!(name_of(b"\x1b[31m"), None);
        read.showed(Side::Client, &subject);
        assert_eq!((read.seen().mutual, read.seen().subject.as_str()), (Some(true), ""));
        read.showed(Side::Server, &subject);
        assert_eq!(
            (read.seen().alpn.as_str(), read.seen().subject.as_str()),
            ("h2", "O=Test, CN=shop.example")
        );
    }

    #[test]
    fn a_name_with_odd_bytes_is_none() {
        let mut hello = client_hello();
        let at = hello.windows(4).position(|four| four == b"Shop").unwrap();
        hello[at] = 0x1b;
        let mut read = Handshake::default();
        read.bytes(Side::Client, &hello);
        assert_eq!(read.seen().sni, "");
    }

    proptest! {
        #[test]
        fn any_split_tells_the_same(cut in 0usize..200) {
            let hello = client_hello();
            let (first, second) = hello.split_at(cut.min(hello.len()));
            let mut read = Handshake::default();
            read.bytes(Side::Client, first);
            read.bytes(Side::Client, second);
            prop_assert_eq!(read.seen().sni.as_str(), "shop.example");
        }

        #[test]
        fn no_bytes_panic(pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..6)) {
            let mut read = Handshake::default();
            for (client, bytes) in pieces {
                let side = if client { Side::Client } else { Side::Server };
                read.bytes(side, &bytes);
                read.bytes(side, &record(&bytes));
                let _ = (name_of(&bytes), subject_of(&bytes));
            }
        }
    }
}
