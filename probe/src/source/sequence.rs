//! Several files, one after the other, as one source.
//!
//! Files are opened when their turn comes, so that a folder of rotated captures costs one buffer. A
//! connection that spans two files is two connections, the second one seen from its middle.

use super::{Progress, Sink, Source, SourceError, SourceStats, open};
use crate::flow::Flow;
use apisec_abi::{Exec, Exit, Open};
use apisec_engine::degradation::Degradation;
use apisec_engine::rename::Rename;
use apisec_proto::call::{Call, Party};
use apisec_proto::segment::{ConnId, Segment};
use compact_str::CompactString;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// Files that the description names; the others are counted.
const NAMED: usize = 3;

/// Files, one after the other.
struct Sequence {
    describe: String,
    current: Box<dyn Source>,
    waiting: VecDeque<PathBuf>,
    /// What is added to the connection numbers of the current file, so that no two files share one.
    base: u64,
    /// One more than the largest number handed on.
    next: u64,
    parties: Parties,
    now: u64,
    /// Of the files that are done.
    stats: SourceStats,
    degradations: Vec<Degradation>,
}

/// Opens `first` and then `others`; a single file is its own source.
///
/// # Errors
/// A file cannot be opened or is of no known kind. All regular files are looked at before anything is read.
pub fn open_all(first: &Path, others: &[PathBuf]) -> Result<Box<dyn Source>, SourceError> {
    let current = open(first)?;
    if others.is_empty() {
        return Ok(current);
    }
    // A pipe can be opened only once; it waits for its turn.
    let once = |path: &Path| path.as_os_str() == "-" || (path.exists() && !path.is_file());
    others.iter().filter(|path| !once(path)).try_for_each(|path| open(path).map(drop))?;
    Ok(Box::new(Sequence {
        describe: describe(&*current, others),
        current,
        waiting: others.iter().cloned().collect(),
        base: 0,
        next: 0,
        parties: Parties::default(),
        now: 0,
        stats: SourceStats::default(),
        degradations: Vec::new(),
    }))
}

fn describe(first: &dyn Source, others: &[PathBuf]) -> String {
    let mut text = first.describe();
    for path in others.iter().take(NAMED.saturating_sub(1)) {
        text.push_str(&format!(", {}", path.display()));
    }
    match others.len().saturating_sub(NAMED.saturating_sub(1)) {
        0 => text,
        more => format!("{text} and {more} more files"),
    }
}

impl Sequence {
    fn advance(&mut self) -> Result<Progress, SourceError> {
        let Some(path) = self.waiting.pop_front() else { return Ok(Progress::End) };
        let next = open(&path)?;
        self.degradations.extend(self.current.degradations());
        add(&mut self.stats, self.current.stats());
        self.now = self.now.max(self.current.now());
        self.current = next;
        self.base = self.next;
        self.parties.of_file.clear();
        Ok(Progress::Some)
    }
}

impl Source for Sequence {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<Progress, SourceError> {
        let mut shifted = Shifted { base: self.base, next: self.next, parties: &mut self.parties, sink };
        let progress = self.current.poll(&mut shifted)?;
        self.next = shifted.next;
        if progress == Progress::End { self.advance() } else { Ok(progress) }
    }

    fn now(&self) -> u64 {
        // Files may be given in any order; time does not run backwards.
        self.now.max(self.current.now())
    }

    fn stats(&mut self) -> SourceStats {
        let mut stats = self.stats.clone();
        add(&mut stats, self.current.stats());
        stats
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = self.degradations.clone();
        all.extend(self.current.degradations());
        all
    }

    fn dismiss(&mut self, conn: ConnId) {
        if let Some(number) = conn.0.checked_sub(self.base) {
            self.current.dismiss(ConnId(number));
        }
    }

    fn stream(&mut self, conn: ConnId) {
        if let Some(number) = conn.0.checked_sub(self.base) {
            self.current.stream(ConnId(number));
        }
    }
}

/// The numbers of workloads over all sessions. As many as the sessions hold, which bound theirs.
#[derive(Default)]
struct Parties {
    by_id: HashMap<CompactString, u32, foldhash::fast::RandomState>,
    /// What the numbers of the current file mean here.
    of_file: HashMap<u32, u32, foldhash::fast::RandomState>,
    next: u32,
}

impl Parties {
    fn renumber(&mut self, party: &mut Party) {
        let of_file = self.of_file.entry(party.number).or_insert_with(|| {
            *self.by_id.entry(party.workload.id.clone()).or_insert_with(|| {
                self.next = self.next.max(party.number);
                let number = self.next;
                self.next = number.saturating_add(1);
                number
            })
        });
        party.number = *of_file;
    }
}

/// Hands on with other numbers of connections and workloads.
struct Shifted<'a> {
    base: u64,
    next: u64,
    parties: &'a mut Parties,
    sink: &'a mut dyn Sink,
}

impl Shifted<'_> {
    fn number(&mut self, conn: ConnId) -> ConnId {
        let number = self.base.wrapping_add(conn.0);
        self.next = self.next.max(number.wrapping_add(1));
        ConnId(number)
    }
}

