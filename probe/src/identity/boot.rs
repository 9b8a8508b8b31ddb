//! When a process started, on the clock that dates everything behind a source: Unix nanoseconds.

use crate::clock;
use rustix::time::{ClockId, clock_gettime};

const SECOND: u64 = 1_000_000_000;
/// Clocks are read one after the other and rounded to ticks. No pid comes round within this time.
pub(super) const SLACK: u64 = SECOND / 10;

/// Converts process starts to the time of events: monotonic time with what was added to it at the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootClock {
    offset: u64,
    suspended: u64,
    ticks_per_second: u64,
}

impl BootClock {
    /// Reads the clocks now.
    pub(super) fn read() -> Self {
        let offset = clock::now().saturating_sub(clock::monotonic());
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        Self { offset, suspended: suspended(), ticks_per_second }
    }

    /// The machine may have been suspended since.
    pub(super) fn refresh(&mut self) {
        self.suspended = suspended();
    }

    /// The start of a process, [`SLACK`] early so that nothing that it did seems to come before.
    pub(super) fn born(self, ticks: u64) -> u64 {
        let start = ticks.saturating_mul(SECOND / self.ticks_per_second).saturating_add(self.offset);
        start.saturating_sub(self.suspended).saturating_sub(SLACK)
    }

    /// The tick in which a process that starts now is born.
    pub(super) fn tick(self) -> u64 {
        since_boot() / (SECOND / self.ticks_per_second)
    }
}

fn suspended() -> u64 {
    since_boot().saturating_sub(clock::monotonic())
}

fn since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64).saturating_mul(SECOND).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::process::Process;

    #[test]
    fn our_own_birth_is_in_the_recent_past() {
        let clock = BootClock::read();
        let ourselves = Process::read(std::process::id()).unwrap();
        assert!(ourselves.start <= clock.tick());
        let age = clock::now() - clock.born(ourselves.start);
        assert!((SLACK..3_600 * SECOND).contains(&age));
    }
}
