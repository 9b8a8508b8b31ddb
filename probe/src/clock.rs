//! The only place that asks for the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in Unix nanoseconds.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Now on `CLOCK_MONOTONIC`, the clock of the kernel programs, in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// Now on `CLOCK_BOOTTIME`, which goes on while the machine sleeps, in nanoseconds.
#[must_use]
pub fn boottime() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// CPU time of the calling thread, in nanoseconds.
#[must_use]
pub fn thread_cpu_nanos() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    (spent.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(spent.tv_nsec as u64)
}

/// CPU time of the calling thread, in seconds.
#[must_use]
pub fn thread_cpu() -> f64 {
    thread_cpu_nanos() as f64 / 1e9
}
