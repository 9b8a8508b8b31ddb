//! Skipped tests are counted and named, never silent.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::{env, fs};

/// Says that the test `name` did not run, and why.
///
/// The line is printed and also appended to the file that `APISEC_SKIPS` names, because the test runner
/// hides what a passing test prints. `make ci` fails on a name that `tests/expected-skips.txt` does not hold.
pub fn skip(name: &str, reason: &str) {
    let line = format!("SKIPPED {name}: {reason}");
    println!("{line}");
    let Some(path) = env::var_os("APISEC_SKIPS") else { return };
    let written =
        OpenOptions::new().append(true).create(true).open(&path).and_then(|mut f| writeln!(f, "{line}"));
    if let Err(error) = written {
        eprintln!("cannot record the skip in {}: {error}", Path::new(&path).display());
    }
}

/// Whether we are root; if not, records that the test `name` is skipped.
pub fn have_root(name: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(name, "needs root");
    }
    root
}

/// Whether every one of `programs` can be run; if not, records that the test `name` is skipped.
pub fn have_programs(name: &str, programs: &[&str]) -> bool {
    match programs.iter().find(|program| find_program(program).is_none()) {
        None => true,
        Some(missing) => {
            skip(name, &format!("{missing} is not installed: run make setup"));
            false
        }
    }
}

/// Where a program is: on `PATH`, or in the system folders that an ordinary user's `PATH` lacks.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(Into::into);
    env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}
