//! Findings that wait to be sent: numbered, in order, on disk, within a bound.
//!
//! `findings.spool` holds one JSON line per finding, `[number, finding]`; `findings.taken` how far each destination
//! is. Both are read at the start: what a run had not sent, the next one sends. A kill loses no line that was written
//! and repeats at most what was being sent.

use apisec_engine::finding::Finding;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes that wait at most: some 16,000 findings, an outage of days.
const MAX_BYTES: usize = 16 << 20;
/// Longest line that is read again: a finding is bounded far below.
const MAX_LINE: u64 = 256 << 10;

/// See the module.
pub(super) struct Spool {
    folder: Option<PathBuf>,
    file: Option<File>,
    waiting: VecDeque<(u64, usize, Finding)>,
    bytes: usize,
    next: u64,
    /// Number of the last finding that each destination took, by name.
    taken: Vec<(String, u64)>,
    dropped: u64,
    /// Why nothing is kept on disk.
    trouble: Option<String>,
    closed: bool,
}

impl Spool {
    /// The spool of a folder, or one in memory.
    pub(super) fn open(folder: Option<&Path>, names: &[String]) -> io::Result<Self> {
        let mut spool = Self {
            folder: folder.map(Path::to_owned),
            file: None,
            waiting: VecDeque::new(),
            bytes: 0,
            next: 1,
            taken: names.iter().map(|name| (name.clone(), 0)).collect(),
            dropped: 0,
            trouble: None,
            closed: false,
        };
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
            spool.read(folder)?;
            spool.rewrite();
        } else {
            spool.trouble = Some("there is no state folder".into());
        }
        Ok(spool)
    }

    /// Adds a finding; the oldest make room.
    pub(super) fn push(&mut self, finding: &Finding) {
        let number = self.next;
        self.next += 1;
        let line = line(number, finding);
        self.bytes += line.len();
        self.waiting.push_back((number, line.len(), finding.clone()));
        if self.bytes > MAX_BYTES {
            while self.bytes > MAX_BYTES / 2 {
                let Some((number, length, _)) = self.waiting.pop_front() else { break };
                self.bytes -= length;
                self.dropped += u64::from(self.taken.iter().any(|(_, taken)| *taken < number));
            }
            return self.rewrite();
        }
        let written = self.file.as_mut().map(|file| file.write_all(line.as_bytes()));
        if let Some(Err(error)) = written {
            self.give_up(&error);
        }
    }

    /// What a destination has not taken, at most `most`, with the number of the last of it.
    pub(super) fn waiting(&self, destination: usize, most: usize) -> Option<(u64, Vec<Finding>)> {
        let (_, taken) = self.taken.get(destination)?;
        let batch = self.waiting.iter().filter(|(number, ..)| number > taken).take(most);
        let batch: Vec<(u64, Finding)> =
            batch.map(|(number, _, finding)| (*number, finding.clone())).collect();
        let last = batch.last()?.0;
        Some((last, batch.into_iter().map(|(_, finding)| finding).collect()))
    }

    /// A destination has everything up to a number.
    pub(super) fn taken(&mut self, destination: usize, last: u64) {
        if let Some((_, taken)) = self.taken.get_mut(destination) {
            *taken = last.max(*taken);
        }
        let all = self.taken.iter().map(|(_, taken)| *taken).min().unwrap_or(0);
        while let Some((number, length, _)) = self.waiting.front() {
            if *number > all {
                break;
            }
            self.bytes -= length;
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() { self.rewrite() } else { self.write_taken() }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    fn read(&mut self, folder: &Path) -> io::Result<()> {
        let known: BTreeMap<String, u64> = match fs::read(folder.join("findings.taken")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut lines = match File::open(folder.join("findings.spool")) {
            Ok(file) => BufReader::new(file.take(2 * MAX_BYTES as u64)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        while lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)? > 0 {
            // A line that a kill cut off is the last one, and was never sent.
            if let Ok((number, finding)) = serde_json::from_slice::<(u64, Finding)>(&text) {
                self.next = self.next.max(number.saturating_add(1));
                self.bytes += text.len();
                self.waiting.push_back((number, text.len(), finding));
            }
            text.clear();
        }
        for (name, taken) in &mut self.taken {
            *taken = known.get(name).copied().unwrap_or(0);
            self.next = self.next.max(taken.saturating_add(1));
        }
        let all = self.taken.iter().map(|(_, taken)| *taken).min().unwrap_or(0);
        self.waiting.retain(|(number, ..)| *number > all);
        self.bytes = self.waiting.iter().map(|(_, length, _)| length).sum();
        Ok(())
    }

    /// Writes everything that waits anew, and what was taken.
    fn rewrite(&mut self) {
        let Some(folder) = self.folder.clone() else { return };
        let text: String = self.waiting.iter().map(|(number, _, finding)| line(*number, finding)).collect();
        let path = folder.join("findings.spool");
        let written =
            replace(&path, text.as_bytes()).and_then(|()| OpenOptions::new().append(true).open(&path));
        match written {
            Ok(file) => self.file = Some(file),
            Err(error) => self.give_up(&error),
        }
        self.write_taken();
    }

    fn write_taken(&mut self) {
        let Some(folder) = self.folder.clone() else { return };
        let taken: BTreeMap<&str, u64> =
            self.taken.iter().map(|(name, taken)| (name.as_str(), *taken)).collect();
        let text = serde_json::to_vec(&taken).unwrap_or_default();
        if let Err(error) = replace(&folder.join("findings.taken"), &text) {
            self.give_up(&error);
        }
    }

    /// Goes on in memory: a full disk is no reason to lose what can be sent.
    fn give_up(&mut self, error: &io::Error) {
        (self.file, self.folder) = (None, None);
        self.trouble = Some(error.to_string());
    }
}

fn line(number: u64, finding: &Finding) -> String {
    let finding = serde_json::to_value(finding).unwrap_or_default();
    let mut line = Value::from(vec![Value::from(number), finding]).to_string();
    line.push('\n');
    line
}

/// Puts a whole file in the place of another: readers see the one or the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str) -> Finding {
        Finding { id: id.into(), ..Finding::default() }
    }

    fn ids(batch: Option<(u64, Vec<Finding>)>) -> Vec<String> {
        batch
            .map(|(_, findings)| findings.into_iter().map(|finding| finding.id).collect())
            .unwrap_or_default()
    }

    #[test]
    fn what_was_not_taken_is_there_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let mut spool = Spool::open(Some(folder.path()), &names).unwrap();
        ["1", "2", "3"].iter().for_each(|id| spool.push(&finding(id)));
        spool.taken(0, 3);
        spool.taken(1, 1);
        drop(spool);
        // Killed in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(folder.path().join("findings.spool")).unwrap();
        file.write_all(b"[4,{\"id\":\"cu").unwrap();
        let spool = Spool::open(Some(folder.path()), &names).unwrap();
        assert_eq!(ids(spool.waiting(0, 9)), [""; 0]);
        assert_eq!(ids(spool.waiting(1, 9)), ["2", "3"]);
        // A destination that is new gets what is still there.
        let spool = Spool::open(Some(folder.path()), &["c".to_owned()]).unwrap();
        assert_eq!(ids(spool.waiting(0, 1)), ["2"]);
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let names = ["a".to_owned()];
        let mut spool = Spool::open(None, &names).unwrap();
        let large = Finding { evidence: "x".repeat(64 << 10), ..finding("large") };
        (0..400).for_each(|_| spool.push(&large));
        assert!(spool.bytes <= MAX_BYTES && spool.dropped() > 100, "{} {}", spool.bytes, spool.dropped());
        assert!(spool.trouble().is_some());
    }

    #[test]
    fn a_folder_that_goes_away_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(Some(folder.path()), &["a".to_owned()]).unwrap();
        folder.close().unwrap();
        spool.push(&finding("1"));
        spool.taken(0, 0);
        assert_eq!(ids(spool.waiting(0, 9)), ["1"]);
        assert!(spool.trouble().is_some());
    }
}
