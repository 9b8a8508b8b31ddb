//! A bare terminal that can be torn away: nobody draws it, and nobody sends a signal when it goes.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::eventually;
use crate::process::Process;

/// How long the reader waits before it looks whether it shall end.
const PACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A program on a terminal of its own, which is not the controlling one of its session.
#[derive(Debug)]
pub struct Pty {
    process: Process,
    keys: OwnedFd,
    reader: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    drawn: Arc<AtomicUsize>,
}

impl Pty {
    /// Starts a program.
    ///
    /// # Errors
    /// When there is no terminal, or the program cannot be started.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = open(ptsname(&ours, Vec::new())?, flags, Mode::empty())?;
        tcsetwinsize(&theirs, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(Stdio::from(theirs));
        let process = Process::start(command)?;
        let (stop, drawn) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, count, output) = (stop.clone(), drawn.clone(), ours.try_clone()?);
        let reader = thread::spawn(move || read(&output, &told, &count));
        Ok(Self { process, keys: ours, reader, stop, drawn })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Types text.
    ///
    /// # Errors
    /// When the terminal takes none.
    pub fn type_text(&self, text: &str) -> Result<()> {
        Ok(File::from(self.keys.try_clone()?).write_all(text.as_bytes())?)
    }

    /// Gives the terminal another size, without a word to the program: it is not its controlling terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        Ok(tcsetwinsize(&self.keys, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?)
    }

    /// How many bytes the program has drawn.
    pub fn drawn(&self) -> usize {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Waits until the program has drawn so many bytes.
    ///
    /// # Errors
    /// When it does not.
    pub fn until_drawn(&self, bytes: usize, patience: Duration) -> Result<()> {
        let enough = || (self.drawn() >= bytes).then_some(());
        eventually(&format!("{bytes} bytes on the terminal"), patience, enough)
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn wait(mut self, patience: Duration) -> Result<ExitStatus> {
        self.process.wait(patience)
    }

    /// Tears the terminal away and waits for the program's end.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn tear_away(self, patience: Duration) -> Result<ExitStatus> {
        let Self { mut process, keys, reader, stop, .. } = self;
        stop.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| anyhow!("reading the terminal failed"))?;
        drop(keys);
        process.wait(patience).context("after its terminal was torn away")
    }
}

/// Reads what is drawn, so that the program never waits for us.
fn read(output: &OwnedFd, stop: &AtomicBool, count: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let mut watched = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        if matches!(poll(&mut watched, Some(&PACE)), Ok(1)) {
            match rustix::io::read(output, &mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(some) => count.fetch_add(some, Ordering::Relaxed),
            };
        }
    }
}
