//! The files of a folder that may be specifications, by name.

use super::file::is_candidate;
use std::fs;
use std::path::Path;

/// Files that are looked at: a folder with more is no folder of specifications.
pub(super) const MAX_FILES: usize = 10_000;
/// Levels of folders.
const MAX_DEPTH: usize = 16;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// Paths below the folder, sorted.
    pub(super) names: Vec<String>,
    /// There were more than are looked at.
    pub(super) more: bool,
}

/// All files that may be specifications. Links are not followed, hidden folders and those of packages are left out.
pub(super) fn files(folder: &Path) -> Found {
    let mut found = Found::default();
    below(folder, "", MAX_DEPTH, &mut found);
    found.names.sort();
    found
}

fn below(folder: &Path, prefix: &str, depth: usize, found: &mut Found) {
    let (Some(depth), Ok(entries)) = (depth.checked_sub(1), fs::read_dir(folder)) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name == "node_modules" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if kind.is_dir() {
            below(&entry.path(), &format!("{path}/"), depth, found);
        } else if kind.is_file() && is_candidate(&name) {
            if found.names.len() == MAX_FILES {
                found.more = true;
                return;
            }
            found.names.push(path);
        }
    }
}
