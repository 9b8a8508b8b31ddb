//! A line on standard error while a headless run takes its time, for a person who waits.

use apisec_engine::snapshot::Snapshot;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A shorter run needs no explanation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Back to the first column, and nothing left of what stood there.
const CLEAR: &str = "\r\u{1b}[K";

/// The line.
pub struct Progress {
    started: Instant,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// A line that is shown if standard error is a terminal and `quiet` is not asked for.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { started: Instant::now(), wanted: !quiet && std::io::stderr().is_terminal(), shown: false }
    }

    /// Whether anybody looks.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Shows where the run is.
    pub fn show(&mut self, snapshot: &Snapshot, until: Option<Duration>) {
        let elapsed = self.started.elapsed();
        if self.wanted && elapsed >= PATIENCE {
            let line = line(snapshot, elapsed, until);
            let _closed = write!(std::io::stderr(), "{CLEAR}{line}");
            self.shown = true;
        }
    }

    /// Leaves no trace.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _closed = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(snapshot: &Snapshot, elapsed: Duration, until: Option<Duration>) -> String {
    let of = until.map(|until| format!(" of {}", until.as_secs())).unwrap_or_default();
    let capture = &snapshot.capture;
    let endpoints = snapshot.endpoints.len();
    let (calls, lost) = (capture.calls, capture.lost);
    format!("{}{of} s · {calls} calls · {endpoints} endpoints · {lost} lost (Ctrl-C ends)", elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::snapshot::Capture;

    #[test]
    fn one_line_within_eighty_columns() {
        let capture = Capture { calls: 12_345_678, lost: 99_999, ..Capture::default() };
        let line = line(
            &Snapshot { capture, ..Snapshot::default() },
            Duration::from_secs(3_599),
            Some(Duration::from_secs(3_600)),
        );
        insta::assert_snapshot!(line, @"3599 of 3600 s · 12345678 calls · 0 endpoints · 99999 lost (Ctrl-C ends)");
        assert!(line.chars().count() < 80);
    }

    #[test]
    fn nobody_is_told_who_does_not_look() {
        assert!(!Progress::new(true).is_wanted());
    }
}
