use super::*;
use apisec_engine::policy::{Edge, Name, Policy, Scope, Selector};
use proptest::prelude::*;
use std::fs;

fn policy(name: &str) -> Box<Policy> {
    let selector = |text: &str| Selector::parse(text).unwrap();
    let edge = Edge { from: selector("cart"), to: selector("orders") };
    Box::new(Policy::new(Name::parse(name).unwrap(), Scope::Edge(edge)))
}

fn prepared(id: u32) -> Event {
    Event::Prepared {
        id,
        policy: policy("stop"),
        deadline: Some(9),
        plan: vec!["refuse".into()],
        forced: vec![],
        rules: 1,
        reactive: false,
        tied: false,
    }
}

fn applied(id: u32) -> Event {
    Event::Applied { id, entries: 1, took_us: 5, warnings: Vec::new() }
}

fn ids(journal: &Journal) -> Vec<(u64, u32)> {
    journal.entries().iter().map(|entry| (entry.seq, entry.event.id())).collect()
}

#[test]
fn entries_outlive_the_program_and_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/policies.journal");
    assert!(Journal::read(&path).unwrap().entries().is_empty());
    let mut journal = Journal::open(&path).unwrap();
    let by = Who { user: "ada".into(), tty: "pts/3".into(), ssh: "192.0.2.7".into(), ..Who::default() };
    journal.append(1, &by, prepared(1)).unwrap();
    journal.append(2, &by, applied(1)).unwrap();
    let again = Journal::read(&path).unwrap();
    assert_eq!(again.entries(), journal.entries());
    assert_eq!(again.entries()[0].by.to_string(), "ada@pts/3 from 192.0.2.7");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Journal::read(&path).unwrap().append(3, &by, applied(1)).is_err());
}

#[test]
fn two_programs_share_one_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.journal");
    let threads = (0..4).map(|_| {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut journal = Journal::open(&path).unwrap();
            for _ in 0..25 {
                let _alone = journal.alone().unwrap();
                let next = journal.entries().last().map_or(1, |last| last.event.id() + 1);
                journal.append(0, &Who::default(), applied(next)).unwrap();
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    let journal = Journal::read(&path).unwrap();
    assert_eq!(ids(&journal), (1..=100).map(|n| (n, n as u32)).collect::<Vec<_>>());
    assert_eq!(journal.damage(), &Damage::default());
}

#[test]
fn what_was_torn_is_said_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.journal");
    let mut journal = Journal::open(&path).unwrap();
    for id in 1..=3 {
        journal.append(0, &Who::default(), applied(id)).unwrap();
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let mut journal = Journal::open(&path).unwrap();
    assert!(journal.is_torn());
    assert_eq!(ids(&journal), [(1, 1), (2, 2)]);
    journal.append(0, &Who::default(), applied(4)).unwrap();
    assert_eq!((ids(&journal), journal.damage().lines), (vec![(1, 1), (2, 2), (3, 4)], 1));
    assert!(!Journal::open(&path).unwrap().is_torn());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever bytes are changed, cut or added: what is whole is read, nothing else is taken for an entry, and
    /// the journal goes on.
    #[test]
    fn damage_costs_what_it_hits(count in 1_u32..6, cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
                                 byte in any::<u8>(), truncate in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.journal");
        let mut journal = Journal::open(&path).unwrap();
        for id in 1..=count {
            journal.append(0, &Who::default(), prepared(id)).unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        } else {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fs::write(&path, &bytes).unwrap();
        let mut again = Journal::open(&path).unwrap();
        for entry in again.entries() {
            prop_assert!(journal.entries().contains(entry));
        }
        if !truncate {
            // One byte is in one line, or joins two.
            prop_assert!(again.entries().len() as u32 + 2 >= count);
        }
        again.append(0, &Who::default(), applied(99)).unwrap();
        prop_assert_eq!(Journal::open(&path).unwrap().entries().last().unwrap().event.id(), 99);
    }

    #[test]
    fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.journal");
        fs::write(&path, &bytes).unwrap();
        prop_assert!(Journal::read(&path).unwrap().entries().is_empty());
    }
}
