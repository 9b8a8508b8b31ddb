//! Runs that follow each other, and other stores.

mod killed;

use super::*;
use apisec_engine::endpoint::EndpointKey;
use apisec_engine::graph::EdgeKey;
use apisec_engine::knowledge::Knowledge;
use apisec_engine::load::Load;
use apisec_engine::looks::{Look, Looks, REQUEST};
use apisec_proto::body::Format;
use apisec_proto::body::shape::Kinds;
use apisec_proto::call::{Protocol, Vantage};
use apisec_proto::sensitive::Sensitive;
use std::sync::Arc;

fn kept(path: &str, calls: u64, at: u64) -> Kept {
    let key = EndpointKey {
        service: "process:shop:80".into(),
        path: path.into(),
        method: "GET".into(),
        operation: Default::default(),
        protocol: Protocol::Http1,
        vantage: Vantage::Server,
    };
    let facts = vec![("status", "200".to_owned(), calls), ("host", "shop.test".to_owned(), 0)];
    let load = Load { first: at, last: at + calls, calls, ..Load::default() };
    Kept { key, load, accepted: true, facts, looks: None }
}

/// A batch without edges.
fn batch<const N: usize>(endpoints: [Kept; N]) -> Batch {
    Batch { endpoints: endpoints.into(), ..Batch::default() }
}

/// The edge of one caller.
fn edge(calls: u64) -> (EdgeKey, Load) {
    let (src, dst) = ("external:192.0.2.7".into(), "process:shop:80".into());
    let key = EdgeKey { src, dst, protocol: Protocol::Http1, vantage: Vantage::Server };
    (key, Load { calls, first: 100, last: 100 + calls, ..Load::default() })
}

fn calls(inventory: &Inventory) -> Vec<(String, u64)> {
    inventory.list().unwrap().into_iter().map(|row| (row.path, row.calls)).collect()
}

fn pair(path: &str, calls: u64) -> (String, u64) {
    (path.to_owned(), calls)
}

#[test]
fn runs_add_up_and_batches_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Inventory::write(folder.path()).unwrap();
    first.keep(&batch([kept("/a", 3, 100), kept("/gone", 1, 100)])).unwrap();
    first.keep(&batch([kept("/a", 5, 100)])).unwrap();
    assert_eq!(calls(&first), [pair("/a", 5)]);
    drop(first);
    let mut second = Inventory::write(folder.path()).unwrap();
    second.keep(&batch([kept("/a", 2, 900), kept("/b", 1, 900)])).unwrap();
    assert_eq!(calls(&second), [pair("/a", 7), pair("/b", 1)]);
    drop(second);
    let third = Inventory::write(folder.path()).unwrap();
    let remembered = third.remembered().unwrap();
    let a = remembered.iter().find(|known| &*known.key.path == "/a").unwrap();
    assert_eq!(a.past, Past { first: 100, last: 902, calls: 7, accepted: true });
    let status: i64 = third
        .connection
        .query_row("SELECT fact.calls FROM fact JOIN endpoint e ON e.id = endpoint WHERE kind = 'status' AND path = '/a'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(status, 7);
}

/// Bodies of an answer: a member with a card number, in some of them text.
fn looks(bodies: u64) -> Arc<Looks> {
    let mut look = Look { status: 200, format: Format::Json, whole_bodies: bodies, ..Look::default() };
    for (path, kinds) in [("", Kinds::OBJECT), (".card", Kinds(Kinds::STRING.0 | Kinds::NULL.0))] {
        look.whole.add(path, |place| {
            (place.kinds, place.count, place.longest) = (kinds, bodies as u32, 16);
            place.classes.insert(Sensitive::Card);
        });
    }
    look.sensitive.add_many(Sensitive::Card, bodies as u32);
    let mut looks = Looks::default();
    looks.put(&look);
    Arc::new(looks)
}

/// Everything that an endpoint can have.
fn rich(calls: u64) -> Kept {
    let mut own = kept("/v2/a", calls, 100);
    own.facts.extend([("caller", "external:192.0.2.7".to_owned(), calls), ("auth", "jwt".to_owned(), 0)]);
    own.facts.push(("note", "deprecated".to_owned(), 1));
    own.load.classes[1].add_many(Sensitive::Card, calls as u32);
    own.load.mutual = 1;
    (own.load.encrypted, own.load.anonymous, own.load.response_bytes) = (calls, 1, 700);
    own.looks = Some(looks(calls));
    own
}

