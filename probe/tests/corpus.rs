//! Runs the fuzz targets that read files over their corpus and mutations of it, without a fuzzer.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests may panic")]
#![expect(unreachable_pub, reason = "the bodies are public where they belong")]

#[path = "../../tests/fuzz/src/replay.rs"]
mod replay;
#[path = "../../tests/fuzz/src/specification.rs"]
mod specification;

use replay::replay;

#[test]
fn specification_corpus() {
    replay("specification", specification::run);
}
