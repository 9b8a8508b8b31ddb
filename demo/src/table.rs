//! Rows in memory, by key, never more than a limit: the shop's only database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows kept per table. Load runs for hours; at about 1 KiB a row this stays near 10 MiB per server.
pub(crate) const MAX_ROWS: usize = 10_000;

/// A bounded table: when it is full, the row with the smallest key goes, which is the oldest one
/// where keys grow with time.
pub(crate) struct Table<K, V> {
    rows: Mutex<BTreeMap<K, V>>,
}

impl<K: Ord, V: Clone> Table<K, V> {
    /// A table that starts with `rows`.
    pub(crate) fn new(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { rows: Mutex::new(rows.into_iter().collect()) }
    }

    /// A copy of the row of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.rows().get(key).cloned()
    }

    /// Adds or replaces the row of `key`.
    pub(crate) fn put(&self, key: K, row: V) {
        let mut rows = self.rows();
        rows.insert(key, row);
        while rows.len() > MAX_ROWS {
            rows.pop_first();
        }
    }

    /// Removes the row of `key`.
    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        self.rows().remove(key)
    }

    /// Removes the rows that `wanted` refuses.
    pub(crate) fn retain(&self, wanted: impl Fn(&V) -> bool) {
        self.rows().retain(|_, row| wanted(row));
    }

    /// Changes the row of `key` in place and returns what `change` returned; `None` if there is no such row.
    pub(crate) fn change<T>(&self, key: &K, change: impl FnOnce(&mut V) -> T) -> Option<T> {
        self.rows().get_mut(key).map(change)
    }

    /// Copies of the rows that `wanted` accepts, by key.
    pub(crate) fn select(&self, wanted: impl Fn(&V) -> bool) -> Vec<V> {
        self.rows().values().filter(|row| wanted(row)).cloned().collect()
    }

    /// The first row that `wanted` accepts.
    pub(crate) fn find(&self, wanted: impl Fn(&V) -> bool) -> Option<V> {
        self.rows().values().find(|row| wanted(row)).cloned()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<K, V>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_its_oldest_row() {
        let table = Table::new([]);
        for key in 0..=MAX_ROWS {
            table.put(key, key);
        }
        assert_eq!(table.get(&0), None);
        assert_eq!(table.get(&1), Some(1));
        assert_eq!(table.select(|_| true).len(), MAX_ROWS);
    }
}
