//! Runs the bodies of the fuzz targets over their corpus and mutations of it, without a fuzzer.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![expect(clippy::disallowed_methods, reason = "a test reads its corpus, and stops in time")]
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
#[path = "../../../tests/fuzz/src/replay.rs"]
mod replay;

use replay::replay;

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

/// What no seed shows is not looked into by any mutation.
#[test]
fn every_dialect_is_in_the_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/naming");
    let mut spoken = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        naming::each(&seed, &mut |call| {
            spoken.insert(format!("{:?}", call.protocol).to_lowercase());
        });
    }
    for dialect in apisec_proto::dialect::DIALECTS.iter().filter(|dialect| dialect.name() != "rest") {
        assert!(spoken.contains(dialect.name()), "{} is not among {spoken:?}", dialect.name());
    }
}

#[test]
fn greeting_corpus() {
    replay("greeting", greeting::run);
}
