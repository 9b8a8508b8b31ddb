//! Rows as what they mean: the statistics of endpoints and the totals of edges, all runs of a store together.

use super::words::{classes, formats, kinds, tally};
use super::{Inventory, InventoryError};
use apisec_engine::endpoint::{EndpointKey, EndpointStats, Id};
use apisec_engine::graph::EdgeKey;
use apisec_engine::load::Load;
use apisec_engine::looks::{Look, Looks};
use apisec_engine::vocabulary;
use apisec_proto::body::Format;
use apisec_proto::body::shape::Place;
use apisec_proto::call::{Notes, Protocol, Vantage};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a file holds, by the store that observed it.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) endpoints: BTreeMap<(String, EndpointKey), EndpointStats>,
    pub(super) edges: BTreeMap<(String, EdgeKey), Load>,
}

/// Endpoints while they are read, by number.
type Numbered = HashMap<i64, ((String, EndpointKey), EndpointStats)>;
/// Shapes while they are read.
type Halves = HashMap<(i64, u16, Format, bool), Look>;

impl Inventory {
    /// Everything.
    pub(super) fn sums(&self) -> Result<Sums, InventoryError> {
        self.connection.execute_batch(include_str!("choose_all.sql"))?;
        Ok(Sums { endpoints: chosen(&self.connection)?, edges: edges(&self.connection)? })
    }
}

/// The endpoints that were chosen into a table of that name.
pub(super) fn chosen(
    connection: &Connection,
) -> Result<BTreeMap<(String, EndpointKey), EndpointStats>, InventoryError> {
    let mut numbered = endpoints(connection)?;
    add_facts(connection, &mut numbered)?;
    add_bodies(connection, &mut numbered)?;
    let mut sums: BTreeMap<_, EndpointStats> = BTreeMap::new();
    for (key, stats) in numbered.into_values() {
        sums.entry(key).or_default().merge(&stats);
    }
    Ok(sums)
}

fn endpoints(connection: &Connection) -> Result<Numbered, InventoryError> {
    let mut query = connection.prepare(include_str!("endpoints.sql"))?;
    let rows = query.query_map([], |row| {
        let stats = EndpointStats { load: load(row, 8)?, ..EndpointStats::default() };
        Ok((key(row)?, row.get(6)?, row.get(7)?, stats))
    })?;
    let mut all = Numbered::new();
    for row in rows {
        let (key, id, origin, stats) = row?;
        all.extend(key.map(|key| (id, ((origin, key), stats))));
    }
    Ok(all)
}

fn add_facts(connection: &Connection, endpoints: &mut Numbered) -> Result<(), InventoryError> {
    let mut query = connection.prepare(include_str!("facts.sql"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if let Some((_, stats)) = endpoints.get_mut(&row.get(0)?) {
            let (kind, value): (String, String) = (row.get(1)?, row.get(2)?);
            add_fact(stats, &kind, &value, row.get::<_, i64>(3)?.cast_unsigned());
        }
    }
    Ok(())
}

fn add_fact(stats: &mut EndpointStats, kind: &str, value: &str, calls: u64) {
    match kind {
        "status" => value.parse().into_iter().for_each(|status| stats.statuses.add(status, calls)),
        "caller" => stats.callers.add(&Id::from(value), calls),
        "auth" => {
            let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(_, word)| *word == value);
            schemes.for_each(|(scheme, _)| stats.auth.insert(*scheme));
        }
        "note" => {
            let bit = Notes::NAMES.iter().position(|name| *name == value);
            bit.into_iter().for_each(|bit| stats.notes.add(bit as u8, calls));
        }
        "host" => stats.hosts.insert(value),
        "query" => stats.query.insert(value),
        "request-type" => stats.request_types.insert(value),
        "response-type" => stats.response_types.insert(value),
        _ => {}
    }
}

fn add_bodies(connection: &Connection, endpoints: &mut Numbered) -> Result<(), InventoryError> {
    let mut halves = bodies(connection)?;
    add_places(connection, &mut halves)?;
    for ((endpoint, ..), look) in halves {
        if let Some((_, stats)) = endpoints.get_mut(&endpoint) {
            let mut looks = Looks::default();
            looks.put(&look);
            Arc::make_mut(stats.looks.get_or_insert_default()).merge(&looks);
        }
    }
    Ok(())
}

