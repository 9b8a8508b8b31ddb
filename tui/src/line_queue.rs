//! The queue between the capture thread and a reader that may be slow: bounded in bytes, counted when full.
//!
//! Lines are appended to one buffer that the writer takes as a whole, so that nothing is allocated per
//! line once both buffers have grown.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait for the reader at most: some ten thousand lines, a blink at full speed.
const MAX_WAITING: usize = 4 << 20;
/// Bytes with which the writer does not wait for more.
const ENOUGH: usize = 64 << 10;
/// How long a line waits for company before it is written.
const LINGER: Duration = Duration::from_millis(50);

/// What happens to a line that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted: live capture must not wait.
    Drop,
    /// The source waits: a file has time.
    Wait,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines handed to the reader.
    pub written: u64,
    /// Lines that did not fit.
    pub dropped: u64,
}

/// The end for the capture thread. Dropping it ends the stream.
pub struct Inlet {
    shared: Arc<Shared>,
    when_full: WhenFull,
}

/// The end for the thread that writes.
pub struct Outlet(Arc<Shared>);

/// A view from beside: ends a source that waits, and counts.
pub struct Overseer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lines: u64,
    totals: Totals,
    /// No line will follow.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    /// The source is to end and must not be kept waiting.
    hurried: bool,
}

/// A queue.
#[must_use]
pub fn queue(when_full: WhenFull) -> (Inlet, Outlet) {
    let shared = Arc::new(Shared::default());
    (Inlet { shared: shared.clone(), when_full }, Outlet(shared))
}

impl Shared {
    /// A thread that panicked while it held the lock has lost at most a line; the others go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inlet {
    /// Appends what `write` appends, unless there is no room or nobody reads.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.shared.lock();
        let waits = self.when_full == WhenFull::Wait;
        while waits && state.waiting.len() >= MAX_WAITING && !state.deaf && !state.hurried {
            state = self.shared.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.deaf {
            return;
        }
        let before = state.waiting.len();
        if before >= MAX_WAITING {
            state.totals.dropped = state.totals.dropped.saturating_add(1);
            return;
        }
        write(&mut state.waiting);
        state.lines = state.lines.saturating_add(1);
        if before == 0 || (before < ENOUGH && state.waiting.len() >= ENOUGH) {
            self.shared.filled.notify_one();
        }
    }
}

impl Overseer {
    /// From now on lines that do not fit are dropped and counted.
    pub fn hurry(&self) {
        self.0.lock().hurried = true;
        self.0.emptied.notify_one();
    }

    /// What has become of the lines so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.lock().totals
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.filled.notify_one();
    }
}

impl Outlet {
    /// A view from beside.
    #[must_use]
    pub fn overseer(&self) -> Overseer {
        Overseer(self.0.clone())
    }

    /// Writes lines until the inlet is dropped or nobody reads.
    ///
    /// # Errors
    /// `out` failed for another reason than a closed pipe, which is a quiet end.
    pub fn write_all_to(self, out: &mut dyn Write) -> io::Result<()> {
        let mut batch = Vec::new();
        while let Some(lines) = self.take(&mut batch) {
            match out.write_all(&batch).and_then(|()| out.flush()) {
                Ok(()) => self.count(lines),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Exchanges `batch` for the lines that wait; `None` when there are none and none will come.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let asleep = |state: &mut State| state.waiting.is_empty() && !state.ended;
        let gathering = |state: &mut State| state.waiting.len() < ENOUGH && !state.ended;
        let state = self.0.filled.wait_while(self.0.lock(), asleep).unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.filled.wait_timeout_while(state, LINGER, gathering);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        batch.clear();
        mem::swap(&mut state.waiting, batch);
        self.0.emptied.notify_one();
        let lines = mem::take(&mut state.lines);
        (lines > 0).then_some(lines)
    }

    fn count(&self, lines: u64) {
        let mut state = self.0.lock();
        state.totals.written = state.totals.written.saturating_add(lines);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.lock().deaf = true;
        self.0.emptied.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    /// A reader that takes one batch per permit.
    struct Hesitant {
        permits: mpsc::Receiver<()>,
        read: Vec<u8>,
    }

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _end = self.permits.recv();
            self.read.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&[b'x'; 1023]);
        bytes.push(b'\n');
    }

    #[test]
    fn every_line_arrives_in_order() {
        let (inlet, outlet) = queue(WhenFull::Drop);
        let overseer = outlet.overseer();
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            outlet.write_all_to(&mut read).unwrap();
            read
        });
        for number in 0..1_000 {
            inlet.push(|bytes| bytes.extend_from_slice(format!("{number}\n").as_bytes()));
        }
        drop(inlet);
        let read = reader.join().unwrap();
        assert_eq!(overseer.totals(), Totals { written: 1_000, dropped: 0 });
        let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(read).unwrap(), expected);
    }

    #[test]
    fn a_slow_reader_costs_lines_and_never_time() {
        let (inlet, outlet) = queue(WhenFull::Drop);
        let overseer = outlet.overseer();
        let (permit, permits) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut slow = Hesitant { permits, read: Vec::new() };
            outlet.write_all_to(&mut slow).unwrap();
            slow.read.len() / 1024
        });
        // Twice what the queue and the batch in the reader's hands can hold.
        let pushed = 4 * MAX_WAITING / 1024;
        (0..pushed).for_each(|_| inlet.push(line));
        drop((inlet, permit));
        let read = reader.join().unwrap();
        let totals = overseer.totals();
        assert!(totals.dropped > 0);
        assert_eq!(totals.written as usize, read);
        assert_eq!((totals.written + totals.dropped) as usize, pushed);
    }

    #[test]
    fn a_file_waits_for_its_reader() {
        let (inlet, outlet) = queue(WhenFull::Wait);
        let overseer = outlet.overseer();
        let pushed = 4 * MAX_WAITING / 1024;
        let source = thread::spawn(move || (0..pushed).for_each(|_| inlet.push(line)));
        let mut read = Vec::new();
        outlet.write_all_to(&mut read).unwrap();
        source.join().unwrap();
        assert_eq!(overseer.totals(), Totals { written: pushed as u64, dropped: 0 });
        assert_eq!(read.len(), pushed * 1024);
    }

    #[test]
    fn a_source_that_waits_can_be_ended() {
        let (inlet, outlet) = queue(WhenFull::Wait);
        let overseer = outlet.overseer();
        let pushed = 2 * MAX_WAITING / 1024;
        let source = thread::spawn(move || (0..pushed).for_each(|_| inlet.push(line)));
        overseer.hurry();
        source.join().unwrap();
        outlet.write_all_to(&mut io::sink()).unwrap();
        let totals = overseer.totals();
        assert_eq!((totals.written + totals.dropped) as usize, pushed);
        assert!(totals.dropped > 0);
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_end_for_both() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (inlet, outlet) = queue(WhenFull::Wait);
        inlet.push(line);
        outlet.write_all_to(&mut Closed).unwrap();
        // With nobody reading, not even a waiting source is held up.
        (0..2 * MAX_WAITING / 1024).for_each(|_| inlet.push(line));
    }
}
