//! A delta in two: both together are the whole, whichever is merged first.

use super::Delta;
use crate::call_log::CallChunk;
use std::sync::Arc;

impl Delta {
    /// Takes away about half of the rows; `None` when there is nothing that could be divided.
    pub fn split(&mut self) -> Option<Self> {
        let half = Self {
            from: self.from,
            to: self.to,
            workloads: second_half(&mut self.workloads),
            endpoints: second_half(&mut self.endpoints),
            edges: second_half(&mut self.edges),
            legs: second_half(&mut self.legs),
            log: second_half(&mut self.log),
            renames: second_half(&mut self.renames),
            trails: second_half(&mut self.trails),
            ..Self::default()
        };
        let rows = half.workloads.len() + half.endpoints.len() + half.edges.len();
        let parts = half.legs.len() + half.log.len() + half.renames.len() + half.trails.len();
        (rows + parts > 0).then_some(half)
    }

    /// Drops the calls themselves; returns how many. What was counted stays.
    pub fn shed_samples(&mut self) -> u64 {
        let rows: u64 = self.log.iter().map(|chunk| chunk.rows.len() as u64).sum();
        let dropped: u64 = self.log.iter().map(|chunk| chunk.dropped).sum();
        let rest = rows.saturating_add(dropped);
        self.log.clear();
        if rest > 0 {
            self.log.push(Arc::new(CallChunk { dropped: rest, ..CallChunk::default() }));
        }
        rows
    }

    /// Drops what bodies looked like, and the fields of sampled calls; returns of how many.
    pub fn shed_details(&mut self) -> u64 {
        let mut shed = 0_u64;
        self.endpoints.iter_mut().for_each(|(_, stats)| stats.looks = None);
        for chunk in self.log.iter_mut().filter(|chunk| !chunk.details.is_empty() || !chunk.bodies.is_empty())
        {
            let chunk = Arc::make_mut(chunk);
            shed = shed.saturating_add(chunk.details.len() as u64);
            chunk.details.clear();
            chunk.bodies.clear();
            chunk.rows.iter_mut().for_each(|row| row.detail = 0);
        }
        shed
    }

    /// Keeps `most` of the calls themselves, evenly spread; returns how many it dropped.
    pub fn sample(&mut self, most: usize) -> u64 {
        let rows: usize = self.log.iter().map(|chunk| chunk.rows.len()).sum();
        if rows <= most {
            return 0;
        }
        let (mut seen, mut shed) = (0_usize, 0_u64);
        for chunk in &mut self.log {
            let chunk = Arc::make_mut(chunk);
            let before = chunk.rows.len();
            chunk.rows.retain(|_| {
                let (earlier, later) = (seen * most / rows, (seen + 1) * most / rows);
                seen += 1;
                later > earlier
            });
            let dropped = (before - chunk.rows.len()) as u64;
            chunk.dropped = chunk.dropped.saturating_add(dropped);
            shed += dropped;
        }
        shed
    }
}

fn second_half<T>(rows: &mut Vec<T>) -> Vec<T> {
    rows.split_off(rows.len().div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn both_halves_are_the_whole_in_either_order() {
        let whole = fixture::delta();
        let mut first = whole.clone();
        let mut second = first.split().unwrap();
        let mut merged = first.clone();
        merged.merge(second.clone());
        second.merge(first);
        let mut sorted = Delta::default();
        sorted.merge(whole);
        assert_eq!(merged.edges, sorted.edges);
        assert_eq!(merged.endpoints, sorted.endpoints);
        assert_eq!(second.edges, sorted.edges);
        assert_eq!((merged.calls(), merged.ticks), (sorted.calls(), sorted.ticks));
    }

    #[test]
    fn it_is_divided_until_there_is_nothing_left_to_divide() {
        let mut parts = vec![fixture::delta()];
        let calls = parts[0].calls();
        while let Some(half) = parts.last_mut().and_then(Delta::split) {
            parts.push(half);
        }
        assert_eq!(parts.iter().map(Delta::calls).sum::<u64>(), calls);
    }

    #[test]
    fn samples_are_shed_and_counted() {
        let mut delta = fixture::delta();
        let rows: u64 = delta.log.iter().map(|chunk| chunk.rows.len() as u64).sum();
        assert!(rows > 2);
        assert_eq!(delta.sample(2), rows - 2);
        assert_eq!(delta.log.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 2);
        assert_eq!(delta.shed_samples(), 2);
        assert_eq!(delta.log.iter().map(|chunk| chunk.dropped).sum::<u64>(), rows);
        assert_eq!(delta.shed_samples(), 0);
    }
}
