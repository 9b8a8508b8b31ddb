//! What is sent: over TCP sockets by threads that use TLS, see [`tie`]; and over unix sockets, which nobody reads: that they are
//! not seen shall have a number.

use super::tie::{self, OFFSET_SK_FAMILY, read};
use crate::counters::add;
use apisec_abi::counter;
use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

const AF_UNIX: u16 = 1;

/// A socket of any kind has sent: the socket, and how many bytes or an error.
#[raw_tracepoint(tracepoint = "sock_send_length")]
pub fn apisec_sent(ctx: RawTracePointContext) -> i32 {
    let socket = ctx.arg::<u64>(0);
    tie::used(socket);
    // SAFETY: a constant that user space sets before loading.
    let at = unsafe { core::ptr::read_volatile(&raw const OFFSET_SK_FAMILY) };
    if read::<u16>(socket, at) == AF_UNIX {
        let sent = ctx.arg::<u64>(1) as i32;
        if sent > 0 {
            add(counter::BYTES_UNIX, sent as u64);
        }
    }
    0
}
