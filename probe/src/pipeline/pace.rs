//! How often a delta is handed over: once a second, less often where many nodes are watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds between two deltas when nobody asked for more.
const USUAL: u64 = 1_000_000_000;

/// Shared by those who ask and those who heed it.
#[derive(Clone, Debug)]
pub struct Pace(Arc<AtomicU64>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(USUAL)))
    }
}

impl Pace {
    /// Nanoseconds between two deltas.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on so many nanoseconds.
    pub fn set(&self, every: u64) {
        self.0.store(every, Ordering::Relaxed);
    }
}
