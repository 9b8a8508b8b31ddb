//! When the reader runs: in time that nobody else wants, and soon enough all the same.
//!
//! A reader that wakes up a hundred times a second drives the watched server or its client off a CPU each time, and the
//! scheduler then keeps both on one CPU while another idles. So the reader gives way to everybody (`SCHED_IDLE`), and a
//! sentinel, which nearly always sleeps, makes it an ordinary thread when it has not caught up for [`PATIENCE`] or the
//! kernel says that the ring fills. Where the kernel refuses, the reader stays an ordinary thread.

use crate::clock;
use rustix::event::epoll;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// How long the reader may be kept from catching up: a third of what the ring holds at 100,000 small calls a second.
const PATIENCE: u64 = 60_000_000;

/// The scheduling of the thread that reads the ring.
pub(super) struct Pace {
    shared: Arc<Shared>,
    sentinel: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The reader's thread; 0 until it has read.
    reader: AtomicI32,
    /// When it last found the ring empty, monotonic nanoseconds.
    caught_up: AtomicU64,
    /// It is an ordinary thread for now.
    raised: AtomicBool,
    stop: AtomicBool,
}

impl Pace {
    /// `ring` becomes readable when the kernel wakes its reader: edge-triggered, as [`super::watch`] makes it.
    pub(super) fn start(ring: OwnedFd) -> Self {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        let sentinel = std::thread::Builder::new().name("apisec-pace".into());
        Self { shared, sentinel: sentinel.spawn(move || stand(&watched, &ring)).ok() }
    }

    /// The calling thread has read everything.
    pub(super) fn caught_up(&self) {
        if self.sentinel.is_none() {
            return;
        }
        let Shared { reader, caught_up, raised, .. } = &*self.shared;
        caught_up.store(clock::monotonic(), Ordering::Relaxed);
        let new = reader.load(Ordering::Relaxed) == 0;
        if new {
            reader.store(rustix::thread::gettid().as_raw_pid(), Ordering::Release);
        }
        if raised.swap(false, Ordering::AcqRel) || new {
            schedule(0, libc::SCHED_IDLE);
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(sentinel) = self.sentinel.take() {
            // It ends within half of its patience, and has nothing to say.
            let _ended = sentinel.join();
        }
    }
}

/// The sentinel: raises the reader when it is late.
fn stand(shared: &Shared, ring: &OwnedFd) {
    let half = rustix::time::Timespec { tv_sec: 0, tv_nsec: PATIENCE as i64 / 2 };
    while !shared.stop.load(Ordering::Acquire) {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        // An interrupted wait is a shorter one.
        let filling = epoll::wait(ring, &mut events, Some(&half)).is_ok_and(|count| count > 0);
        let reader = shared.reader.load(Ordering::Acquire);
        let behind = clock::monotonic().saturating_sub(shared.caught_up.load(Ordering::Relaxed));
        if reader != 0 && (filling || behind >= PATIENCE) && !shared.raised.swap(true, Ordering::AcqRel) {
            schedule(reader, libc::SCHED_OTHER);
        }
    }
}

/// Changes the policy of a thread of ours; 0 is the calling one. A refusal leaves it as it is, which only costs others.
#[expect(unsafe_code, reason = "sched_setscheduler has no safe wrapper")]
fn schedule(thread: i32, policy: i32) {
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads `ordinary` during the call; a thread that is gone is an error code.
    let _refused = unsafe { libc::sched_setscheduler(thread, policy, &raw const ordinary) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(thread: i32) -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[38].parse().unwrap()
    }

    fn until(what: impl Fn() -> bool) {
        let begun = clock::monotonic();
        while !what() {
            assert!(clock::monotonic() - begun < 10_000_000_000, "not within ten seconds");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_reader_gives_way_until_it_is_late() {
        std::thread::spawn(|| {
            let pace = Pace::start(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
            let reader = rustix::thread::gettid().as_raw_pid();
            pace.caught_up();
            assert_eq!(policy(reader), libc::SCHED_IDLE);
            until(|| policy(reader) == libc::SCHED_OTHER);
            pace.caught_up();
            assert_eq!(policy(reader), libc::SCHED_IDLE);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_ring_that_fills_is_enough() {
        std::thread::spawn(|| {
            let ring = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            let (end, filled) = rustix::pipe::pipe().unwrap();
            epoll::add(
                &ring,
                &end,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            )
            .unwrap();
            let pace = Pace::start(ring);
            let reader = rustix::thread::gettid().as_raw_pid();
            pace.caught_up();
            // From far in the future it cannot be late.
            pace.shared.caught_up.store(u64::MAX, Ordering::Relaxed);
            rustix::io::write(&filled, b"!").unwrap();
            until(|| policy(reader) == libc::SCHED_OTHER);
        })
        .join()
        .unwrap();
    }
}
