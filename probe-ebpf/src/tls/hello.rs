//! The beginning of a TLS handshake, which is in clear: what the client offers and what the server chooses, and behind it
//! the records that tell whether the client shows a certificate. Shipped once per connection, of each side at most what its
//! budget allows; then the connection is opaque here.

use crate::capture::ship;
use crate::packet::Packet;
use crate::record;
use crate::socket::Socket;
use apisec_abi::{VERDICT_TLS, VERDICT_TLS_HELLO};
use aya_ebpf::programs::SkBuffContext;

/// The content type of handshake records.
const HANDSHAKE: u8 = 22;
/// Turns of direction after which both sides have said what they say in clear: hello, hello, proof.
const TURNS: u32 = 4;

/// A connection was recognised as TLS by its first bytes.
#[inline(always)]
pub fn begin(ctx: &SkBuffContext, socket: &mut Socket) {
    let greets = socket.first[0] == HANDSHAKE && socket.turns < TURNS;
    socket.opaque += ctx.len() as u64;
    socket.verdict = if greets { VERDICT_TLS_HELLO } else { VERDICT_TLS };
    record::open(ctx, socket);
}

/// Payload of a connection whose handshake is not over.
#[inline(always)]
pub fn go_on(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet, direction: usize) {
    socket.opaque += ctx.len() as u64;
    if socket.turns < TURNS {
        ship(ctx, socket, packet, direction);
    } else {
        socket.verdict = VERDICT_TLS;
    }
}
