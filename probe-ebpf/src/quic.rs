//! QUIC, by the beginning of its packets and whatever the port: bytes that nobody reads shall have a number.

use crate::counters::add;
use crate::socket::{find, find_or_create};
use apisec_abi::{VERDICT_QUIC, counter};
use aya_ebpf::{bindings::bpf_sock, programs::SkBuffContext};

const IPPROTO_UDP: u32 = 17;
const UDP_HEADER: usize = 8;
const IPV6_HEADER: usize = 40;
/// The loopback device of every network namespace.
const LOOPBACK: u32 = 1;
/// A long header with the fixed bit (RFC 9000 §17.2), and the versions: 1, 2 and the drafts before them.
const LONG: u8 = 0xc0;
const VERSIONS: [u32; 2] = [1, 0x6b33_43cf];
const DRAFTS: u32 = 0xff00_0000;

/// A packet of a socket that is not TCP's. The first ones of a connection have long headers; from then on all of the socket
/// count. What stays within the host comes by twice, and counts where it arrives.
#[inline(always)]
pub fn count(ctx: &SkBuffContext, sk: *mut bpf_sock, protocol: u32, direction: usize) {
    if protocol != IPPROTO_UDP {
        return;
    }
    // SAFETY: the context is valid.
    let device = unsafe { (*ctx.skb.skb).ifindex };
    if direction == 1 && device == LOOPBACK {
        return;
    }
    let known = find(sk).is_some_and(|socket| socket.verdict == VERDICT_QUIC);
    if !known {
        if !begins(ctx) {
            return;
        }
        let Some(socket) = find_or_create(sk) else { return };
        socket.verdict = VERDICT_QUIC;
    }
    add(counter::BYTES_QUIC, ctx.len() as u64);
}

/// Whether a datagram begins with a long header of a known version.
#[inline(always)]
fn begins(ctx: &SkBuffContext) -> bool {
    let Ok(first) = ctx.load::<u8>(0) else { return false };
    let header = if first >> 4 == 4 { ((first & 15) as usize) * 4 } else { IPV6_HEADER };
    let Ok(octets) = ctx.load::<[u8; 5]>(header + UDP_HEADER) else { return false };
    let [form, version @ ..] = octets;
    let version = u32::from_be_bytes(version);
    let known = version == VERSIONS[0] || version == VERSIONS[1] || version & !0xff == DRAFTS;
    form & LONG == LONG && known
}
