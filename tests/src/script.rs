//! Small programs in Python, Node or Perl: written to a file of a telling name, run, and spoken to by lines.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Process;
use crate::server::Server;
use crate::skip;

/// The folder of Python's packages that `setup/system.sh test` installs with pip, for the system's Python.
pub fn pypi() -> String {
    cache().join("python").display().to_string()
}

/// A package that `setup/system.sh test` installs with npm.
pub fn npm(package: &str) -> PathBuf {
    cache().join("npm/node_modules").join(package)
}

/// The source distribution of a package of PyPI, which `setup/system.sh test` unpacks for the tests in it.
pub fn source(package: &str) -> PathBuf {
    cache().join("source").join(package)
}

fn cache() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("apisec-top")
}

/// How long a program may take to answer, in seconds: far more than any needs on a busy machine.
const PATIENCE: u32 = 120;

/// Debian's own Python, which finds Debian's modules; another may stand before it in the path.
pub const PYTHON: &str = "/usr/bin/python3";

/// A program: what runs it, the name of its file, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The interpreter, such as `python3`.
    pub interpreter: &'static str,
    /// The name of the file.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

impl Script {
    /// A program for Debian's Python.
    #[must_use]
    pub const fn python(name: &'static str, text: &'static str) -> Self {
        Self { interpreter: PYTHON, name, text }
    }

    /// Runs it as a server on a free port of 127.0.0.1; its arguments are address, port and `more`.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn serve(&self, more: &[&str]) -> Result<Server> {
        Server::start(|address, folder| self.at(address, folder, more))
    }

    /// The same at a given address, which may be one of a namespace.
    ///
    /// # Errors
    /// As [`Server::start_at`].
    pub fn serve_at(&self, address: SocketAddr, namespace: Option<&Namespace>) -> Result<Server> {
        Server::start_at(address, namespace, |address, folder| self.at(address, folder, &[]))
    }

    fn at(&self, address: SocketAddr, folder: &Path, more: &[&str]) -> Result<Command> {
        let mut command = self.command(folder)?;
        command.arg(address.ip().to_string()).arg(address.port().to_string()).args(more);
        Ok(command)
    }

    /// Runs it to be spoken to.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn speak(&self, arguments: &[&str]) -> Result<Dialogue> {
        let folder = tempfile::tempdir()?;
        let mut command = self.command(folder.path())?;
        command.args(arguments);
        Dialogue::start(command, folder)
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let output = self.command(folder.path())?.args(arguments).output()?;
        ensure!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, folder: &Path) -> Result<Command> {
        let interpreter = skip::find_program(self.interpreter);
        let mut command = Command::new(interpreter.with_context(|| self.interpreter.to_owned())?);
        let path = folder.join(self.name);
        fs::write(&path, self.text)?;
        command.arg(path);
        Ok(command)
    }
}

/// A running program that answers every line with one.
#[derive(Debug)]
pub struct Dialogue {
    process: Process,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Dialogue {
    /// Starts a program, and keeps the folder that it lives in for as long as it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, folder: TempDir) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let ask = process.child().stdin.take().context("no pipe")?;
        let answers = BufReader::new(process.child().stdout.take().context("no pipe")?);
        Ok(Self { process, ask, answers, _folder: folder })
    }

    /// Sends a line and returns the line that comes back.
    ///
    /// # Errors
    /// When the program has ended, or does not answer.
    pub fn say(&mut self, line: &str) -> Result<String> {
        writeln!(self.ask, "{line}")?;
        self.listen()
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// When the program has ended, or prints nothing for two minutes.
    pub fn listen(&mut self) -> Result<String> {
        if self.answers.buffer().is_empty() {
            let mut watched = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
            let told = poll(&mut watched, Some(&Timespec { tv_sec: PATIENCE.into(), tv_nsec: 0 }))?;
            ensure!(told > 0, "the program has said nothing for {PATIENCE} s");
        }
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "the program has ended");
        Ok(line.trim_end().to_owned())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}