#[test]
fn what_is_stored_can_be_shown_like_what_was_just_observed() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    let all = Batch { edges: vec![edge(3)], last: true, ..batch([rich(3)]) };
    inventory.keep(&all).unwrap();
    drop(inventory);
    // A second run adds the same.
    let mut inventory = Inventory::write(folder.path()).unwrap();
    inventory.keep(&all).unwrap();
    let mut delta = inventory.restored().unwrap();
    assert_eq!(delta.distrust(), 0);
    let mut known = Knowledge::new(Default::default(), Vec::new());
    known.merge(delta);
    let snapshot = known.snapshot(1_000);
    let [row] = snapshot.endpoints.as_slice() else { panic!("{:?}", snapshot.endpoints) };
    assert_eq!((row.calls, row.statuses["200"], row.auth.as_slice()), (6, 6, &["jwt".to_owned()][..]));
    assert_eq!((row.first_seen, row.last_seen, row.hosts[0].as_str()), (100, 103, "shop.test"));
    assert_eq!((row.notes["deprecated"], row.response_bytes), (2, 1_400));
    assert_eq!((row.carriage.encrypted, row.carriage.response[0].as_str()), (6, "card"));
    assert_eq!((row.carriage.mutual, row.carriage.response_calls["card"]), (2, 6));
    let shape = row.looks.as_deref().unwrap().kept()[0].shape();
    let card = shape.at(".card").unwrap();
    assert_eq!((card.count, card.longest), (6, 16));
    assert!(card.kinds.contains(Kinds::NULL) && card.classes.contains(Sensitive::Card));
    let [edge] = snapshot.edges.as_slice() else { panic!("{:?}", snapshot.edges) };
    assert_eq!((edge.src.as_str(), edge.calls), ("external:192.0.2.7", 6));
    let names: Vec<&str> = snapshot.workloads.iter().map(|own| own.name.as_str()).collect();
    assert_eq!(names, ["192.0.2.7", "shop"]);
}

#[test]
fn what_stood_at_parameters_of_the_query_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    let mut look = Look { status: REQUEST, format: Format::Query, whole_bodies: 1, ..Look::default() };
    look.whole.add(".page", |place| (place.kinds, place.count) = (Kinds::INTEGER, 1));
    let mut looks = Looks::default();
    looks.put(&look);
    let own = Kept { looks: Some(Arc::new(looks)), ..kept("/a", 1, 100) };
    inventory.keep(&Batch { last: true, ..batch([own]) }).unwrap();
    let query = "SELECT format || status || path || kinds FROM property";
    let told: String = inventory.connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(told, "query0.pageinteger");
    let delta = inventory.restored().unwrap();
    let looks = delta.endpoints[0].1.looks.as_deref().unwrap();
    assert_eq!(looks.parameter("page").unwrap().words(), "integer");
    assert_eq!(looks.parameter("other"), None);
}

#[test]
fn bodies_are_written_when_they_say_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    let stored = |inventory: &Inventory| -> i64 {
        inventory.connection.query_row("SELECT bodies FROM body", [], |row| row.get(0)).unwrap()
    };
    for (calls, last, written) in [(4, false, 4), (6, false, 4), (8, false, 8), (9, false, 8), (9, true, 9)] {
        inventory.keep(&Batch { last, ..batch([rich(calls)]) }).unwrap();
        assert_eq!(stored(&inventory), written, "{calls} {last}");
    }
    let other = Kept { looks: None, ..kept("/b", 1, 1) };
    inventory.keep(&batch([other])).unwrap();
    let gone: i64 =
        inventory.connection.query_row("SELECT count(*) FROM place", [], |row| row.get(0)).unwrap();
    assert_eq!(gone, 0);
}

#[test]
fn a_file_of_the_first_version_is_read_and_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let old = Connection::open(folder.path().join(FILE)).unwrap();
    old.execute_batch(include_str!("1.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO store VALUES ('old');
         INSERT INTO endpoint VALUES ('old', 0, 'process:shop:80', 'http1', 'server', '/a', 'GET', '', 5, 9, 4, 1, 0, 1);
         INSERT INTO fact VALUES ('old', 0, 'process:shop:80', 'http1', 'server', '/a', 'GET', '', 'caller', 'x', 4);",
    )
    .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let check = |inventory: Inventory| {
        let delta = inventory.restored().unwrap();
        assert_eq!((calls(&inventory), delta.edges[0].1.calls), (vec![pair("/a", 4)], 4));
        assert_eq!((delta.endpoints[0].1.load.first, delta.endpoints[0].1.load.errors), (5, 1));
    };
    check(Inventory::read(folder.path()).unwrap());
    assert_eq!(version_of(&old).unwrap(), 1, "reading changes nothing");
    drop(old);
    let other = tempfile::tempdir().unwrap();
    let mut own = Inventory::write(other.path()).unwrap();
    assert_eq!(own.merge(folder.path()).unwrap(), 1);
    check(own);
    check(Inventory::write(folder.path()).unwrap());
}

