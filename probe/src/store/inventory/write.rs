//! A batch on its way into the tables: one transaction, and only what has changed.

use super::baseline::put_norms;
use super::words::{counted, join};
use super::{Batch, Inventory, InventoryError, Kept};
use apisec_engine::endpoint::EndpointKey;
use apisec_engine::graph::EdgeKey;
use apisec_engine::inventory::version;
use apisec_engine::load::Load;
use apisec_engine::looks::Looks;
use apisec_engine::vocabulary;
use apisec_proto::body::shape::Shape;
use rusqlite::{Transaction, params};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What this run has written.
#[derive(Default)]
pub(super) struct Written {
    endpoints: HashMap<EndpointKey, State>,
    edges: HashMap<EdgeKey, u64>,
}

/// An endpoint as it was written last.
#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    calls: u64,
    /// Bodies that were read until its bodies were written last.
    bodies: u64,
    /// What these looked like, but for counts.
    form: u64,
}

impl Inventory {
    /// Writes the endpoints and edges of this run, all of them each time; what has not changed costs nothing. Bodies are
    /// written when they show something new, when there are twice as many, and at the end.
    ///
    /// # Errors
    /// The disk is full, or fails; nothing of the batch is written then, and the next one has it again.
    pub fn keep(&mut self, batch: &Batch) -> Result<(), InventoryError> {
        let change = self.connection.transaction()?;
        let mut now = Written::default();
        for kept in &batch.endpoints {
            let before = self.written.endpoints.get(&kept.key).copied();
            let state = put_endpoint(&change, (&self.id, self.run), kept, before, batch.last)?;
            now.endpoints.insert(kept.key.clone(), state);
        }
        for (key, load) in &batch.edges {
            now.edges.insert(key.clone(), load.calls);
            if self.written.edges.get(key) != Some(&load.calls) {
                put_edge(&change, (&self.id, self.run), key, load)?;
            }
        }
        // What was folded into others, or has another name by now.
        for gone in self.written.endpoints.keys().filter(|key| !now.endpoints.contains_key(*key)) {
            remove_endpoint(&change, (&self.id, self.run), gone)?;
        }
        for gone in self.written.edges.keys().filter(|key| !now.edges.contains_key(*key)) {
            remove_edge(&change, (&self.id, self.run), gone)?;
        }
        if let Some(norms) = &batch.norms {
            put_norms(&change, norms.iter().map(|(key, norm)| (key, norm)))?;
        }
        change.commit()?;
        self.written = now;
        Ok(())
    }
}

/// Whose rows: the store and the run.
pub(super) type Owner<'a> = (&'a str, i64);

/// Writes an endpoint as far as it has changed.
fn put_endpoint(
    change: &Transaction<'_>,
    owner: Owner<'_>,
    kept: &Kept,
    before: Option<State>,
    last: bool,
) -> Result<State, InventoryError> {
    let before_or_none = before.unwrap_or_default();
    if before.is_some() && before_or_none.calls == kept.load.calls && !last {
        return Ok(before_or_none);
    }
    let looks = kept.looks.as_deref();
    let bodies = looks.map_or(0, |looks| {
        looks.kept().iter().map(|look| look.whole_bodies.saturating_add(look.cut_bodies)).sum()
    });
    let form = if bodies == before_or_none.bodies { before_or_none.form } else { looks.map_or(0, form) };
    let shows_more = form != before_or_none.form
        || bodies >= before_or_none.bodies.saturating_mul(2)
        || (last && bodies != before_or_none.bodies);
    let id = insert_endpoint(change, owner, kept)?;
    if bodies > 0 && shows_more {
        looks.map_or(Ok(()), |looks| insert_bodies(change, id, looks))?;
        return Ok(State { calls: kept.load.calls, bodies, form });
    }
    Ok(State { calls: kept.load.calls, ..before_or_none })
}

/// What bodies look like, but for counts.
fn form(looks: &Looks) -> u64 {
    let mut hash = DefaultHasher::new();
    for look in looks.kept() {
        (look.status, look.format).hash(&mut hash);
        for shape in [&look.whole, &look.cut] {
            shape.more().hash(&mut hash);
            for place in shape.places() {
                (&place.path, place.kinds, place.formats, place.classes).hash(&mut hash);
            }
        }
    }
    hash.finish()
}

