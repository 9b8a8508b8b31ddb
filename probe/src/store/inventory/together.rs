//! Runs become one, and stores become one.

use super::kept::{Kept, totals};
use super::sums::{chosen, edges};
use super::write::{insert_bodies, insert_endpoint, put_edge};
use super::{Inventory, InventoryError};
use rusqlite::{Connection, Transaction};
use std::collections::BTreeSet;
use std::path::Path;

/// Everything before the run that writes now.
const BEFORE: i64 = 0;

impl Inventory {
    /// The runs before this one become one.
    pub(super) fn add_up(&mut self) -> Result<(), InventoryError> {
        let change = self.connection.transaction()?;
        change.execute_batch(include_str!("choose_runs.sql"))?;
        let endpoints = chosen(&change)?;
        change.execute("DELETE FROM endpoint WHERE id IN (SELECT id FROM temp.chosen)", [])?;
        for ((origin, key), stats) in &endpoints {
            insert(&change, origin, &Kept::of(key, stats))?;
        }
        if has_runs(&change)? {
            let edges = edges(&change)?;
            change.execute("DELETE FROM edge", [])?;
            for ((origin, key), load) in &edges {
                put_edge(&change, (origin, BEFORE), key, load)?;
            }
        }
        change.commit()?;
        Ok(())
    }

    /// Takes what another store observed; what was taken from it before is replaced. How many endpoints.
    ///
    /// # Errors
    /// It cannot be read, or this one cannot be written.
    pub fn merge(&mut self, other: &Path) -> Result<usize, InventoryError> {
        let mut theirs = Self::read(other)?.sums()?;
        theirs.endpoints.retain(|(origin, _), _| *origin != self.id);
        theirs.edges.retain(|(origin, _), _| *origin != self.id);
        let endpoints = theirs.endpoints.keys().map(|(origin, _)| origin);
        let edges = theirs.edges.keys().map(|(origin, _)| origin);
        let origins: BTreeSet<&String> = endpoints.chain(edges).collect();
        let change = self.connection.transaction()?;
        for origin in origins {
            change.execute("DELETE FROM endpoint WHERE origin = ?1", [origin])?;
            change.execute("DELETE FROM edge WHERE origin = ?1", [origin])?;
        }
        for ((origin, key), stats) in &theirs.endpoints {
            insert(&change, origin, &Kept::of(key, stats))?;
        }
        for ((origin, key), load) in &theirs.edges {
            put_edge(&change, (origin, BEFORE), key, &totals(load))?;
        }
        change.commit()?;
        Ok(theirs.endpoints.len())
    }
}

fn insert(change: &Transaction<'_>, origin: &str, kept: &Kept) -> Result<(), InventoryError> {
    let id = insert_endpoint(change, (origin, BEFORE), kept)?;
    kept.looks.as_deref().map_or(Ok(()), |looks| insert_bodies(change, id, looks))
}

fn has_runs(connection: &Connection) -> Result<bool, InventoryError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM edge WHERE run > 0)", [], |row| row.get(0))?)
}
