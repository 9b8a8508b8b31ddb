//! The two clocks that the kernel dates things with: process starts count from boot, events do not
//! count time spent suspended.

use rustix::time::{ClockId, clock_gettime};

const SECOND: u64 = 1_000_000_000;

/// Converts process starts to the clock of the kernel's events.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootClock {
    suspended: u64,
    ticks_per_second: u64,
}

impl BootClock {
    /// Reads how far the clocks are apart now.
    pub(super) fn read() -> Self {
        let suspended = nanoseconds(ClockId::Boottime).saturating_sub(monotonic());
        Self { suspended, ticks_per_second: rustix::param::clock_ticks_per_second().max(1) }
    }

    /// The start of a process in nanoseconds of the monotonic clock, rounded down to a tick.
    pub(super) fn monotonic(self, ticks: u64) -> u64 {
        ticks.saturating_mul(SECOND / self.ticks_per_second).saturating_sub(self.suspended)
    }

    /// The tick in which a process that starts now is born.
    pub(super) fn tick(self) -> u64 {
        nanoseconds(ClockId::Boottime) / (SECOND / self.ticks_per_second)
    }
}

/// Now, in nanoseconds of the clock that dates the kernel's events.
pub(super) fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64).saturating_mul(SECOND).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::process::Process;

    #[test]
    fn our_own_birth_is_in_the_past() {
        let clock = BootClock::read();
        let ourselves = Process::read(std::process::id()).unwrap();
        assert!(ourselves.start <= clock.tick());
        assert!(clock.monotonic(ourselves.start) <= monotonic());
    }
}
