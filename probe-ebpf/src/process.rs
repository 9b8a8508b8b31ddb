//! Processes that start and end, so that a client which lived five milliseconds still has a name.

use crate::ring::{reserve, submit};
use apisec_abi::{EXEC_ARGS, Exec, Exit, KIND_EXEC, KIND_EXIT, counter};
use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel,
            bpf_probe_read_user,
        },
    },
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};

/// Byte offsets that user space reads from the kernel's BTF; 0 when there is none. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_TASK_MM: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_MM_ARG_START: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_MM_ARG_END: u32 = 0;

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn apisec_exec(_ctx: RawTracePointContext) -> i32 {
    let Some(record) = reserve::<{ size_of::<Exec>() }>(counter::LOST_IDENTITY) else { return 0 };
    let exec = record.cast::<Exec>();
    // SAFETY: the record holds an `Exec`; every field is written.
    unsafe {
        (*exec).kind = KIND_EXEC;
        (*exec).pad = [0; 3];
        (*exec).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*exec).at = bpf_ktime_get_ns();
        (*exec).cgroup = bpf_get_current_cgroup_id();
        (*exec).uid = bpf_get_current_uid_gid() as u32;
        (*exec).comm = bpf_get_current_comm().unwrap_or([0; 16]);
        (*exec).args_len = arguments((&raw mut (*exec).args).cast());
    }
    submit(record);
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn apisec_exit(_ctx: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    crate::tls::threads::forget(id);
    if (id >> 32) as u32 != id as u32 {
        return 0;
    }
    let Some(record) = reserve::<{ size_of::<Exit>() }>(counter::LOST_IDENTITY) else { return 0 };
    // SAFETY: the record holds an `Exit`; no preconditions for the clock.
    unsafe {
        record.cast::<Exit>().write(Exit {
            kind: KIND_EXIT,
            pad: [0; 3],
            tgid: id as u32,
            at: bpf_ktime_get_ns(),
        });
    }
    submit(record);
    0
}

/// Copies the command line of the current process to `to` ([`EXEC_ARGS`] bytes); 0 when it cannot be read.
#[inline(always)]
fn arguments(to: *mut u8) -> u32 {
    // SAFETY: `to` holds `EXEC_ARGS` bytes; the reads are checked by the helpers; the offsets are constants.
    unsafe {
        let mm_at = core::ptr::read_volatile(&raw const OFFSET_TASK_MM) as u64;
        if mm_at == 0 {
            return 0;
        }
        let mm = word(bpf_get_current_task() + mm_at);
        let start = word(mm + core::ptr::read_volatile(&raw const OFFSET_MM_ARG_START) as u64);
        let end = word(mm + core::ptr::read_volatile(&raw const OFFSET_MM_ARG_END) as u64);
        let len = end.wrapping_sub(start);
        let len = core::ptr::read_volatile(&raw const len);
        if len == 0 {
            return 0;
        }
        let len = if len > EXEC_ARGS as u64 { EXEC_ARGS as u64 } else { len };
        if bpf_probe_read_user(to.cast(), len as u32, start as *const _) == 0 { len as u32 } else { 0 }
    }
}

/// The word at a kernel address, 0 when it cannot be read.
#[inline(always)]
fn word(at: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 8, at as *const _) };
    value
}
