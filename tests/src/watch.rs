//! The tool watching this node without a terminal: attached when [`Watch::start`] returns, and asked for its
//! account at the end. It sees the whole node, so tests look for their own marks.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use apisec_engine::ndjson::NdjsonCall;
use apisec_engine::snapshot::Snapshot;
use aya::programs::loaded_programs;
use rustix::process::Signal;

use crate::held::Held;
use crate::tool::{self, Run, Running};

/// How long the tool may take to attach on a machine that is compiling.
const ATTACH: Duration = Duration::from_secs(180);
/// Between two looks whether it has ended meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// How long it may take to end.
const END: Duration = Duration::from_secs(180);
/// The program that is attached last.
const LAST: &str = "apisec_egress";

/// The tool at work.
#[derive(Debug)]
pub struct Watch {
    running: Running,
}

impl Watch {
    /// Starts it to print every call, and waits until it is attached.
    ///
    /// # Errors
    /// When it ends early, with what it said.
    pub fn calls() -> Result<Self> {
        Self::start(&["--output", "ndjson"])
    }

    /// Starts it to print the snapshot at its end, and waits until it is attached.
    ///
    /// # Errors
    /// When it ends early, with what it said.
    pub fn snapshot() -> Result<Self> {
        Self::start(&["--output", "json"])
    }

    /// Starts `live --headless` with `arguments`, and waits until it is attached.
    ///
    /// # Errors
    /// When it ends early, with what it said.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_in(arguments, &[])
    }

    /// The same in an environment.
    ///
    /// # Errors
    /// When it ends early, with what it said.
    pub fn start_in(arguments: &[&str], environment: &[(&str, &Path)]) -> Result<Self> {
        let mut command = tool::command(&["live", "--headless", "--no-state"])?;
        command.args(arguments).env_remove("APISEC_TOP_STATE").env_remove("APISEC_TOP_CONFIG");
        command.envs(environment.iter().copied());
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("ready");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(LOOK))?;
        command.env("NOTIFY_SOCKET", &path);
        let mut running = Running::start_command(command)?;
        match ready(&mut running, &socket) {
            Ok(()) => Ok(Self { running }),
            Err(error) => {
                let run = running.interrupt(END)?;
                bail!("{error:#}; exit {}: {}", run.code(), run.stderr)
            }
        }
    }

    /// What it holds in the kernel.
    ///
    /// # Errors
    /// When it has ended.
    pub fn held(&self) -> Result<Held> {
        Held::by(self.running.process().id())
    }

    /// The most memory that it had, bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.process().id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }

    /// Sends it `signal` and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(self, signal: Signal) -> Result<Run> {
        self.running.process().signal(signal)?;
        self.running.wait(END)
    }

    /// Waits for its end, when it was given a time.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(self) -> Result<Run> {
        self.running.wait(END)
    }

    /// Ends it and returns the calls whose path begins with `mark`.
    ///
    /// # Errors
    /// When it failed, lost something, or printed something else.
    pub fn end_with_calls(self, mark: &str) -> Result<Vec<NdjsonCall>> {
        let run = self.end(Signal::INT)?;
        if run.code() != 0 {
            bail!("exit {}: {}", run.code(), run.stderr);
        }
        let calls = run.stdout.lines().map(|line| {
            let call: NdjsonCall = serde_json::from_str(line).with_context(|| line.to_owned())?;
            Ok(call)
        });
        let calls: Result<Vec<_>> = calls.collect();
        Ok(calls?.into_iter().filter(|call| call.path.starts_with(mark)).collect())
    }

    /// Ends it and returns its snapshot.
    ///
    /// # Errors
    /// When it failed, or printed something else.
    pub fn end_with_snapshot(self) -> Result<Snapshot> {
        let run = self.end(Signal::INT)?;
        serde_json::from_value(run.json()?).context("a snapshot")
    }
}

/// Waits until the tool says that everything is attached, also the probes in programs that run already.
fn ready(running: &mut Running, socket: &UnixDatagram) -> Result<()> {
    let deadline = Instant::now() + ATTACH;
    while Instant::now() < deadline {
        if socket.recv(&mut [0; 64]).is_ok() {
            return Ok(());
        }
        if running.has_ended()? {
            bail!("the tool ended");
        }
    }
    bail!("the tool is not attached within {ATTACH:?}")
}

/// A path that no other test, in this process or another, asks for.
pub fn mark(name: &str) -> String {
    format!("/{name}-{}", process::id())
}

/// Whether the last of a tool's programs is attached.
///
/// # Errors
/// When it has ended.
pub fn is_attached(pid: u32) -> Result<bool> {
    let linked = Held::by(pid)?.linked;
    // Programs of others come and go meanwhile.
    let mut programs = loaded_programs().flatten();
    Ok(programs.any(|program| program.name_as_str() == Some(LAST) && linked.contains(&program.id())))
}
