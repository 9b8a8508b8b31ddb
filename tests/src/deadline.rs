//! Waiting for a condition, with a deadline and a name for what did not happen.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition: short beside what is waited for, long beside the cost of a look.
const PACE: Duration = Duration::from_millis(20);

/// Calls `poll` until it gives a value; fails with `what` after `patience`.
pub fn eventually<T>(what: &str, patience: Duration, mut poll: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = poll() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {patience:?}");
        }
        thread::park_timeout(PACE);
    }
}
