//! Loads folders of specifications as the program does, and says how much there was, how long it took and what it cost.
//!
//! `cargo run --release -p apisec-probe --example load_specs -- FOLDER…`

use apisec_probe::spec::{Request, load};
use std::time::Instant;

fn main() {
    let requests: Vec<Request> = std::env::args().skip(1).map(|path| Request::parse(&path)).collect();
    let started = Instant::now();
    let loaded = load(&requests);
    let operations: usize = loaded.specs.iter().map(|given| given.spec.operations.len()).sum();
    let broken = loaded.specs.iter().filter(|given| !given.spec.problems.is_empty()).count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let now = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    let weight: u64 = loaded.specs.iter().map(|given| given.spec.weight()).sum();
    println!(
        "{} specifications, {operations} operations, {broken} with problems, {} files, {:.3} s, {} MiB by count; {peak}; {now}",
        loaded.specs.len(),
        loaded.files.len(),
        started.elapsed().as_secs_f64(),
        weight >> 20
    );
}
