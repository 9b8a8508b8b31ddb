//! The rules of the tree as tests: who may depend on whom, and that nothing lies about unregistered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use apisec_tests::tool::workspace;

mod dependencies;
mod plug_ins;

#[test]
fn every_test_file_is_a_module() {
    let folder = workspace().join("tests/tests");
    let mut forgotten = Vec::new();
    forgotten_modules(&folder, &folder.join("main.rs"), &mut forgotten);
    assert_eq!(forgotten, [""; 0], "not a module of tests/tests/main.rs");
}

/// Files of `folder` that `parent` does not declare with `mod`, and so on below.
fn forgotten_modules(folder: &Path, parent: &Path, forgotten: &mut Vec<String>) {
    let source = fs::read_to_string(parent).unwrap_or_default();
    let declared = modules(&source);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path == parent || name == "snapshots" {
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
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod "))
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
