//! The path of a cgroup by its id, for processes that are gone. In cgroup v2 the id is the inode number of
//! the folder; v1 has no ids.

use super::cgroup::Placement;
use super::process::read_bounded;
use std::collections::HashMap;
use std::os::unix::fs::DirEntryExt;

/// Folders that are walked: a node with a thousand pods has some ten thousand.
const MAX_FOLDERS: usize = 65_536;
/// Depth of the walk, beyond nested containers with systemd inside.
const MAX_DEPTH: usize = 16;
const MAX_MOUNTS: usize = 1024 * 1024;

/// Placements by cgroup id, as of the last walk.
#[derive(Default)]
pub(super) struct CgroupTree {
    placements: HashMap<u64, Placement>,
}

impl CgroupTree {
    /// Walks the hierarchy, wherever it is mounted.
    pub(super) fn walk() -> Self {
        let mut tree = Self::default();
        if let Some(root) = mount_point() {
            tree.descend(&root, "", MAX_DEPTH);
        }
        tree
    }

    /// Where the processes of this cgroup were put.
    pub(super) fn placement(&self, id: u64) -> Option<&Placement> {
        self.placements.get(&id)
    }

    fn descend(&mut self, root: &str, path: &str, depth: usize) {
        let Ok(entries) = std::fs::read_dir(format!("{root}{path}")) else { return };
        for entry in entries.flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder || depth == 0 || self.placements.len() >= MAX_FOLDERS {
                continue;
            }
            let below = format!("{path}/{}", entry.file_name().to_string_lossy());
            self.placements.insert(entry.ino(), Placement::of_path(&below));
            self.descend(root, &below, depth - 1);
        }
    }
}

/// Where cgroup2 is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid system.
fn mount_point() -> Option<String> {
    let mounts = read_bounded("/proc/self/mounts", MAX_MOUNTS)?;
    let text = String::from_utf8_lossy(&mounts);
    let line = text.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_folder_is_found_by_its_inode() {
        let Some(root) = mount_point() else {
            println!("SKIPPED: no cgroup2 here");
            return;
        };
        let name = format!("docker-{:064x}.scope", std::process::id());
        let folder = format!("{root}/{name}");
        if std::fs::create_dir(&folder).is_err() {
            println!("SKIPPED: cgroup2 is not writable");
            return;
        }
        let id = std::fs::metadata(&folder).unwrap().ino();
        let tree = CgroupTree::walk();
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(tree.placement(id).unwrap().runtime, "docker");
    }
}
