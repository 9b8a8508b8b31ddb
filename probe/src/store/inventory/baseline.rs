//! What is usual, in the inventory: written as a whole, because forgetting changes all of it.

use super::{Inventory, InventoryError};
use apisec_engine::baseline::{NORMS, Norm, NormKey};
use rusqlite::{Transaction, params};

impl Inventory {
    /// What earlier runs learnt.
    ///
    /// # Errors
    /// It cannot be read. A norm that is not understood is left out: it is learnt again.
    pub fn norms(&self) -> Result<Vec<(NormKey, Norm)>, InventoryError> {
        let mut query = self
            .connection
            .prepare("SELECT service, caller, method, path, operation, norm FROM baseline ORDER BY minutes DESC LIMIT ?1")?;
        let rows = query.query_map([NORMS as i64], |row| {
            let text = |at: usize| row.get::<_, String>(at);
            let key = NormKey {
                service: text(0)?.into(),
                caller: text(1)?.into(),
                method: text(2)?.into(),
                path: text(3)?.into(),
                operation: text(4)?.into(),
            };
            Ok((key, text(5)?))
        })?;
        let mut norms = Vec::new();
        for row in rows {
            let (key, text) = row?;
            norms.extend(serde_json::from_str::<Norm>(&text).ok().map(|norm| (key, norm)));
        }
        Ok(norms)
    }

    /// Replaces what was learnt.
    ///
    /// # Errors
    /// It cannot be written; what was there stays.
    pub fn keep_norms<'a>(
        &mut self,
        norms: impl Iterator<Item = (&'a NormKey, &'a Norm)>,
    ) -> Result<(), InventoryError> {
        let change = self.connection.transaction()?;
        put_norms(&change, norms)?;
        change.commit()?;
        Ok(())
    }
}

/// The same, within a batch.
pub(super) fn put_norms<'a>(
    change: &Transaction<'_>,
    norms: impl Iterator<Item = (&'a NormKey, &'a Norm)>,
) -> Result<(), InventoryError> {
    change.execute("DELETE FROM baseline", [])?;
    let mut insert = change.prepare_cached("INSERT INTO baseline VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for (NormKey { service, caller, method, path, operation }, norm) in norms {
        let text = serde_json::to_string(norm).map_err(std::io::Error::from)?;
        insert.execute(params![
            &**service,
            &**caller,
            method.as_str(),
            &**path,
            operation.as_str(),
            norm.minutes,
            norm.last.cast_signed(),
            text
        ])?;
    }
    Ok(())
}
