//! Programs that are killed while they write, and while they bring a file of an older version up.

use super::*;
use rustix::process::{Signal, getpid, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Times that the writer is killed; `APISEC_KILLS` asks for more.
const KILLS: u32 = 100;
/// What a child of ours does, and in which folder.
const WRITE: &str = "APISEC_TEST_WRITE_INTO";
const MIGRATE: &str = "APISEC_TEST_MIGRATE";
/// The step of the database at which it kills itself.
const STEP: &str = "APISEC_TEST_STEP";

fn child(test: &str, environment: &[(&str, &str)]) -> Child {
    let name = format!("store::inventory::tests::killed::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &name, "--nocapture"]).envs(environment.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn is_whole(connection: &Connection) -> bool {
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let broken: usize =
        connection.prepare("PRAGMA foreign_key_check").unwrap().query_map([], |_| Ok(())).unwrap().count();
    said == "ok" && broken == 0
}

#[test]
fn a_writer_that_is_killed_leaves_a_whole_file() {
    if let Ok(folder) = std::env::var(WRITE) {
        write_for_ever(Path::new(&folder));
    }
    let kills = std::env::var("APISEC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..kills {
        let mut child =
            child("a_writer_that_is_killed_leaves_a_whole_file", &[(WRITE, folder.path().to_str().unwrap())]);
        // It has written more than ever before, and is in the middle of the next batch.
        let started = Instant::now();
        while total(folder.path()) <= before + u64::from(kill % 7) {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is written");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let inventory = Inventory::write(folder.path()).unwrap();
        assert!(is_whole(&inventory.connection));
        let rows = calls(&inventory);
        // A batch is there as a whole or not at all: endpoints, facts, bodies, edges and what is usual.
        assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].1), "{rows:?}");
        before = rows.first().map_or(0, |(_, calls)| *calls);
        let sum =
            |query: &str| -> i64 { inventory.connection.query_row(query, [], |row| row.get(0)).unwrap() };
        assert_eq!(sum("SELECT sum(calls) FROM edge"), before as i64);
        assert_eq!(sum("SELECT sum(calls) FROM fact WHERE kind = 'caller'"), (before * 40) as i64);
        assert_eq!(sum("SELECT count(*) FROM body WHERE endpoint NOT IN (SELECT id FROM endpoint)"), 0);
    }
}

fn total(folder: &Path) -> u64 {
    let read = Inventory::read(folder).and_then(|inventory| inventory.list());
    read.ok().and_then(|rows| rows.first().map(|row| row.calls)).unwrap_or(0)
}

fn write_for_ever(folder: &Path) -> ! {
    let mut inventory = Inventory::write(folder).unwrap();
    for count in 1.. {
        let endpoint = |n: u32| {
            let own = rich(count);
            Kept { key: EndpointKey { path: format!("/path/{n}").into(), ..own.key }, ..own }
        };
        let endpoints = (0..40).map(endpoint).collect();
        let batch = Batch { endpoints, edges: vec![edge(count)], ..Batch::default() };
        inventory.keep(&batch).unwrap();
    }
    unreachable!("numbers end late")
}

/// Endpoints of the old file, with a fact each.
const OLD: u64 = 200;

/// A file of version 1.
fn old_file(folder: &Path) {
    let mut old = Connection::open(folder.join(FILE)).unwrap();
    old.execute_batch(include_str!("../1.sql")).unwrap();
    old.execute_batch("INSERT INTO store VALUES ('old')").unwrap();
    let change = old.transaction().unwrap();
    for n in 0..OLD {
        let key = format!("'old', 0, 'process:shop:80', 'http1', 'server', '/path/{n}', 'GET', ''");
        change
            .execute_batch(&format!(
                "INSERT INTO endpoint VALUES ({key}, 5, 9, 4, 1, 0, 1); INSERT INTO fact VALUES ({key}, 'caller', 'x', 4);"
            ))
            .unwrap();
    }
    change.commit().unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
}

#[test]
fn a_migration_that_is_killed_at_any_step_is_done_by_the_next_start() {
    if let Ok(folder) = std::env::var(MIGRATE) {
        let at = std::env::var(STEP).ok().and_then(|text| text.parse().ok());
        return migrate_until(Path::new(&folder), at);
    }
    let original = tempfile::tempdir().unwrap();
    old_file(original.path());
    let attempt = |folder: &Path, at: Option<u64>| {
        std::fs::copy(original.path().join(FILE), folder.join(FILE)).unwrap();
        let at = at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let environment = [(MIGRATE, folder.to_str().unwrap()), (STEP, at.as_str())];
        child("a_migration_that_is_killed_at_any_step_is_done_by_the_next_start", &environment)
            .wait_with_output()
            .unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = attempt(folder.path(), None);
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    let steps = said.lines().find_map(|line| line.strip_prefix("steps ")?.parse::<u64>().ok());
    let steps = steps.unwrap_or_else(|| panic!("{said}"));
    assert!(whole.status.success() && steps > 1_000, "{said}");
    // All along, and more often at the end, where the later migrations are short.
    let ends = (1..=50).map(|n| steps - n * 20);
    let mut stopped_at = std::collections::BTreeMap::new();
    for at in (0..50).map(|n| steps * n / 50 + 1).chain(ends) {
        let folder = tempfile::tempdir().unwrap();
        let killed = attempt(folder.path(), Some(at));
        assert!(!killed.status.success(), "it went on to its end: step {at} of {steps}");
        // Somebody may look first.
        let looked = Inventory::read(folder.path()).unwrap();
        assert_eq!(calls(&looked).len() as u64, OLD);
        drop(looked);
        let raw = Connection::open(folder.path().join(FILE)).unwrap();
        assert!(is_whole(&raw), "step {at}");
        *stopped_at.entry(version_of(&raw).unwrap()).or_insert(0) += 1;
        drop(raw);
        let inventory = Inventory::write(folder.path()).unwrap();
        assert!(is_whole(&inventory.connection), "step {at}");
        assert_eq!(version_of(&inventory.connection).unwrap(), MIGRATIONS.len());
        let delta = inventory.restored().unwrap();
        assert_eq!(delta.endpoints.len() as u64, OLD);
        assert!(
            delta.endpoints.iter().all(|(_, own)| (own.load.calls, own.load.errors) == (4, 1)),
            "step {at}"
        );
        assert_eq!(delta.edges.iter().map(|(_, load)| load.calls).sum::<u64>(), 4 * OLD);
    }
    // Every migration was interrupted.
    let versions: Vec<usize> = stopped_at.keys().copied().collect();
    assert_eq!(versions, (1..MIGRATIONS.len()).collect::<Vec<_>>(), "{stopped_at:?}");
}

/// Migrates, and kills its process at a step, as `kill -9` would; tells how many steps there are.
fn migrate_until(folder: &Path, at: Option<u64>) {
    let mut connection = opened(folder).unwrap();
    let taken = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = taken.clone();
    let step = move || {
        if Some(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) == at {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        false
    };
    connection.progress_handler(1, Some(step)).unwrap();
    migrate(&mut connection).unwrap();
    eprintln!("steps {}", taken.load(std::sync::atomic::Ordering::Relaxed));
}
