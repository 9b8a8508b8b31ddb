//! The seam for detectors: one file in `detect/` and one line in [`DETECTORS`] each.
//!
//! A detector has two halves. `features` runs on the node for every call, may look at what must not be kept,
//! and writes mergeable features into the delta; `judge` runs at the merge and knows all nodes.

use crate::delta::Delta;
use crate::knowledge::Knowledge;
use apisec_proto::call::Call;
use apisec_proto::exchange::Raw;

/// Recognises one kind of misuse.
pub trait Detector: Sync {
    /// Stable name, equal to the name of its file with `-` for `_`.
    fn id(&self) -> &'static str;

    /// Notes in `delta` what `judge` will need of this call. Hot: allocates nothing in the steady state.
    fn features(&self, call: &Call, raw: &Raw<'_>, delta: &mut Delta);

    /// The findings that all deltas so far give rise to, as the contract's finding objects.
    fn judge(&self, knowledge: &Knowledge) -> Vec<serde_json::Value>;
}

/// Every detector, in the order in which findings are listed.
pub const DETECTORS: &[&dyn Detector] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/detect");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| {
                entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").replace('_', "-")
            })
            .collect();
        files.sort();
        let mut ids: Vec<&str> = DETECTORS.iter().map(|detector| detector.id()).collect();
        ids.sort_unstable();
        assert_eq!(ids, files);
    }
}
