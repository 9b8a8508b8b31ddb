//! Processes that start and end: raw tracepoints `sched_process_exec` and `sched_process_exit`.

use super::{Hook, HookError, Place};
use aya::Ebpf;
use aya::programs::RawTracePoint;

/// Process starts.
pub const EXEC: Hook = Hook {
    name: "exec",
    purpose: "names processes as they start (sched_process_exec)",
    without: "a client that ends within milliseconds is named by its program name only",
    required: false,
    attach: |ebpf, _: &Place| attach(ebpf, "apisec_exec", "sched_process_exec"),
};

/// Process ends.
pub const EXIT: Hook = Hook {
    name: "exit",
    purpose: "notices that a process ended, so that a reused pid is not taken for it (sched_process_exit)",
    without: "a reused pid is noticed by its start time only",
    required: false,
    attach: |ebpf, _: &Place| attach(ebpf, "apisec_exit", "sched_process_exit"),
};

fn attach(ebpf: &mut Ebpf, name: &'static str, tracepoint: &str) -> Result<(), HookError> {
    let program: &mut RawTracePoint = ebpf.program_mut(name).ok_or(HookError::Missing(name))?.try_into()?;
    program.load()?;
    program.attach(tracepoint)?;
    Ok(())
}
