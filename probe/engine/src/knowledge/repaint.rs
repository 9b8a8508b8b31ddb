//! Snapshots are painted over older ones, so that a large read model of which little has changed costs little.

use crate::snapshot::Snapshot;
use std::cmp::Ordering;
use std::sync::Arc;

/// The last two snapshots: the newer one is on somebody's screen, the older one is usually free.
#[derive(Default)]
pub(super) struct Canvases([Option<Arc<Snapshot>>; 2]);

impl Canvases {
    /// The newest snapshot that nobody else holds, or an empty one (whose revision is 0).
    pub(super) fn take(&mut self) -> Snapshot {
        for kept in &mut self.0 {
            match kept.take().map(Arc::try_unwrap) {
                Some(Ok(snapshot)) => return snapshot,
                Some(Err(held)) => *kept = Some(held),
                None => {}
            }
        }
        Snapshot::default()
    }

    /// Remembers a snapshot that is being handed out.
    pub(super) fn keep(&mut self, snapshot: &Arc<Snapshot>) {
        let [newer, older] = &mut self.0;
        *older = newer.replace(snapshot.clone());
    }
}

/// Makes `rows` hold one row per key, in order of keys. `order` compares a row with a key; rows and keys are
/// ascending. `paint` brings a row up to date and is told whether it was made just now.
pub(super) fn repaint<K, V>(
    rows: &mut Vec<V>,
    keys: impl Iterator<Item = K>,
    order: impl Fn(&V, &K) -> Ordering,
    fresh: impl Fn(&K) -> V,
    mut paint: impl FnMut(&mut V, K, bool),
) {
    let mut at = 0;
    // From the first difference on, rows are taken from here.
    let mut old = None;
    for key in keys {
        if old.is_none() && rows.get(at).is_none_or(|row| order(row, &key).is_ne()) {
            old = Some(rows.split_off(at).into_iter().peekable());
        }
        let mut is_fresh = false;
        if let Some(old) = &mut old {
            while old.next_if(|row| order(row, &key).is_lt()).is_some() {}
            let kept = old.next_if(|row| order(row, &key).is_eq());
            is_fresh = kept.is_none();
            rows.push(kept.unwrap_or_else(|| fresh(&key)));
        }
        if let Some(row) = rows.get_mut(at) {
            paint(row, key, is_fresh);
        }
        at += 1;
    }
    rows.truncate(at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn rows_become_the_keys_and_survivors_are_kept(
            before in proptest::collection::btree_set(0_u8..30, 0..20),
            after in proptest::collection::btree_map(0_u8..30, any::<u8>(), 0..20),
        ) {
            let mut rows: Vec<(u8, u8, bool)> = before.iter().map(|key| (*key, 0, false)).collect();
            let order = |row: &(u8, u8, bool), key: &(&u8, &u8)| row.0.cmp(key.0);
            repaint(&mut rows, after.iter(), order, |key| (*key.0, 0, true), |row, (_, value), fresh| {
                assert_eq!(fresh, row.2);
                row.1 = *value;
            });
            let painted: BTreeMap<u8, u8> = rows.iter().map(|(key, value, _)| (*key, *value)).collect();
            prop_assert!(rows.is_sorted());
            prop_assert_eq!(painted, after);
            prop_assert!(rows.iter().all(|(key, _, fresh)| *fresh != before.contains(key)));
        }
    }

    #[test]
    fn only_a_snapshot_that_nobody_holds_is_painted_over() {
        let mut canvases = Canvases::default();
        let held: Vec<Arc<Snapshot>> =
            (1..=3).map(|revision| Arc::new(Snapshot { revision, ..Snapshot::default() })).collect();
        held.iter().for_each(|snapshot| canvases.keep(snapshot));
        assert_eq!(canvases.take().revision, 0);
        drop(held);
        assert_eq!(canvases.take().revision, 3);
    }
}
