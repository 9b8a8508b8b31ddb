//! What a process of the shop is to the operating system: its name, its parent, its complaints.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::ffi::CString;
use std::io::Write as _;

/// Sets the name that `ps`, `/proc/PID/comm` and observers show for the calling thread.
///
/// # Errors
/// When `name` holds a NUL or the kernel refuses (`prctl(2)`, `PR_SET_NAME`).
pub(crate) fn set_name(name: &str) -> Result<()> {
    let name = CString::new(name).context("a process name cannot hold NUL")?;
    rustix::thread::set_name(&name).context("cannot set the process name")
}

/// Asks the kernel to kill this process when `parent` dies, however it dies; `None` asks nothing.
///
/// # Errors
/// When `parent` is already gone, or the kernel refuses (`prctl(2)`, `PR_SET_PDEATHSIG`).
pub(crate) fn die_with(parent: Option<u32>) -> Result<()> {
    let Some(parent) = parent else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot bind to the parent process")?;
    // The parent may have died before the request above: then the signal never comes.
    let actual = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    ensure!(actual == Some(parent), "the parent process {parent} is gone");
    Ok(())
}

/// Sends SIGTERM to the child `pid`; a child that has already exited is no error.
pub(crate) fn terminate(pid: Option<u32>) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _gone = rustix::process::kill_process(pid, Signal::TERM);
    }
}

/// Says one line on standard error; a closed standard error is not worth dying for.
pub(crate) fn complain(message: &str) {
    let _closed = writeln!(std::io::stderr(), "apisec-shop: {message}");
}
