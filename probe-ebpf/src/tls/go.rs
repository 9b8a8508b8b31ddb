//! Go's crypto/tls: its own calling convention, goroutines instead of threads, and no return probes, because Go moves
//! its stacks and a changed return address would end the program. Every `ret` is probed instead.
//!
//! The connection is found by its descriptor, which is read from the layout of `tls.Conn`, `net.TCPConn` and `poll.FD`:
//! the same since Go 1.9. A connection that is wrapped in something else leads to no socket, and is not tied.

use super::session::{self, EGRESS, INGRESS};
use super::{ship, tie};
use apisec_abi::counter;
use aya_ebpf::{
    btf_maps::LruHashMap,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::{btf_map, uprobe},
    programs::ProbeContext,
};

/// In `tls.Conn`: the data word of the `net.Conn` interface that it begins with.
const INNER: u64 = 8;
/// In `netFD`, which begins with a `poll.FD`: its descriptor, behind a mutex of 16 bytes.
const DESCRIPTOR: u64 = 16;

/// A call that is running.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    connection: u64,
    buffer: u64,
}

/// Calls by goroutine and process.
#[btf_map]
static GOROUTINES: LruHashMap<[u64; 2], Call, 16_384> = LruHashMap::new();

/// Receiver, first word of the first argument (or first result), goroutine.
#[inline(always)]
fn registers(ctx: &ProbeContext) -> (u64, u64, u64) {
    // SAFETY: the context of a probe are the registers.
    unsafe {
        let regs = &*ctx.regs;
        #[cfg(bpf_target_arch = "x86_64")]
        let words = (regs.rax, regs.rbx, regs.r14);
        #[cfg(bpf_target_arch = "aarch64")]
        let words = (regs.regs[0], regs.regs[1], regs.regs[28]);
        words
    }
}

#[inline(always)]
fn key(goroutine: u64) -> [u64; 2] {
    [goroutine, bpf_get_current_pid_tgid() >> 32]
}

/// `func (c *Conn) Read(b []byte)` or `Write` begins.
#[uprobe]
pub fn apisec_tls_gocal(ctx: ProbeContext) -> u32 {
    let (connection, buffer, goroutine) = registers(&ctx);
    if GOROUTINES.insert(&key(goroutine), &Call { connection, buffer }, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
    0
}

#[uprobe]
pub fn apisec_tls_gorea(ctx: ProbeContext) -> u32 {
    end(&ctx, INGRESS);
    0
}

#[uprobe]
pub fn apisec_tls_gowro(ctx: ProbeContext) -> u32 {
    end(&ctx, EGRESS);
    0
}

#[inline(always)]
fn end(ctx: &ProbeContext, direction: usize) {
    let (result, _, goroutine) = registers(ctx);
    let key = key(goroutine);
    // SAFETY: the value is copied at once.
    let Some(call) = (unsafe { GOROUTINES.get(&key) }).copied() else { return };
    let _ = GOROUTINES.remove(&key);
    let len = result as i64;
    if len <= 0 || len > u32::MAX as i64 {
        return;
    }
    let Some(session) = session::of(call.connection) else { return };
    let socket = tie::socket_of(descriptor(call.connection));
    let Some(session) = tie::follow(socket, call.connection, session) else { return };
    ship::plaintext(call.connection, session, direction, call.buffer, len as u32);
}

#[inline(always)]
fn descriptor(connection: u64) -> u64 {
    let tcp = word(connection + INNER);
    let fd = word(tcp);
    word(fd + DESCRIPTOR)
}

/// A word of the program; 0 when it cannot be read.
#[inline(always)]
fn word(at: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, at as *const _) };
    value
}