fn bodies(connection: &Connection) -> Result<Halves, InventoryError> {
    let mut query = connection.prepare(include_str!("bodies.sql"))?;
    let mut rows = query.query([])?;
    let mut halves = Halves::new();
    while let Some(row) = rows.next()? {
        let Some(at) = half(row)? else { continue };
        let (_, status, format, is_whole) = at;
        let mut look = Look { status, format, ..Look::default() };
        let Look { whole_bodies, cut_bodies, whole, cut, .. } = &mut look;
        let (count, shape) = if is_whole { (whole_bodies, whole) } else { (cut_bodies, cut) };
        *count = row.get::<_, i64>(4)?.cast_unsigned();
        if row.get(5)? {
            shape.overflow();
        }
        look.sensitive = tally(&row.get::<_, String>(6)?);
        halves.insert(at, look);
    }
    Ok(halves)
}

fn add_places(connection: &Connection, halves: &mut Halves) -> Result<(), InventoryError> {
    let mut query = connection.prepare(include_str!("places.sql"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = half(row)? else { continue };
        let Some(look) = halves.get_mut(&at) else { continue };
        let text = |at: usize| row.get::<_, String>(at);
        let place = Place {
            path: text(4)?.into(),
            kinds: kinds(&text(5)?),
            formats: formats(&text(6)?),
            classes: classes(&text(7)?),
            count: row.get(8)?,
            objects: row.get(9)?,
            longest: row.get(10)?,
        };
        let shape = if at.3 { &mut look.whole } else { &mut look.cut };
        shape.add(&place.path.clone(), |own| *own = place);
    }
    Ok(())
}

/// Endpoint, status, format, whole in the first four columns; `None` for a format of a newer program.
fn half(row: &Row<'_>) -> rusqlite::Result<Option<(i64, u16, Format, bool)>> {
    let word: String = row.get(2)?;
    let known = vocabulary::FORMATS.iter().find(|(_, known)| *known == word);
    let (endpoint, status, whole) = (row.get(0)?, row.get(1)?, row.get(3)?);
    Ok(known.map(|(format, _)| (endpoint, status, *format, whole)))
}

/// All edges, every store's runs together.
pub(super) fn edges(connection: &Connection) -> Result<BTreeMap<(String, EdgeKey), Load>, InventoryError> {
    let mut query = connection.prepare(include_str!("edges.sql"))?;
    let mut rows = query.query([])?;
    let mut sums: BTreeMap<_, Load> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let text = |at: usize| row.get::<_, String>(at);
        let Some(protocol) = protocol(&text(2)?) else { continue };
        let (src, dst, vantage) = (text(0)?.into(), text(1)?.into(), vantage(&text(3)?));
        sums.entry((text(4)?, EdgeKey { src, dst, protocol, vantage })).or_default().merge(&load(row, 5)?);
    }
    Ok(sums)
}

/// The key of an endpoint in the first six columns; `None` for a protocol of a newer program.
pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<Option<EndpointKey>> {
    let text = |at: usize| row.get::<_, String>(at);
    let (service, word, vantage) = (text(0)?, text(1)?, vantage(&text(2)?));
    let (path, method, operation) = (text(3)?, text(4)?, text(5)?);
    Ok(protocol(&word).map(|protocol| EndpointKey {
        service: service.into(),
        path: path.into(),
        method: method.into(),
        operation: operation.into(),
        protocol,
        vantage,
    }))
}

fn protocol(word: &str) -> Option<Protocol> {
    vocabulary::PROTOCOLS.iter().find(|(_, known)| *known == word).map(|(protocol, _)| *protocol)
}

fn vantage(word: &str) -> Vantage {
    if word == "client" { Vantage::Client } else { Vantage::Server }
}

/// A load in the columns from `at` on.
fn load(row: &Row<'_>, at: usize) -> rusqlite::Result<Load> {
    let number = |offset: usize| row.get::<_, i64>(at + offset).map(i64::cast_unsigned);
    let set = |offset: usize| row.get::<_, String>(at + offset).map(|text| tally(&text));
    Ok(Load {
        first: number(0)?,
        last: number(1)?,
        calls: number(2)?,
        errors: number(3)?,
        unanswered: number(4)?,
        request_bytes: number(5)?,
        response_bytes: number(6)?,
        encrypted: number(7)?,
        anonymous: number(8)?,
        classes: [set(9)?, set(10)?],
        mutual: number(11)?,
        ..Load::default()
    })
}
