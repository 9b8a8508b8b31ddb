//! Bytes of connections that are not read, told per connection: now and then as they grow, and when they end.

use crate::counters::add;
use crate::packet::parse;
use crate::ring::{reserve, submit};
use crate::socket::Socket;
use apisec_abi::{FLAG_FIN, KIND_OPAQUE, OpaqueBytes, counter};
use aya_ebpf::{helpers::generated::bpf_ktime_get_ns, programs::SkBuffContext};

/// Packets shorter than this are looked at for the end of the connection; those with payload are longer.
const SMALL: u32 = 112;
/// The first report, and how far apart later ones are at most: bytes double between them.
const LEAST: u64 = 4096;
const MOST: u64 = 1 << 20;

/// A packet of a connection that is not read; its bytes are also added to the counter `total`.
#[inline(always)]
pub fn count(ctx: &SkBuffContext, socket: &mut Socket, total: u32) {
    let len = ctx.len();
    add(total, len as u64);
    socket.opaque += len as u64;
    let ends = len < SMALL && parse(ctx).is_ok_and(|packet| packet.fin() || packet.rst());
    if ends || socket.opaque >= socket.report_at {
        report(socket, if ends { FLAG_FIN } else { 0 });
    }
}

#[inline(always)]
fn report(socket: &mut Socket, flags: u8) {
    let step = if socket.opaque < LEAST { LEAST } else { socket.opaque };
    socket.report_at = socket.opaque + if step > MOST { MOST } else { step };
    let Some(record) = reserve::<{ size_of::<OpaqueBytes>() }>(counter::LOST_IDENTITY) else { return };
    let bytes = OpaqueBytes {
        kind: KIND_OPAQUE,
        flags,
        role: socket.role,
        verdict: socket.verdict,
        pad: 0,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        cookie: socket.cookie,
        bytes: socket.opaque,
        local_addr: socket.local_addr,
        remote_addr: socket.remote_addr,
        local_port: socket.local_port,
        remote_port: socket.remote_port,
        pad2: 0,
    };
    // SAFETY: the record holds an `OpaqueBytes`.
    unsafe { record.cast::<OpaqueBytes>().write(bytes) };
    submit(record);
}
