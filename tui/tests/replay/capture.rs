//! A capture file made of bytes: one keep-alive connection of HTTP/1.1 on raw IPv4.

/// pcap, little endian, version 2.4, microseconds, link type 101 (raw IP).
const HEADER: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 8_080);

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Seconds since 1970 of the first packet: 2026-01-02T03:04:05Z.
const START: u32 = 1_767_323_045;

/// A capture under construction.
pub(crate) struct Capture {
    file: Vec<u8>,
    client: u32,
    server: u32,
    /// Microseconds since [`START`].
    at: u32,
}

impl Default for Capture {
    fn default() -> Self {
        let mut capture = Self { file: HEADER.to_vec(), client: 100, server: 900, at: 0 };
        capture.packet(true, SYN, b"");
        capture.packet(false, SYN | ACK, b"");
        (capture.client, capture.server) = (101, 901);
        capture.packet(true, ACK, b"");
        capture
    }
}

impl Capture {
    /// A request and its answer, 2 ms later, with a body of two bytes.
    pub(crate) fn exchange(&mut self, request: &str, status: u16) {
        self.request(request);
        self.at += 2_000;
        let answer =
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
        self.packet(false, ACK, answer.as_bytes());
        self.server += answer.len() as u32;
        self.at += 8_000;
    }

    /// A request that nobody answers.
    pub(crate) fn request(&mut self, request: &str) {
        self.packet(true, ACK, request.as_bytes());
        self.client += request.len() as u32;
    }

    /// The file.
    pub(crate) fn file(self) -> Vec<u8> {
        self.file
    }

    fn packet(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (src, dst, seq, ack) = if from_client {
            (CLIENT, SERVER, self.client, self.server)
        } else {
            (SERVER, CLIENT, self.server, self.client)
        };
        let length = 40 + payload.len() as u32;
        for word in [START + self.at / 1_000_000, self.at % 1_000_000, length, length] {
            self.file.extend_from_slice(&word.to_le_bytes());
        }
        let total = (length as u16).to_be_bytes();
        self.file.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
        self.file.extend_from_slice(&src.0);
        self.file.extend_from_slice(&dst.0);
        self.file.extend_from_slice(&src.1.to_be_bytes());
        self.file.extend_from_slice(&dst.1.to_be_bytes());
        self.file.extend_from_slice(&seq.to_be_bytes());
        self.file.extend_from_slice(&ack.to_be_bytes());
        self.file.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.file.extend_from_slice(payload);
    }
}
