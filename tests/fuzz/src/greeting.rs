//! The clear part of a TLS handshake, in pieces of both sides: what is read of it is short and printable.
//!
//! Input: pieces, each behind a byte that holds its side (highest bit) and its length.

use apisec_proto::segment::Side;
use apisec_proto::wire::tls::handshake::Handshake;

/// Runs the body.
pub fn run(mut data: &[u8]) {
    let mut handshake = Handshake::default();
    while let Some((head, rest)) = data.split_first() {
        let side = if head & 0x80 == 0 { Side::Client } else { Side::Server };
        let len = usize::from(head & 0x7f).min(rest.len());
        let (piece, rest) = rest.split_at(len);
        handshake.bytes(side, piece);
        data = rest;
    }
    let seen = handshake.seen();
    let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(seen.sni.len() <= 255 && graphic(&seen.sni), "{}", seen.sni);
    assert!(seen.alpn.len() <= 32 && graphic(&seen.alpn), "{}", seen.alpn);
    assert!(seen.subject.len() <= 128 && !seen.subject.chars().any(char::is_control), "{}", seen.subject);
    assert!(seen.version.len() <= 3);
}
