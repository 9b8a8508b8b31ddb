//! BPF programs of other tools on this node: counted, never touched.

use aya::programs::loaded_programs;

/// Prefix of the names of our programs (the kernel keeps 15 bytes).
pub const OURS: &str = "apisec_";

/// How many programs there are that are not ours; `None` when they may not be listed.
#[must_use]
pub fn foreign_programs() -> Option<usize> {
    let mut foreign = 0;
    for program in loaded_programs() {
        let program = program.ok()?;
        if !program.name().starts_with(OURS.as_bytes()) {
            foreign += 1;
        }
    }
    Some(foreign)
}

/// Names of our programs that are in the kernel now, from whatever process.
#[must_use]
pub fn our_programs() -> Vec<String> {
    loaded_programs()
        .filter_map(Result::ok)
        .map(|program| String::from_utf8_lossy(program.name()).into_owned())
        .filter(|name| name.starts_with(OURS))
        .collect()
}
