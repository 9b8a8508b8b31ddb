//! Runs that follow each other, other stores, and programs that are killed.

use super::*;
use apisec_proto::call::Protocol;
use std::process::{Command, Stdio};
use std::time::Instant;

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
    let past = Past { first: at, last: at + calls, calls, accepted: true };
    Kept { key, past, errors: 0, unanswered: 0, facts }
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
    first.keep(&[kept("/a", 3, 100), kept("/gone", 1, 100)]).unwrap();
    first.keep(&[kept("/a", 5, 100)]).unwrap();
    assert_eq!(calls(&first), [pair("/a", 5)]);
    drop(first);
    let mut second = Inventory::write(folder.path()).unwrap();
    second.keep(&[kept("/a", 2, 900), kept("/b", 1, 900)]).unwrap();
    assert_eq!(calls(&second), [pair("/a", 7), pair("/b", 1)]);
    drop(second);
    let third = Inventory::write(folder.path()).unwrap();
    let remembered = third.remembered().unwrap();
    let a = remembered.iter().find(|known| &*known.key.path == "/a").unwrap();
    assert_eq!(a.past, Past { first: 100, last: 902, calls: 7, accepted: true });
    let status: i64 = third
        .connection
        .query_row("SELECT calls FROM fact WHERE kind = 'status' AND path = '/a'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(status, 7);
}

#[test]
fn what_is_stored_can_be_shown_like_what_was_just_observed() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    let mut own = kept("/a", 3, 100);
    own.facts.extend([("caller", "external:192.0.2.7".to_owned(), 3), ("auth", "jwt".to_owned(), 0)]);
    inventory.keep(&[own]).unwrap();
    let delta = inventory.restored().unwrap();
    let mut known = apisec_engine::knowledge::Knowledge::new(Default::default(), Vec::new());
    known.merge(delta);
    let snapshot = known.snapshot(1_000);
    let [row] = snapshot.endpoints.as_slice() else { panic!("{:?}", snapshot.endpoints) };
    assert_eq!((row.calls, row.statuses["200"], row.auth.as_slice()), (3, 3, &["jwt".to_owned()][..]));
    assert_eq!(
        (row.first_seen, row.last_seen, row.hosts.as_slice()),
        (100, 103, &["shop.test".to_owned()][..])
    );
    let [edge] = snapshot.edges.as_slice() else { panic!("{:?}", snapshot.edges) };
    assert_eq!((edge.src.as_str(), edge.calls), ("external:192.0.2.7", 3));
    assert_eq!(
        snapshot.workloads.iter().map(|own| own.name.as_str()).collect::<Vec<_>>(),
        ["192.0.2.7", "shop"]
    );
}

#[test]
fn merging_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(&theirs).unwrap();
    let mut other = Inventory::write(&theirs).unwrap();
    other.keep(&[kept("/a", 4, 50)]).unwrap();
    let mut own = Inventory::write(&ours).unwrap();
    own.keep(&[kept("/a", 1, 100)]).unwrap();
    assert_eq!(own.merge(&theirs).unwrap(), 1);
    assert_eq!(own.merge(&theirs).unwrap(), 1);
    assert_eq!(calls(&own), [pair("/a", 5)]);
    other.keep(&[kept("/a", 6, 50)]).unwrap();
    own.merge(&theirs).unwrap();
    assert_eq!(calls(&own), [pair("/a", 7)]);
    assert!(own.merge(&folder.path().join("none")).is_err() && !folder.path().join("none").exists());
}

#[test]
fn pruning_takes_the_facts_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::write(folder.path()).unwrap();
    inventory.keep(&[kept("/old", 1, 100), kept("/new", 1, 900)]).unwrap();
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
    writer.keep(&[kept("/a", 1, 100)]).unwrap();
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
    inventory.keep(&[kept("/a", 1, 100)]).unwrap();
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
    inventory.keep(&[kept("/a", 1, 100)]).unwrap();
    inventory.connection.pragma_update(None, "max_page_count", 8).unwrap();
    let many: Vec<Kept> = (0..2_000).map(|n| kept(&format!("/path/{n}"), 1, 100)).collect();
    assert!(inventory.keep(&many).unwrap_err().to_string().contains("full"));
    assert_eq!(calls(&inventory), [pair("/a", 1)]);
    inventory.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    inventory.keep(&many).unwrap();
    assert_eq!(calls(&inventory).len(), 2_000);
}

/// Times that the writer is killed; `APISEC_KILLS` asks for more.
const KILLS: u32 = 100;
const CHILD: &str = "APISEC_TEST_WRITE_INTO";

#[test]
fn a_writer_that_is_killed_leaves_a_whole_file() {
    if let Ok(folder) = std::env::var(CHILD) {
        write_for_ever(Path::new(&folder));
    }
    let kills = std::env::var("APISEC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::inventory::tests::a_writer_that_is_killed_leaves_a_whole_file"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It has written more than ever before, and is in the middle of the next batch.
        let started = Instant::now();
        while total(folder.path()) <= before + u64::from(kill % 7) {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is written");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let inventory = Inventory::write(folder.path()).unwrap();
        let whole: String =
            inventory.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let rows = calls(&inventory);
        // A batch is there as a whole or not at all.
        assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].1), "{rows:?}");
        before = rows.first().map_or(0, |(_, calls)| *calls);
    }
}

fn total(folder: &Path) -> u64 {
    let read = Inventory::read(folder).and_then(|inventory| inventory.list());
    read.ok().and_then(|rows| rows.first().map(|row| row.calls)).unwrap_or(0)
}

fn write_for_ever(folder: &Path) -> ! {
    let mut inventory = Inventory::write(folder).unwrap();
    for count in 1.. {
        let batch: Vec<Kept> = (0..40).map(|n| kept(&format!("/path/{n}"), count, 100)).collect();
        inventory.keep(&batch).unwrap();
    }
    unreachable!("numbers end late")
}
