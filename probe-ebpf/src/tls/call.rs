//! Calls into a TLS library: where they begin and how they end.
//!
//! The end of a call is a plain probe at a place that every way out passes with the result in its register
//! (chosen in user space), or a return probe where there is none: each program exists in both forms.

use super::session::{self, EGRESS, INGRESS};
use super::ship;
use super::threads::{self, THREADS, Thread};
use super::tie;
use apisec_abi::counter;
use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};

/// `f(session, buffer, len)`, which returns a length.
#[uprobe]
pub fn apisec_tls_call(ctx: ProbeContext) -> u32 {
    begin(ctx.arg(0), ctx.arg(1), None);
    0
}

/// `f(session, buffer, len, *length)`, which returns 1 on success.
#[uprobe]
pub fn apisec_tls_call_ex(ctx: ProbeContext) -> u32 {
    begin(ctx.arg(0), ctx.arg(1), ctx.arg(3));
    0
}

/// `f(session)`: a handshake begins or goes on.
#[uprobe]
pub fn apisec_tls_hands(ctx: ProbeContext) -> u32 {
    if let Some(session) = ctx.arg::<u64>(0) {
        begin(Some(session), None, None);
        session::greet(session);
    }
    0
}

/// It is over, or would block: by now its socket was used.
#[uretprobe]
pub fn apisec_tls_shook(_: RetProbeContext) -> u32 {
    let Some(thread) = THREADS.get_ptr_mut(&bpf_get_current_pid_tgid()) else { return 0 };
    // SAFETY: the entry belongs to this thread.
    let thread = unsafe { &mut *thread };
    let object = core::mem::take(&mut thread.session);
    if object != 0
        && thread.socket != 0
        && let Some(session) = session::known(object)
    {
        tie::tie(thread, object, session, INGRESS);
    }
    0
}

/// `f(session)`: the session is given up.
#[uprobe]
pub fn apisec_tls_free(ctx: ProbeContext) -> u32 {
    if let Some(session) = ctx.arg::<u64>(0) {
        session::end(session);
    }
    0
}

#[uprobe]
pub fn apisec_tls_read(ctx: ProbeContext) -> u32 {
    end(INGRESS, result(&ctx));
    0
}

#[uprobe]
pub fn apisec_tls_wrote(ctx: ProbeContext) -> u32 {
    end(EGRESS, result(&ctx));
    0
}

#[uretprobe]
pub fn apisec_tls_readr(ctx: RetProbeContext) -> u32 {
    end(INGRESS, ctx.ret::<i32>());
    0
}

#[uretprobe]
pub fn apisec_tls_wroter(ctx: RetProbeContext) -> u32 {
    end(EGRESS, ctx.ret::<i32>());
    0
}

/// The register of the result, at a place where it is final.
#[inline(always)]
fn result(ctx: &ProbeContext) -> i32 {
    // SAFETY: the context of a probe are the registers.
    unsafe {
        #[cfg(bpf_target_arch = "x86_64")]
        let value = (*ctx.regs).rax;
        #[cfg(bpf_target_arch = "aarch64")]
        let value = (*ctx.regs).regs[0];
        value as i32
    }
}

#[inline(always)]
fn begin(session: Option<u64>, buffer: Option<u64>, length_at: Option<u64>) {
    let Some(session) = session else { return };
    let (buffer, length_at) = (buffer.unwrap_or(0), length_at.unwrap_or(0));
    let id = bpf_get_current_pid_tgid();
    let Some(thread) = THREADS.get_ptr_mut(&id) else {
        return threads::remember(id, &Thread { session, buffer, length_at, socket: 0, before: 0, wrote: 0 });
    };
    threads::mark(id);
    // SAFETY: the entry belongs to this thread.
    unsafe {
        (*thread).session = session;
        (*thread).buffer = buffer;
        (*thread).length_at = length_at;
        if (*thread).socket != 0 {
            (*thread).before = (*thread).socket;
            (*thread).socket = 0;
        }
    }
}

/// A call has returned `result`.
#[inline(always)]
fn end(direction: usize, result: i32) {
    let id = bpf_get_current_pid_tgid();
    let Some(thread) = THREADS.get_ptr_mut(&id) else { return };
    // SAFETY: the entry belongs to this thread.
    let thread = unsafe { &mut *thread };
    let object = core::mem::take(&mut thread.session);
    if object == 0 || thread.buffer == 0 {
        return;
    }
    let len = if result <= 0 { 0 } else { length(thread.length_at, result as u32) };
    if len == 0 && thread.before == 0 {
        return;
    }
    let Some(session) = session::of(object) else { return };
    tie::tie(thread, object, session, direction);
    if len != 0 {
        ship::plaintext(object, session, direction, thread.buffer, len);
    }
}

/// What was transferred by a call that returned `result`, which is positive.
#[inline(always)]
fn length(length_at: u64, result: u32) -> u32 {
    if length_at == 0 {
        return result;
    }
    let mut len = 0u64;
    // SAFETY: the helper checks the address.
    let failed = unsafe { bpf_probe_read_user((&raw mut len).cast(), 8, length_at as *const _) };
    if failed != 0 || len > u32::MAX as u64 {
        crate::counters::add(counter::LOST_TLS_COPY, 1);
        return 0;
    }
    len as u32
}
