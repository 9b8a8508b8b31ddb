//! Runs a target over its corpus, and for a bounded time over mutations of it, without a fuzzer: on stable, in `make ci`. The
//! mutations are the same ones every time; how many are tried depends on the machine.

use std::time::{Duration, Instant};

/// Mutations of every seed that are always tried.
const AT_LEAST: u64 = 500;
/// No more are tried than have been seen to pass: a fast machine must not be the one that finds something.
const AT_MOST: u64 = 20_000;
/// A target is given so long beyond what is always tried; `APISEC_FUZZ_SECONDS` asks for another time, and for no bound.
const TIME: Duration = Duration::from_secs(3);
/// Where the dice begin.
const DICE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Runs the body of a target; panics where it does.
pub fn replay(target: &'static str, run: fn(&[u8])) {
    let above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = above
        .map(|folder| folder.join("tests/fuzz/corpus").join(target))
        .find(|folder| folder.is_dir())
        .unwrap();
    let (seeds, asked, began) = (
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()),
        std::env::var("APISEC_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap()),
        Instant::now(),
    );
    let mut seeds: Vec<Vec<u8>> = seeds.collect();
    seeds.sort_unstable();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| run(seed));
    let (time, most) = asked.map_or((TIME, AT_MOST), |seconds| (Duration::from_secs(seconds), u64::MAX));
    let mut at = At { target, seed: 0, round: 0 };
    while at.round < most && (at.round < AT_LEAST || began.elapsed() < time) {
        for (seed, bytes) in seeds.iter().enumerate() {
            at.seed = seed;
            run(&mutate(bytes, at.round));
        }
        at.round += 1;
    }
    println!("{target}: {} seeds, {} rounds, dice {DICE:#x}", seeds.len(), at.round);
}

/// Says which input it was that panicked.
struct At {
    target: &'static str,
    seed: usize,
    round: u64,
}

impl Drop for At {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: seed {} in round {}, dice {DICE:#x}", self.target, self.seed, self.round);
        }
    }
}

/// Changes, drops and repeats a few bytes, the same ones every time.
fn mutate(seed: &[u8], round: u64) -> Vec<u8> {
    let mut dice = round.wrapping_mul(DICE) | 1;
    let mut below = |n: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % n.max(1)
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        match below(4) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + below(8)).min(bytes.len()))),
            _ => {
                let part = bytes[at..(at + below(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}
