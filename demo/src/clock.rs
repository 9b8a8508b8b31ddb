//! What time it is: the real one, or that of a recording, which begins at a fixed moment and passes
//! only while everybody waits.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// When every recording begins: 2026-11-02, 09:00 UTC, a Monday morning.
const MORNING: Duration = Duration::from_secs(1_793_610_000);

static RECORDING: OnceLock<Instant> = OnceLock::new();

/// From now on this process lives in a recording.
pub(crate) fn begin_recording() {
    RECORDING.get_or_init(Instant::now);
}

/// Whether this process lives in a recording.
pub(crate) fn is_recorded() -> bool {
    RECORDING.get().is_some()
}

/// Since the Unix epoch.
pub(crate) fn now() -> Duration {
    match RECORDING.get() {
        Some(begin) => MORNING + begin.elapsed(),
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    }
}
