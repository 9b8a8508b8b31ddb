//! Connections that cannot go on: a request of theirs was refused, and cannot be answered, or not told from what follows.
//! The kernel drops what they say and tells us; here they are closed, so that nobody waits for an answer.

use super::open::{Open, established};
use crate::clock;
use apisec_abi::enforce::Close;
use aya::maps::{Map, MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// An answer that is on its way may take so long.
const ANSWER: u64 = 100_000_000;

/// See the module.
pub(super) struct Dead {
    ring: RingBuf<MapData>,
    waiting: Vec<Close>,
}

impl Dead {
    pub(super) fn of(ring: MapData) -> Option<Self> {
        let ring = RingBuf::try_from(Map::from_map_data(ring).ok()?).ok()?;
        Some(Self { ring, waiting: Vec::new() })
    }

    /// Closes those that are due; waits so long for one.
    pub(super) fn close(&mut self, wait: Duration) {
        let wait = if self.waiting.is_empty() { wait } else { wait.min(Duration::from_nanos(ANSWER)) };
        let time = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        // Woken early it only looks.
        let _early = poll(&mut [PollFd::new(&self.ring.as_fd(), PollFlags::IN)], Some(&time));
        while let Some(record) = self.ring.next() {
            self.waiting.extend(read(&record));
        }
        let now = clock::boottime();
        let is_due = |one: &Close| one.answered == 0 || now >= one.at.saturating_add(ANSWER);
        let due: HashSet<u64> = self.waiting.iter().filter(|one| is_due(one)).map(|one| one.cookie).collect();
        if due.is_empty() {
            return;
        }
        self.waiting.retain(|one| !is_due(one));
        let open = established(|_| true).into_iter().filter(|open| due.contains(&open.cookie));
        // Those that are gone have closed by themselves.
        let _closed = open.filter(Open::close).count();
    }
}

fn read(record: &[u8]) -> Option<Close> {
    let word = |at: usize| Some(u64::from_ne_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    Some(Close { cookie: word(0)?, at: word(8)?, policy: half(16)?, answered: half(20)? })
}
