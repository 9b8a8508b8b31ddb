//! Finds the root of the cgroup2 hierarchy, wherever it is mounted.

use crate::source::SourceError;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// Where distributions mount it; other places are read from the mount table.
const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// A mount table larger than this is cut: 16 MiB are some hundred thousand mounts.
const MAX_MOUNT_TABLE: u64 = 16 << 20;

/// Opens the root directory of the cgroup2 hierarchy.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn root() -> Result<File, SourceError> {
    let path = mount_point().ok_or_else(|| SourceError {
        what: "no cgroup2 file system is mounted, and the kernel hooks are attached to its root".into(),
        remedy: "mount one: sudo mount -t cgroup2 none /sys/fs/cgroup/unified (create the folder first); \
                 in a container, mount the host's /sys/fs/cgroup"
            .into(),
    })?;
    File::open(&path).map_err(|error| SourceError {
        what: format!("the cgroup2 root {} cannot be opened: {error}", path.display()),
        remedy: "run it as root on the node, or with the host's /sys/fs/cgroup mounted".into(),
    })
}

/// Where cgroup2 is mounted, the usual places first.
#[must_use]
pub fn mount_point() -> Option<PathBuf> {
    let usual = USUAL.iter().map(PathBuf::from).find(|path| is_cgroup2(path));
    usual.or_else(|| {
        let table = bounded("/proc/self/mountinfo")?;
        table.lines().filter_map(cgroup2_mount).find(|path| is_cgroup2(path))
    })
}

/// The part of the hierarchy that is mounted where [`mount_point`] says, as `/proc/<pid>/cgroup` names it; `/` for all.
///
/// A container that was given a part of the node's tree sees this node as if it were that part.
#[must_use]
pub fn mounted_part() -> PathBuf {
    let part = || {
        let point = mount_point()?;
        let table = bounded("/proc/self/mountinfo")?;
        // Of mounts over each other the last one is seen.
        table.lines().filter_map(mount).rfind(|(_, at)| *at == point).map(|(root, _)| root)
    };
    part().unwrap_or_else(|| PathBuf::from("/"))
}

/// The id of the cgroup2 that a process is in.
pub(crate) fn id_of(pid: u32) -> Option<u64> {
    let table = bounded(&format!("/proc/{pid}/cgroup"))?;
    let path = table.lines().find_map(|line| line.strip_prefix("0::/"))?;
    std::fs::metadata(mount_point()?.join(path)).ok().map(|metadata| metadata.ino())
}

/// The mount point of a line of mountinfo, if it is a cgroup2 mount of the whole hierarchy.
fn cgroup2_mount(line: &str) -> Option<PathBuf> {
    mount(line).filter(|(root, _)| root == Path::new("/")).map(|(_, point)| point)
}

/// What part is mounted where, by a line of mountinfo, if it is a cgroup2 mount.
fn mount(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, file_system) = line.split_once(" - ")?;
    if !file_system.starts_with("cgroup2 ") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    Some((PathBuf::from(unescape(root)), PathBuf::from(unescape(point))))
}

/// Mount tables write blanks as `\040`.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == CGROUP2_SUPER_MAGIC)
}

fn bounded(path: &str) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_MOUNT_TABLE).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup2_mount_is_found_in_a_mount_table_line() {
        let line = "31 23 0:27 / /mnt/c\\040group rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(cgroup2_mount(line), Some(PathBuf::from("/mnt/c group")));
    }

    #[test]
    fn a_part_that_is_mounted_is_named() {
        let line = "31 23 0:27 /kubepods /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(mount(line), Some(("/kubepods".into(), "/sys/fs/cgroup".into())));
    }

    #[test]
    fn other_mounts_and_subtrees_are_not() {
        for line in [
            "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
            "31 23 0:27 /kubepods /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
            "garbage",
            "",
        ] {
            assert_eq!(cgroup2_mount(line), None, "{line}");
        }
    }
}
