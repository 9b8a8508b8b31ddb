//! The real programs, as a user runs them.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::process::Process;

/// The tool's binary, built from this tree.
///
/// # Errors
/// When it cannot be built.
pub fn apisec_top() -> Result<PathBuf> {
    binary("apisec-top")
}

/// The shop's binary, built from this tree.
///
/// # Errors
/// When it cannot be built.
pub fn shop() -> Result<PathBuf> {
    binary("apisec-shop")
}

/// A command that runs the tool, with nothing of the caller's settings.
///
/// # Errors
/// When the tool cannot be built.
pub fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(apisec_top()?);
    command.args(arguments).env_remove("NO_COLOR").env_remove("RUST_LOG");
    Ok(command)
}

/// How one run of the tool ended, and what it printed.
#[derive(Debug)]
pub struct Run {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Run {
    /// The exit code; 128 and more for a signal, as a shell says it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().or_else(|| self.status.signal().map(|s| 128 + s)).unwrap_or(-1)
    }

    /// Standard output as one JSON value.
    ///
    /// # Errors
    /// When the run failed, or did not print one.
    pub fn json(&self) -> Result<Value> {
        if !self.status.success() {
            bail!("exit {}: {}", self.code(), self.stderr);
        }
        serde_json::from_str(&self.stdout).with_context(|| self.stdout.clone())
    }

    /// Standard output as one JSON value per line.
    ///
    /// # Errors
    /// When a line is not one.
    pub fn ndjson(&self) -> Result<Vec<Value>> {
        self.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}

/// Runs the tool to its end.
///
/// # Errors
/// When it cannot be started, or does not end within `patience`.
pub fn run(arguments: &[&str], patience: Duration) -> Result<Run> {
    Running::start(arguments)?.wait(patience)
}

/// The tool at work in the background.
#[derive(Debug)]
pub struct Running {
    process: Process,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    /// Starts the tool.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_command(command(arguments)?)
    }

    /// Starts a command that [`command`] made and the caller has changed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_command(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(command)?;
        let stdout = process.child().stdout.take().context("no pipe")?;
        let stderr = process.child().stderr.take().context("no pipe")?;
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            let _cut = BufReader::new(stdout).read_to_string(&mut text);
            text
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                let _nobody_listens = sender.send(line);
            }
            text
        });
        Ok(Self { process, stdout, stderr, lines })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.poll()?.is_some())
    }

    /// Waits until it prints a line on standard error that holds `part`.
    ///
    /// # Errors
    /// When it ends first, or does not within `patience`.
    pub fn until_it_says(&mut self, part: &str, patience: Duration) -> Result<()> {
        let deadline = std::time::Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(anyhow!("waiting for {part:?}: {error}")),
            }
        }
    }

    /// Asks it to end, as Ctrl-C does, and returns what it printed.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn interrupt(self, patience: Duration) -> Result<Run> {
        self.process.signal(Signal::INT)?;
        self.wait(patience)
    }

    /// Waits for its end and returns what it printed.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn wait(mut self, patience: Duration) -> Result<Run> {
        let status = self.process.wait(patience)?;
        let stdout = self.stdout.join().map_err(|_| anyhow!("reading standard output failed"))?;
        let stderr = self.stderr.join().map_err(|_| anyhow!("reading standard error failed"))?;
        Ok(Run { status, stdout, stderr })
    }
}

fn binary(name: &str) -> Result<PathBuf> {
    let folder = built_folder()?;
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { bail!("{} was not built", path.display()) }
}

/// The folder with the binaries, after making sure once that they are those of this tree.
fn built_folder() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|e| format!("{e:#}"))).clone().map_err(|e| anyhow!(e))
}

fn build() -> Result<PathBuf> {
    let this = env::current_exe()?;
    let folder =
        this.parent().and_then(|deps| deps.parent()).context("not in a target folder")?.to_path_buf();
    // `make test` has just built everything; a bare `cargo test` has not.
    if env::var_os("APISEC_BINARIES_ARE_FRESH").is_none() {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "apisec-top", "-p", "apisec-demo"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let output = cargo.current_dir(workspace()).output().context("run cargo")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(folder)
}

/// The root of this tree.
pub fn workspace() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map_or_else(|| tests.clone(), PathBuf::from)
}
