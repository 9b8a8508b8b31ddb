//! A child process and everything it started: ended together when the test is over.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, set_parent_process_death_signal};

use crate::eventually;

/// How long a process may take to obey a request to end before it is killed.
const OBEDIENCE: Duration = Duration::from_secs(180);

/// A running child in a process group of its own.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command`; what it prints goes where the command says.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        end_with_us(&mut command);
        let child = command.process_group(0).spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { child, name })
    }

    /// Its process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal` to the process, not to what it started.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("signal {}", self.name))
    }

    /// How it ended, or nothing while it runs.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        eventually(&what, patience, || self.child.try_wait().ok().flatten())
    }

    /// Asks the process to end, and kills the whole group when it does not.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self, signal: Signal) -> Result<ExitStatus> {
        if let Some(status) = self.poll()? {
            return Ok(status);
        }
        self.signal(signal)?;
        self.wait(OBEDIENCE)
    }

    fn pid(&self) -> Result<Pid> {
        match i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => Ok(pid),
            None => bail!("{} has no process id", self.name),
        }
    }
}

/// Lets the kernel end the process when the thread of the test ends, however that happens: a test runner that is
/// killed drops nothing.
#[expect(unsafe_code, reason = "the only way to say it is between fork and exec")]
fn end_with_us(command: &mut Command) {
    let tie = || set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into);
    // SAFETY: one system call, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(tie) };
}

impl Drop for Process {
    fn drop(&mut self) {
        let obeyed = self.stop(Signal::TERM).is_ok();
        if let (false, Ok(pid)) = (obeyed, self.pid()) {
            // The leader is ours and not yet waited for, so its id cannot name another group.
            let _gone = kill_process_group(pid, Signal::KILL);
        }
        let _reaped = self.child.wait();
    }
}
