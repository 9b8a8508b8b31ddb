//! What each stage costs us, in CPU seconds: measured on one segment in [`SAMPLE`], scaled to all.
//!
//! Deliberately not exact: timing every segment would cost more than most stages.

use crate::clock;
use std::collections::BTreeMap;

/// One segment in this many is timed: each time costs four calls of the kernel.
const SAMPLE: u32 = 512;

/// The stages of the capture thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reassembly and wire protocols.
    Decode,
    /// Workloads, redaction, identity.
    Name,
    /// Aggregation into the delta.
    Observe,
}

const STAGES: [(Stage, &str); 3] =
    [(Stage::Decode, "decode"), (Stage::Name, "name"), (Stage::Observe, "observe")];

/// Sampled times.
#[derive(Debug, Default)]
pub(super) struct Cost {
    segments: u32,
    timed: bool,
    last: u64,
    spent: [u64; STAGES.len()],
}

impl Cost {
    /// A segment begins; it is timed if its turn has come.
    pub(super) fn begin(&mut self) {
        self.segments = self.segments.wrapping_add(1);
        self.timed = self.segments.is_multiple_of(SAMPLE);
        if self.timed {
            self.last = clock::thread_cpu_nanos();
        }
    }

    /// `stage` has ended; what follows is charged to the next one that ends.
    pub(super) fn charge(&mut self, stage: Stage) {
        if !self.timed {
            return;
        }
        let now = clock::thread_cpu_nanos();
        if let Some(spent) = self.spent.get_mut(stage as usize) {
            *spent += now.saturating_sub(self.last);
        }
        self.last = now;
    }

    /// Seconds per stage, and the CPU seconds of this thread as a whole; `ring` is the rest.
    #[must_use]
    pub(super) fn seconds(&self) -> BTreeMap<String, f64> {
        let mut seconds = BTreeMap::new();
        let mut stages = 0.0;
        for (stage, name) in STAGES {
            let spent = self.spent.get(stage as usize).copied().unwrap_or_default();
            let scaled = spent as f64 * f64::from(SAMPLE) / 1e9;
            stages += scaled;
            seconds.insert(name.to_owned(), scaled);
        }
        let thread = clock::thread_cpu();
        seconds.insert("ring".into(), (thread - stages).max(0.0));
        seconds.insert("capture_thread".into(), thread);
        seconds
    }
}