#[test]
fn the_documentation_names_every_column() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = Inventory::write(folder.path()).unwrap();
    let query = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
        WHERE m.type IN ('table', 'view') ORDER BY m.rowid, c.cid";
    let mut query = inventory.connection.prepare(query).unwrap();
    let columns = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut real: Vec<(String, String)> = columns.map(Result::unwrap).collect();
    let text = include_str!("../../../../doc/inventory.md");
    let mut said: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (table, column) = (cells.next()?, cells.next()?);
            (column != "column" && column != "---").then(|| (table.to_owned(), column.to_owned()))
        })
        .collect();
    real.sort();
    said.sort();
    assert_eq!(said, real);
    assert!(text.contains(&format!("version {} of its form", MIGRATIONS.len())));
}

#[test]
fn merging_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(&theirs).unwrap();
    let mut other = Inventory::write(&theirs).unwrap();
    other.keep(&batch([kept("/a", 4, 50)])).unwrap();
    let mut own = Inventory::write(&ours).unwrap();
    own.keep(&batch([kept("/a", 1, 100)])).unwrap();
    assert_eq!(own.merge(&theirs).unwrap(), 1);
    assert_eq!(own.merge(&theirs).unwrap(), 1);
    assert_eq!(calls(&own), [pair("/a", 5)]);
    other.keep(&batch([kept("/a", 6, 50)])).unwrap();
    own.merge(&theirs).unwrap();
    assert_eq!(calls(&own), [pair("/a", 7)]);
    assert!(own.merge(&folder.path().join("none")).is_err() && !folder.path().join("none").exists());
}

#[test]
fn pruning_takes_the_facts_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    inventory.keep(&batch([kept("/old", 1, 100), kept("/new", 1, 900)])).unwrap();
    assert_eq!(inventory.prune(500).unwrap(), 1);
    assert_eq!(calls(&inventory), [pair("/new", 1)]);
    let facts: i64 =
        inventory.connection.query_row("SELECT count(*) FROM fact", [], |row| row.get(0)).unwrap();
    assert_eq!(facts, 2);
}

#[test]
fn one_writes_and_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Inventory::write(folder.path()).unwrap();
    writer.keep(&batch([kept("/a", 1, 100)])).unwrap();
    let Err(InventoryError::Taken(by)) = Inventory::write(folder.path()) else { panic!("two writers") };
    assert_eq!(by, std::process::id().to_string());
    let mut reader = Inventory::read(folder.path()).unwrap();
    assert_eq!(calls(&reader), [pair("/a", 1)]);
    assert!(reader.prune(u64::MAX / 2).is_err());
}

#[test]
fn a_copy_that_nobody_may_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    inventory.keep(&batch([kept("/a", 1, 100)])).unwrap();
    drop(inventory);
    // As root, rights do not hold us back; this is what SQLite is asked for where they do.
    let uri = immutable(&folder.path().join(FILE));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let reader = Inventory::looked_at(Connection::open_with_flags(uri, flags).unwrap()).unwrap();
    assert_eq!(calls(&reader), [pair("/a", 1)]);
    assert_eq!(immutable(Path::new("/a b/c?d#e")), "file:/a%20b/c%3Fd%23e?immutable=1");
}

#[test]
fn a_newer_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Inventory::write(folder.path()).unwrap());
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Inventory::write(folder.path()), Err(InventoryError::Newer(99))));
    assert!(matches!(Inventory::read(folder.path()), Err(InventoryError::Newer(99))));
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    inventory.keep(&batch([kept("/a", 1, 100)])).unwrap();
    inventory.connection.pragma_update(None, "max_page_count", 8).unwrap();
    let endpoints = (0..2_000).map(|n| kept(&format!("/path/{n}"), 1, 100)).collect();
    let many = Batch { endpoints, ..Batch::default() };
    assert!(inventory.keep(&many).unwrap_err().to_string().contains("full"));
    assert_eq!(calls(&inventory), [pair("/a", 1)]);
    inventory.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    inventory.keep(&many).unwrap();
    assert_eq!(calls(&inventory).len(), 2_000);
}
