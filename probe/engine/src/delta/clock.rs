//! Clocks of nodes differ: the times of a delta, as another clock would have told them.

use super::Delta;
use crate::load::SECOND;
use crate::trail::{EPOCH, epoch_of};
use std::ops::RangeInclusive;
use std::sync::Arc;

impl Delta {
    /// Moves every time by `offset` nanoseconds and into `bounds`: whoever sends us a second of the next century must
    /// not push the seconds of the others out of what is remembered.
    pub fn reset_clock(&mut self, offset: i64, bounds: &RangeInclusive<u64>) {
        let moved = |at: u64| at.saturating_add_signed(offset).clamp(*bounds.start(), *bounds.end());
        (self.from, self.to) = (moved(self.from), moved(self.to));
        self.workloads.iter_mut().for_each(|described| described.at = moved(described.at));
        self.endpoints.iter_mut().for_each(|(_, stats)| stats.load.reset_clock(moved));
        self.edges.iter_mut().for_each(|(_, load)| load.reset_clock(moved));
        self.ticks.reset_clock(moved);
        for (_, epoch, trail) in &mut self.trails {
            *epoch = epoch_of(moved(u64::from(*epoch).saturating_mul(u64::from(EPOCH) * SECOND)));
            trail.reset_clock(moved);
        }
        for leg in self.legs.iter_mut().flat_map(|legs| &mut Arc::make_mut(legs).legs) {
            (leg.start, leg.end) = (moved(leg.start), moved(leg.end));
        }
        for chunk in &mut self.log {
            Arc::make_mut(chunk).rows.iter_mut().for_each(|row| row.at = moved(row.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SECOND;
    use crate::fixture;

    #[test]
    fn there_and_back_is_nowhere() {
        let before = fixture::delta();
        let all = 0..=u64::MAX;
        let mut delta = before.clone();
        delta.reset_clock(5 * SECOND as i64, &all);
        assert_ne!(delta, before);
        assert_eq!(delta.from, before.from + 5 * SECOND);
        delta.reset_clock(-5 * SECOND as i64, &all);
        assert_eq!(delta, before);
    }

    #[test]
    fn what_is_out_of_bounds_is_at_their_edge_and_still_counted() {
        let mut delta = fixture::delta();
        let calls = delta.calls();
        delta.reset_clock(i64::MAX, &(0..=7 * SECOND));
        assert_eq!((delta.to, delta.calls()), (7 * SECOND, calls));
        assert_eq!(delta.ticks.iter().map(|(second, _)| second).collect::<Vec<_>>(), [7]);
    }
}
