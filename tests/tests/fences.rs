//! The rules of the tree as tests: who may depend on whom, and that nothing lies about unregistered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use apisec_tests::tool::workspace;

mod dependencies;
mod plug_ins;

/// Folders with sources: each holds a crate root, `lib.rs` or `main.rs`.
const ROOTS: &[&str] = &[
    "demo/src",
    "probe-ebpf/abi/src",
    "probe-ebpf/enforce",
    "probe-ebpf/src",
    "probe/engine/src",
    "probe/proto/src",
    "probe/src",
    "tests/src",
    "tests/tests",
    "tui/src",
];

#[test]
fn every_source_file_is_a_module() {
    for root in ROOTS {
        let folder = workspace().join(root);
        let crate_root =
            ["lib.rs", "main.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
        let mut forgotten = Vec::new();
        forgotten_modules(&folder, &crate_root.unwrap(), &mut forgotten);
        assert_eq!(forgotten, [""; 0], "files that no module of {root} declares");
    }
}

/// Files of `folder` that `parent` does not declare with `mod`, and so on below.
fn forgotten_modules(folder: &Path, parent: &Path, forgotten: &mut Vec<String>) {
    let source = fs::read_to_string(parent).unwrap_or_default();
    let declared = modules(&source);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path == parent || name == "snapshots" || (name == "main" && parent.ends_with("lib.rs")) {
            continue;
        }
        if path.is_dir() {
            forgotten_modules(&path, &path.with_extension("rs"), forgotten);
        } else if path.extension().is_some_and(|e| e == "rs") && !declared.contains(name.as_str()) {
            forgotten.push(path.display().to_string());
        }
    }
}

fn modules(source: &str) -> BTreeSet<&str> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter_map(|line| {
            line.rsplit_once("mod ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"))
        })
        .map(|(_, name)| name)
        .collect()
}

#[test]
fn a_forgotten_module_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.rs"), "mod known;\n").unwrap();
    fs::write(folder.path().join("known.rs"), "").unwrap();
    fs::write(folder.path().join("unknown.rs"), "").unwrap();
    let mut forgotten = Vec::new();
    forgotten_modules(folder.path(), &folder.path().join("main.rs"), &mut forgotten);
    assert_eq!(forgotten.len(), 1, "{forgotten:?}");
}
