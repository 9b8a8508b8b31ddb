//! Calls, errors and latencies of the last minutes as sparklines.

use crate::canvas::Canvas;
use crate::format::{SECOND, count, micros};
use crate::theme::Role;
use crate::widget::sparkline::Sparkline;
use apisec_engine::snapshot::{Snapshot, Tick};
use ratatui::layout::Rect;
use std::collections::BTreeMap;

/// Most seconds of history: what a snapshot holds.
const MAX_SECONDS: u64 = 300;

/// A sparkline and where its values come from.
struct Series {
    label: &'static str,
    value: fn(&Tick) -> u64,
    format: fn(u64) -> String,
    role: Role,
}

const SERIES: [Series; 4] = [
    Series { label: "calls", value: |tick| tick.calls, format: per_second, role: Role::SparkCalls },
    Series { label: "errors", value: |tick| tick.errors, format: per_second, role: Role::SparkErrors },
    Series { label: "p50", value: |tick| tick.p50_us, format: micros, role: Role::SparkMedian },
    Series { label: "p99", value: |tick| tick.p99_us, format: micros, role: Role::SparkTail },
];

fn per_second(n: u64) -> String {
    format!("{}/s", count(n))
}

/// Draws one line of `height` rows per series.
pub(super) fn draw(snapshot: &Snapshot, canvas: &mut Canvas<'_>, area: Rect, height: u16) {
    let ticks = seconds(whole(snapshot));
    for (at, series) in (0u16..).zip(SERIES) {
        let values: Vec<u64> = ticks.iter().map(series.value).collect();
        let line =
            Rect { x: area.x + 1, y: area.y + at * height, width: area.width.saturating_sub(2), height };
        Sparkline { label: series.label, values: &values, format: series.format, role: series.role }
            .draw(canvas, line);
    }
}

/// The seconds that are over; an unfinished one would look like a drop.
fn whole(snapshot: &Snapshot) -> &[Tick] {
    match snapshot.ticks.split_last() {
        Some((last, before)) if !before.is_empty() && last.at + SECOND > snapshot.window.end_ns => before,
        _ => &snapshot.ticks,
    }
}

/// The ticks with the seconds in which nothing happened.
fn seconds(ticks: &[Tick]) -> Vec<Tick> {
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else { return Vec::new() };
    let start = (first.at / SECOND).max((last.at / SECOND).saturating_sub(MAX_SECONDS));
    let by_second: BTreeMap<u64, Tick> = ticks.iter().map(|tick| (tick.at / SECOND, *tick)).collect();
    (start..=last.at / SECOND).map(|second| by_second.get(&second).copied().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_seconds_are_drawn_as_nothing() {
        let tick = |second: u64, calls| Tick { at: second * SECOND, calls, ..Tick::default() };
        let shown: Vec<u64> = seconds(&[tick(10, 5), tick(13, 7)]).iter().map(|tick| tick.calls).collect();
        assert_eq!(shown, [5, 0, 0, 7]);
        assert!(seconds(&[]).is_empty());
        assert!(seconds(&[tick(0, 1), tick(u64::MAX / SECOND - 1, 1)]).len() <= MAX_SECONDS as usize + 1);
    }
}
