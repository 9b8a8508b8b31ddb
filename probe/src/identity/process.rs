//! One process as `/proc` shows it. Every read is bounded and can race the exit of the process.

use super::cgroup::Placement;
use super::program;
use compact_str::CompactString;
use std::fs::File;
use std::io::Read;

/// Enough of a command line to find a main class behind a long class path.
const MAX_ARGS: usize = 16 * 1024;
const MAX_STAT: usize = 4096;
/// Kernel's PATH_MAX.
const MAX_PATH: usize = 4096;
/// Twelve v1 hierarchies with long Kubernetes paths stay below this.
const MAX_CGROUP: usize = 16 * 1024;
/// An ancestry is followed this far: enough for shells, supervisors and workers.
pub(super) const MAX_ANCESTORS: usize = 16;

/// A process at the moment it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Thread group id.
    pub(super) pid: u32,
    /// Start, in clock ticks since boot: with the pid it identifies the process.
    pub(super) start: u64,
    /// Parent's pid.
    pub(super) parent: u32,
    /// Name of its main thread.
    pub(super) comm: CompactString,
    /// Path of its executable, empty when unknown.
    pub(super) exe: CompactString,
    /// Arguments, each followed by NUL, at most [`MAX_ARGS`] bytes.
    pub(super) args: Vec<u8>,
    /// Effective user id.
    pub(super) uid: u32,
    /// Container, pod and unit.
    pub(super) placement: Placement,
    /// Inode of its network namespace, 0 when unknown.
    pub(super) netns: u64,
}

impl Process {
    /// Reads `pid`; `None` when there is no such process, or it was replaced while it was read.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        let process = Self {
            pid,
            start: stat.start,
            parent: stat.parent,
            comm: stat.comm,
            exe: link(&format!("/proc/{pid}/exe")).map(strip_deleted).unwrap_or_default(),
            args: read_bounded(&format!("/proc/{pid}/cmdline"), MAX_ARGS).unwrap_or_default(),
            uid: uid(pid).unwrap_or(u32::MAX),
            placement: placement(pid),
            netns: netns(pid).unwrap_or_default(),
        };
        (start(pid)? == process.start).then_some(process)
    }

    /// The command line was longer than what was read of it.
    pub(super) fn args_cut(&self) -> bool {
        self.args.len() >= MAX_ARGS
    }

    /// It has ended and waits for its parent: nothing but its name is left.
    pub(super) fn is_zombie(&self) -> bool {
        self.exe.is_empty() && self.args.is_empty()
    }

    /// What people call the program.
    pub(super) fn name(&self) -> CompactString {
        program::name(&self.exe, &self.comm, &self.args)
    }
}

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Name of the main thread.
    pub(crate) comm: CompactString,
    /// Parent's pid.
    pub(super) parent: u32,
    /// Start, in clock ticks since boot.
    pub(super) start: u64,
}

impl Stat {
    /// Reads the state of `pid`, a few microseconds.
    pub(super) fn read(pid: u32) -> Option<Self> {
        Self::parse(&read_bounded(&format!("/proc/{pid}/stat"), MAX_STAT)?)
    }

    /// The name stands in parentheses and may itself contain any of them.
    fn parse(stat: &[u8]) -> Option<Self> {
        let open = memchr(b'(', stat)?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let comm = CompactString::from_utf8_lossy(stat.get(open.checked_add(1)?..close)?);
        let mut fields =
            std::str::from_utf8(stat.get(close.checked_add(1)?..)?).ok()?.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { comm, parent, start })
    }
}

fn memchr(needle: u8, hay: &[u8]) -> Option<usize> {
    hay.iter().position(|byte| *byte == needle)
}

/// When `pid` started, in clock ticks since boot.
pub(crate) fn start(pid: u32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.start)
}

/// Inode of the network namespace of `pid`.
pub(super) fn netns(pid: u32) -> Option<u64> {
    inode_in(&link(&format!("/proc/{pid}/ns/net"))?, "net:[")
}

/// The number in a link such as `socket:[123]`.
pub(crate) fn inode_in(link: &str, prefix: &str) -> Option<u64> {
    link.strip_prefix(prefix)?.strip_suffix(']')?.parse().ok()
}

/// The pids that exist now.
pub(crate) fn all_pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes of a program, by its path and what people call it, in a network namespace (0: any).
pub(crate) fn called(exe: &str, name: &str, netns: u64) -> Vec<u32> {
    let meant = |pid: &u32| {
        // Most processes are another program: that is known from a link.
        program(*pid).is_some_and(|path| path == exe)
            && Process::read(*pid)
                .is_some_and(|process| process.name() == name && (netns == 0 || process.netns == netns))
    };
    if exe.is_empty() { Vec::new() } else { all_pids().into_iter().filter(meant).collect() }
}

/// The path of the program that a process runs; `None`: it is gone, or a thread of the kernel.
pub(crate) fn program(pid: u32) -> Option<CompactString> {
    link(&format!("/proc/{pid}/exe")).map(strip_deleted)
}

/// The ancestors of a process, nearest first.
pub(crate) fn all_ancestors(pid: u32) -> Vec<(u32, Stat)> {
    let mut found = Vec::new();
    let mut next = Stat::read(pid).map_or(0, |stat| stat.parent);
    while next > 0 && found.len() < MAX_ANCESTORS {
        let Some(stat) = Stat::read(next) else { break };
        let parent = stat.parent;
        found.push((next, stat));
        next = parent;
    }
    found
}

/// The inodes of the sockets that a process holds.
pub(crate) fn sockets(pid: u32) -> Vec<u64> {
    let mut found = Vec::new();
    // A process that is gone holds none.
    let _gone = super::holders::sockets_of(pid, |inode| found.push(inode));
    found
}

/// At most `cap` bytes of a file, `None` when it cannot be read.
pub(crate) fn read_bounded(path: &str, cap: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    File::open(path).ok()?.take(cap as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn link(path: &str) -> Option<CompactString> {
    let target = rustix::fs::readlink(path, Vec::with_capacity(128)).ok()?;
    let bytes = target.as_bytes();
    Some(CompactString::from_utf8_lossy(bytes.get(..bytes.len().min(MAX_PATH))?))
}

fn strip_deleted(path: CompactString) -> CompactString {
    path.strip_suffix(" (deleted)").map(CompactString::from).unwrap_or(path)
}

fn uid(pid: u32) -> Option<u32> {
    let status = read_bounded(&format!("/proc/{pid}/status"), MAX_STAT)?;
    let text = String::from_utf8_lossy(&status);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn placement(pid: u32) -> Placement {
    let text = read_bounded(&format!("/proc/{pid}/cgroup"), MAX_CGROUP).unwrap_or_default();
    Placement::of_process(&String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let stat = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        let expected = Stat { comm: "a) b (c".into(), parent: 7, start: 98765 };
        assert_eq!(Stat::parse(stat), Some(expected));
    }

    #[test]
    fn we_read_ourselves() {
        let process = Process::read(std::process::id()).unwrap();
        assert_eq!(process.exe, std::env::current_exe().unwrap().to_str().unwrap());
        assert!(process.netns > 0 && process.start > 0);
        assert!(!process.args.is_empty());
    }

    #[test]
    fn nobody_is_not_a_process() {
        assert_eq!(Process::read(u32::MAX), None);
    }

    proptest::proptest! {
        #[test]
        fn no_stat_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _stat = Stat::parse(&bytes);
        }
    }
}
