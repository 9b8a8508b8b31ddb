//! The executable files that a process has mapped, from `/proc/<pid>/maps`. Bounded, and tolerant of a process that
//! ends meanwhile.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A table larger than this is cut: it holds some fifty thousand mappings.
const MAX_TABLE: u64 = 8 << 20;
/// Files of one process that are looked at.
const MAX_FILES: usize = 1024;

/// A file that a process executes code of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its path as the process sees it, without ` (deleted)`.
    pub path: PathBuf,
    /// The range of one mapping, as `/proc/<pid>/map_files` names it.
    pub range: String,
}

impl Mapped {
    /// A path that leads to this very file from here, whatever mount namespace the process is in, also when it
    /// was replaced or deleted.
    #[must_use]
    pub fn reach(&self, pid: u32) -> PathBuf {
        let exact = PathBuf::from(format!("/proc/{pid}/map_files/{}", self.range));
        if std::fs::symlink_metadata(&exact).is_ok() {
            return exact;
        }
        let inside = self.path.strip_prefix("/").unwrap_or(&self.path);
        Path::new(&format!("/proc/{pid}/root")).join(inside)
    }
}

/// What `pid` has mapped to execute, each file once.
#[must_use]
pub fn executables(pid: u32) -> Vec<Mapped> {
    let mut table = Vec::new();
    let file = File::open(format!("/proc/{pid}/maps"));
    // What was read before the process ended is good.
    let _cut = file.and_then(|file| file.take(MAX_TABLE).read_to_end(&mut table));
    parse(&table)
}

fn parse(table: &[u8]) -> Vec<Mapped> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut found = Vec::new();
    for line in table.split(|byte| *byte == b'\n') {
        let Some((range, device, inode, path)) = std::str::from_utf8(line).ok().and_then(fields) else {
            continue;
        };
        if seen.contains(&(device, inode)) || found.len() >= MAX_FILES {
            continue;
        }
        seen.push((device, inode));
        found.push(Mapped { path: PathBuf::from(path), range: canonical(range) });
    }
    found
}

/// Range, device, inode and path of an executable mapping of a file.
fn fields(line: &str) -> Option<(&str, &str, &str, &str)> {
    let mut rest = line;
    let mut next = || {
        let (field, after) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = after;
        Some(field)
    };
    let (range, rights, _offset, device, inode) = (next()?, next()?, next()?, next()?, next()?);
    let path = rest.trim_start_matches(' ');
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let executable = rights.as_bytes().get(2) == Some(&b'x');
    (executable && inode != "0" && path.starts_with('/')).then_some((range, device, inode, path))
}

/// `map_files` writes no leading zeros, `maps` pads to eight digits.
fn canonical(range: &str) -> String {
    let bare = |number: &str| match number.trim_start_matches('0') {
        "" => "0".to_owned(),
        bare => bare.to_owned(),
    };
    range
        .split_once('-')
        .map_or_else(|| range.to_owned(), |(from, to)| format!("{}-{}", bare(from), bare(to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn executable_files_are_found_once() {
        let table = b"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus daemon\n\
            00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus daemon\n\
            7f1-7f2 r-xp 00000000 fd:00 9 /lib/libssl.so.3 (deleted)\n\
            7f3-7f4 r-xp 00000000 fd:00 9 /lib/libssl.so.3 (deleted)\n\
            7ffd-7ffe r-xp 00000000 00:00 0                          [vdso]\n\
            garbage\n";
        let found = parse(table);
        let files: Vec<_> =
            found.iter().map(|one| (one.path.to_str().unwrap(), one.range.as_str())).collect();
        assert_eq!(files, [("/usr/bin/dbus daemon", "400000-452000"), ("/lib/libssl.so.3", "7f1-7f2")]);
    }

    #[test]
    fn our_own_program_is_reached() {
        let own = std::env::current_exe().unwrap();
        let mapped = executables(std::process::id()).into_iter().find(|one| one.path == own).unwrap();
        let reached = std::fs::metadata(mapped.reach(std::process::id())).unwrap();
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(reached.ino(), std::fs::metadata(own).unwrap().ino());
    }

    proptest! {
        #[test]
        fn no_table_panics(table in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&table);
        }
    }
}
