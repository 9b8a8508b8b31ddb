//! A file or pipe seen through one stretch of memory that slides forward and grows up to a cap.
//!
//! Readers ask for as many bytes as their next block needs and consume them when they are done. A quiet
//! pipe is reported as idle after a short wait, so that a live `tcpdump -w - | …` does not freeze us.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// What a read fetches at least: large enough to amortise the system call, small enough for the L2 cache.
const STEP: usize = 256 * 1024;
/// How long a quiet pipe is waited for, in nanoseconds: the bound that `Source::poll` promises.
const WAIT: i64 = 50_000_000;

/// What an [`Intake::want`] achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The bytes are there.
    Yes,
    /// A pipe has nothing right now.
    Idle,
    /// The input ended before.
    End,
}

/// The input with its stretch of memory.
pub(crate) struct Intake {
    input: Box<dyn Read + Send>,
    pipe: Option<OwnedFd>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    offset: u64,
}

impl Intake {
    /// Reads from `file`; what is not a regular file is polled before it is read.
    pub(crate) fn file(file: File) -> io::Result<Self> {
        let pipe = if file.metadata()?.is_file() { None } else { Some(file.as_fd().try_clone_to_owned()?) };
        Ok(Self { pipe, ..Self::reader(Box::new(file)) })
    }

    /// Reads from standard input.
    pub(crate) fn stdin() -> io::Result<Self> {
        Self::file(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn reader(input: Box<dyn Read + Send>) -> Self {
        Self { input, pipe: None, buffer: Vec::new(), start: 0, end: 0, ended: false, offset: 0 }
    }

    /// Reads from memory.
    pub(crate) fn memory(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::reader(Box::new(io::Cursor::new(bytes)))
    }

    /// What is there and not consumed.
    pub(crate) fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Position of the first available byte in the input.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Lets go of the first `count` available bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset = self.offset.saturating_add(count as u64);
    }

    /// Makes at least `count` bytes available. The caller bounds `count`: memory grows to it.
    pub(crate) fn want(&mut self, count: usize) -> io::Result<Filled> {
        while self.end - self.start < count {
            if self.ended {
                return Ok(Filled::End);
            }
            self.make_room(count);
            if !self.readable()? {
                return Ok(Filled::Idle);
            }
            self.read_some()?;
        }
        Ok(Filled::Yes)
    }

    /// Moves what is there to the front, into a larger buffer where it needs one.
    fn make_room(&mut self, count: usize) {
        let held = self.end - self.start;
        let needed = count.max(held.saturating_add(STEP / 2)).next_multiple_of(STEP);
        if self.buffer.len() < needed {
            // Fresh pages are zero already; resizing would write them once more.
            let mut larger = vec![0; needed];
            larger.iter_mut().zip(self.available()).for_each(|(to, from)| *to = *from);
            self.buffer = larger;
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        self.start = 0;
        self.end = held;
    }

    fn readable(&self) -> io::Result<bool> {
        let Some(pipe) = &self.pipe else { return Ok(true) };
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: WAIT })) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.input.read(room) {
            Ok(0) => self.ended = true,
            Ok(count) => self.end = (self.end + count).min(self.buffer.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn slides_and_grows_without_losing_a_byte() {
        let bytes: Vec<u8> = (0..3 * STEP + 77).map(|index| (index % 251) as u8).collect();
        let mut intake = Intake::memory(bytes.clone());
        let mut seen = Vec::new();
        for count in [1, 5, STEP, STEP + 9, 3, STEP].into_iter().cycle() {
            let count = match intake.want(count).unwrap() {
                Filled::Yes => count,
                Filled::End => intake.available().len(),
                Filled::Idle => unreachable!("memory is never idle"),
            };
            if count == 0 {
                break;
            }
            assert_eq!(intake.offset(), seen.len() as u64);
            seen.extend_from_slice(&intake.available()[..count]);
            intake.consume(count);
        }
        assert_eq!(seen, bytes);
    }

    #[test]
    fn a_quiet_pipe_is_idle_and_then_goes_on() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut intake = Intake::file(File::from(read)).unwrap();
        assert_eq!(intake.want(1).unwrap(), Filled::Idle);
        let mut write = File::from(write);
        write.write_all(b"ab").unwrap();
        assert_eq!(intake.want(2).unwrap(), Filled::Yes);
        assert_eq!(intake.want(3).unwrap(), Filled::Idle);
        drop(write);
        assert_eq!(intake.want(3).unwrap(), Filled::End);
        assert_eq!(intake.available(), b"ab");
    }
}
