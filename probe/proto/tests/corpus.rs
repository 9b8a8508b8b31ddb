//! Runs the bodies of the fuzz targets over their corpus, and over mutations of it, without a fuzzer.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![expect(unreachable_pub, reason = "the bodies are public where they belong")]

#[path = "../../../tests/fuzz/src/arrival.rs"]
mod arrival;
#[path = "../../../tests/fuzz/src/cuts.rs"]
mod cuts;
#[path = "../../../tests/fuzz/src/frames.rs"]
mod frames;
#[path = "../../../tests/fuzz/src/greeting.rs"]
mod greeting;
#[path = "../../../tests/fuzz/src/messages.rs"]
mod messages;
#[path = "../../../tests/fuzz/src/naming.rs"]
mod naming;

/// Mutations of every seed.
const MUTATIONS: u64 = 500;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = format!("{}/../../tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        run(&seed);
        (0..MUTATIONS).for_each(|i| run(&mutate(&seed, i)));
        seeds += 1;
    }
    assert!(seeds > 0);
}

/// Changes, drops and repeats a few bytes, the same ones every time.
fn mutate(seed: &[u8], round: u64) -> Vec<u8> {
    let mut dice = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
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

#[test]
fn arrival_corpus() {
    replay("arrival", arrival::run);
}

#[test]
fn cuts_corpus() {
    replay("cuts", cuts::run);
}

#[test]
fn messages_corpus() {
    replay("messages", messages::run);
}

#[test]
fn frames_corpus() {
    replay("frames", frames::run);
}

#[test]
fn naming_corpus() {
    replay("naming", naming::run);
}

#[test]
fn greeting_corpus() {
    replay("greeting", greeting::run);
}