impl Sink for Shifted<'_> {
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow) {
        let conn = self.number(segment.conn);
        self.sink.segment(&Segment { conn, ..*segment }, flow);
    }

    fn opened(&mut self, open: &Open) {
        self.sink.opened(open);
    }

    fn started(&mut self, exec: &Exec) {
        self.sink.started(exec);
    }

    fn ended(&mut self, exit: &Exit) {
        self.sink.ended(exit);
    }

    fn call(&mut self, call: &Call) {
        let mut call = call.clone();
        self.parties.renumber(&mut call.src);
        self.parties.renumber(&mut call.dst);
        self.sink.call(&call);
    }

    fn renamed(&mut self, rename: Rename) {
        self.sink.renamed(rename);
    }

    fn discard(&mut self, conn: ConnId) {
        let conn = self.number(conn);
        self.sink.discard(conn);
    }
}

fn add(total: &mut SourceStats, more: SourceStats) {
    total.chunks = total.chunks.saturating_add(more.chunks);
    sum(&mut total.losses, more.losses);
    sum(&mut total.counters, more.counters);
}

fn sum(total: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (name, count) in more {
        let known = total.entry(name).or_default();
        *known = known.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;
    use crate::source::session;
    use std::collections::BTreeSet;
    use std::fs;

    /// A capture of one TCP payload per port, all of one direction, at second `at`.
    fn capture(at: u32, ports: &[u16]) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend_from_slice(&[
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 101, 0, 0, 0,
        ]);
        for port in ports {
            let builder =
                etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(*port, 80, 1, 1000);
            let mut packet = Vec::new();
            builder.write(&mut packet, b"GET / HTTP/1.1\r\n\r\n").unwrap();
            for word in [at, 0, packet.len() as u32, packet.len() as u32] {
                file.extend_from_slice(&word.to_le_bytes());
            }
            file.extend_from_slice(&packet);
        }
        file
    }

    #[derive(Default)]
    struct Seen(BTreeSet<u64>, Vec<(String, u32)>);

    impl Sink for Seen {
        fn segment(&mut self, segment: &Segment<'_>, _: &Flow) {
            self.0.insert(segment.conn.0);
        }
        fn opened(&mut self, _: &Open) {}
        fn started(&mut self, _: &Exec) {}
        fn ended(&mut self, _: &Exit) {}
        fn call(&mut self, call: &Call) {
            let parties = [&call.src, &call.dst];
            self.1.extend(parties.map(|party| (party.workload.id.to_string(), party.number)));
        }
    }

    fn files(captures: &[Vec<u8>]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let paths =
            (0..captures.len()).map(|number| folder.path().join(number.to_string())).collect::<Vec<_>>();
        paths.iter().zip(captures).for_each(|(path, capture)| fs::write(path, capture).unwrap());
        (folder, paths)
    }

    #[test]
    fn no_two_files_share_a_connection() {
        let (_folder, paths) =
            files(&[capture(9, &[1000, 1001]), capture(5, &[1000]), capture(7, &[1000, 1001, 1002])]);
        let mut source = open_all(&paths[0], &paths[1..]).unwrap();
        let mut seen = Seen::default();
        while source.poll(&mut seen).unwrap() != Progress::End {}
        assert_eq!(seen.0.len(), 6);
        assert_eq!(source.stats().chunks, 6);
        assert_eq!(source.now(), 9_000_000_000);
        assert!(source.describe().starts_with("pcap ") && source.describe().matches(", ").count() == 2);
    }

    #[test]
    fn workloads_of_several_sessions_have_one_number_each() {
        let (folder, mut paths) = files(&[capture(1, &[1000])]);
        for (name, order) in [("a", [1, 2]), ("b", [2, 3]), ("c", [3, 1])] {
            paths.push(folder.path().join(name));
            session::recorded(&paths[paths.len() - 1], order);
        }
        let mut source = open_all(&paths[0], &paths[1..]).unwrap();
        let mut seen = Seen::default();
        while source.poll(&mut seen).unwrap() != Progress::End {}
        let pairs: BTreeSet<_> = seen.1.iter().cloned().collect();
        let numbers: BTreeSet<_> = pairs.iter().map(|(_, number)| number).collect();
        assert_eq!((seen.1.len(), pairs.len(), numbers.len()), (6, 3, 3), "{pairs:?}");
    }

    #[test]
    fn a_bad_file_is_found_before_anything_is_read() {
        let (folder, paths) = files(&[capture(1, &[1000]), b"hello, this is text".to_vec()]);
        let error = open_all(&paths[0], &paths[1..]).err().unwrap();
        assert!(error.what.contains("is text"), "{error}");
        let absent = folder.path().join("absent.pcap");
        assert!(open_all(&paths[0], &[absent]).err().unwrap().what.contains("absent.pcap"));
    }

    #[test]
    fn many_files_are_counted() {
        let (_folder, paths) = files(&vec![capture(1, &[1000]); 6]);
        assert!(open_all(&paths[0], &paths[1..]).unwrap().describe().ends_with("and 3 more files"));
    }
}
