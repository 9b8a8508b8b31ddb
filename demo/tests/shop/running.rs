//! A shop, or one of its servers, that runs as a child process.
//!
//! Every process of a shop shares the standard error of the first one. Its end is therefore the moment at
//! which nothing is left, and no process has to be looked for.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Far more than anything here takes, on a machine with other work to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The running process and what it says.
pub(crate) struct Running {
    child: Child,
    /// The first line, which says that it is ready.
    ready: Value,
    /// Further lines of standard output.
    said: Receiver<String>,
    /// Standard error, when all processes have closed it.
    complaints: Receiver<String>,
}

impl Running {
    /// Starts a whole shop and waits until it is ready.
    pub(crate) fn up(arguments: &[&str]) -> Result<Self> {
        Self::start(&["up"], arguments)
    }

    /// Starts one server and waits until it listens.
    pub(crate) fn serve(role: &str, arguments: &[&str]) -> Result<Self> {
        Self::start(&["serve", role], arguments)
    }

    fn start(words: &[&str], arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apisec-shop"));
        command
            .args(words)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let (to_said, said) = channel();
        let (to_complaints, complaints) = channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| to_said.send(l))
        });
        thread::spawn(move || {
            let mut text = String::new();
            let _ended = stderr.read_to_string(&mut text);
            to_complaints.send(text)
        });
        let mut running = Self { child, ready: Value::Null, said, complaints };
        let first = running.said.recv_timeout(DEADLINE).context("it does not say that it is ready")?;
        running.ready = serde_json::from_str(&first)?;
        Ok(running)
    }

    /// The roles that are served, sorted.
    pub(crate) fn roles(&self) -> Result<Vec<&str>> {
        ensure!(self.ready["ready"] == true, "{}", self.ready);
        let mut roles = self.ready["services"]
            .as_object()
            .context("services")?
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>();
        roles.sort_unstable();
        Ok(roles)
    }

    /// Where a role listens.
    pub(crate) fn address(&self, role: &str) -> Result<String> {
        let address = self.ready.get("listening").unwrap_or(&self.ready["services"][role]);
        Ok(address.as_str().context("address")?.to_owned())
    }

    /// The process of a role.
    pub(crate) fn pid_of(&self, role: &str) -> Result<i32> {
        Ok(i32::try_from(self.ready["pids"][role].as_i64().context("pid")?)?)
    }

    /// Kills one server of the shop.
    pub(crate) fn kill_server(&self, role: &str) -> Result<()> {
        Ok(kill_process(Pid::from_raw(self.pid_of(role)?).context("pid 0")?, Signal::KILL)?)
    }

    /// Asks it to stop and waits until nothing is left.
    pub(crate) fn terminate(self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        Ok(self.finish()?.0)
    }

    /// Kills the first process only, and waits until nothing is left.
    pub(crate) fn kill(mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.finish()?.0)
    }

    /// Waits until nothing is left; returns the exit status and the lines after the first.
    pub(crate) fn finish(mut self) -> Result<(ExitStatus, Vec<Value>)> {
        let complaints = self.complaints.recv_timeout(DEADLINE).context("something is left running")?;
        eprint!("{complaints}");
        let said = self.said.iter().map(|line| serde_json::from_str(&line)).collect::<Result<_, _>>()?;
        Ok((self.child.wait()?, said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed early: the children follow by themselves.
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The lines of an access log.
pub(crate) fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
