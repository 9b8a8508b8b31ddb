//! How much of this node is looked at: all of it, or what lives below one cgroup.

use crate::attach::cgroup;
use crate::source::SourceError;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// Bytes of a process's list of cgroups that are read: a dozen hierarchies with the longest paths.
const MAX_CGROUPS: u64 = 64 << 10;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The whole node, whatever runs in it.
    #[default]
    Node,
    /// The processes below this folder of the cgroup2 tree; everybody else is somewhere else.
    Below(PathBuf),
}

impl Reach {
    /// All of this node that is mounted: where that is a part of its cgroups only, that part.
    #[must_use]
    pub fn mounted() -> Self {
        let part = cgroup::mounted_part();
        // A name space of cgroups shows what lies outside of it as `..`: then it is not known what the rest is called.
        let is_part = part != Path::new("/") && !part.components().any(|one| one == Component::ParentDir);
        cgroup::mount_point().filter(|_| is_part).map_or(Self::Node, Self::Below)
    }

    /// The cgroup to which hooks are attached.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn open(&self) -> Result<File, SourceError> {
        match self {
            Self::Node => cgroup::root(),
            Self::Below(folder) => File::open(folder).map_err(|error| SourceError {
                what: format!("the cgroup {} cannot be opened: {error}", folder.display()),
                remedy: "name a folder of the cgroup2 tree, as root".into(),
            }),
        }
    }

    /// The folder as `/proc/<pid>/cgroup` names it; `None` when that is all.
    fn path(&self) -> Option<PathBuf> {
        let Self::Below(folder) = self else { return None };
        let inside =
            cgroup::mount_point().and_then(|root| folder.strip_prefix(root).ok().map(Path::to_owned));
        Some(cgroup::mounted_part().join(inside.unwrap_or_else(|| folder.clone())))
    }

    /// Keeps the processes that are within reach, and us: our network is that of the part.
    pub(crate) fn keep(&self, pids: Vec<u32>) -> Vec<u32> {
        let Some(folder) = self.path() else { return pids };
        let us = std::process::id();
        pids.into_iter().filter(|pid| *pid == us || lives_below(*pid, &folder)).collect()
    }

    /// Nothing is out of reach.
    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self, Self::Node)
    }
}

fn lives_below(pid: u32, folder: &Path) -> bool {
    let mut text = String::new();
    let read = File::open(format!("/proc/{pid}/cgroup"))
        .and_then(|file| file.take(MAX_CGROUPS).read_to_string(&mut text));
    read.is_ok() && is_below(&text, folder)
}

fn is_below(cgroups: &str, folder: &Path) -> bool {
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    own.is_some_and(|own| Path::new(own).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_whose_name_begins_alike_is_not_below() {
        let folder = Path::new("/blue");
        assert!(is_below("4:memory:/x\n0::/blue/nginx\n", folder));
        assert!(is_below("0::/blue\n", folder));
        assert!(!is_below("0::/bluest\n", folder));
        assert!(!is_below("4:memory:/blue\n0::/\n", folder));
    }

    #[test]
    fn we_live_below_the_root() {
        let us = std::process::id();
        assert!(lives_below(us, Path::new("/")) || !Path::new("/proc/self/cgroup").exists());
        assert_eq!(Reach::Node.keep(vec![us]), [us]);
    }
}