/// Writes an endpoint with its facts; its number.
pub(super) fn insert_endpoint(
    change: &Transaction<'_>,
    (origin, run): Owner<'_>,
    kept: &Kept,
) -> Result<i64, InventoryError> {
    let Kept { key, load, accepted, facts, .. } = kept;
    let [request, response] = load.classes.map(|classes| counted(&classes));
    let id = change.prepare_cached(include_str!("put_endpoint.sql"))?.query_row(
        params![
            origin,
            run,
            &*key.service,
            vocabulary::protocol(key.protocol),
            vocabulary::vantage(key.vantage),
            &*key.path,
            key.method.as_str(),
            key.operation.as_str(),
            version(&key.path).unwrap_or_default(),
            load.first.cast_signed(),
            load.last.cast_signed(),
            load.calls.cast_signed(),
            load.errors.cast_signed(),
            load.unanswered.cast_signed(),
            accepted,
            load.request_bytes.cast_signed(),
            load.response_bytes.cast_signed(),
            load.encrypted.cast_signed(),
            load.anonymous.cast_signed(),
            request,
            response,
            load.mutual.cast_signed()
        ],
        |row| row.get(0),
    )?;
    change.prepare_cached("DELETE FROM fact WHERE endpoint = ?1")?.execute([id])?;
    let mut insert = change.prepare_cached("INSERT OR IGNORE INTO fact VALUES (?1, ?2, ?3, ?4)")?;
    for (kind, value, calls) in facts {
        insert.execute(params![id, kind, value, calls.cast_signed()])?;
    }
    Ok(id)
}

/// Writes what the bodies of an endpoint look like, instead of what is there.
pub(super) fn insert_bodies(
    change: &Transaction<'_>,
    endpoint: i64,
    looks: &Looks,
) -> Result<(), InventoryError> {
    change.prepare_cached("DELETE FROM body WHERE endpoint = ?1")?.execute([endpoint])?;
    for look in looks.kept() {
        let halves = [(true, look.whole_bodies, &look.whole), (false, look.cut_bodies, &look.cut)];
        // The classes of both together stand with the first that there is.
        let mut sensitive = counted(&look.sensitive);
        for (whole, bodies, shape) in halves.into_iter().filter(|(_, bodies, _)| *bodies > 0) {
            let id: i64 = change.prepare_cached(include_str!("put_body.sql"))?.query_row(
                params![
                    endpoint,
                    look.status,
                    vocabulary::format(look.format),
                    whole,
                    bodies.cast_signed(),
                    shape.more(),
                    std::mem::take(&mut sensitive)
                ],
                |row| row.get(0),
            )?;
            insert_places(change, id, shape)?;
        }
    }
    Ok(())
}

fn insert_places(change: &Transaction<'_>, body: i64, shape: &Shape) -> Result<(), InventoryError> {
    let mut insert = change.prepare_cached("INSERT INTO place VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for place in shape.places() {
        insert.execute(params![
            body,
            place.path.as_str(),
            join(place.kinds.words()),
            join(place.formats.words()),
            join(place.classes.names()),
            place.count,
            place.objects,
            place.longest
        ])?;
    }
    Ok(())
}

/// Writes an edge.
pub(super) fn put_edge(
    change: &Transaction<'_>,
    (origin, run): Owner<'_>,
    key: &EdgeKey,
    load: &Load,
) -> Result<(), InventoryError> {
    let [request, response] = load.classes.map(|classes| counted(&classes));
    change.prepare_cached(include_str!("put_edge.sql"))?.execute(params![
        origin,
        run,
        &*key.src,
        &*key.dst,
        vocabulary::protocol(key.protocol),
        vocabulary::vantage(key.vantage),
        load.first.cast_signed(),
        load.last.cast_signed(),
        load.calls.cast_signed(),
        load.errors.cast_signed(),
        load.unanswered.cast_signed(),
        load.request_bytes.cast_signed(),
        load.response_bytes.cast_signed(),
        load.encrypted.cast_signed(),
        load.anonymous.cast_signed(),
        request,
        response,
        load.mutual.cast_signed()
    ])?;
    Ok(())
}

fn remove_endpoint(
    change: &Transaction<'_>,
    (origin, run): Owner<'_>,
    key: &EndpointKey,
) -> Result<(), InventoryError> {
    change.prepare_cached(include_str!("remove_endpoint.sql"))?.execute(params![
        origin,
        run,
        &*key.service,
        vocabulary::protocol(key.protocol),
        vocabulary::vantage(key.vantage),
        &*key.path,
        key.method.as_str(),
        key.operation.as_str()
    ])?;
    Ok(())
}

fn remove_edge(
    change: &Transaction<'_>,
    (origin, run): Owner<'_>,
    key: &EdgeKey,
) -> Result<(), InventoryError> {
    change.prepare_cached(include_str!("remove_edge.sql"))?.execute(params![
        origin,
        run,
        &*key.src,
        &*key.dst,
        vocabulary::protocol(key.protocol),
        vocabulary::vantage(key.vantage)
    ])?;
    Ok(())
}
