//! The dialects: what kind of API an exchange belongs to, and what its operation is called.
//!
//! One file and one line in [`DIALECTS`] per dialect; the first that claims an exchange names it.

pub mod grpc;
pub mod rest;

use crate::call::Call;
use crate::exchange::Exchange;
use crate::path::Target;

/// A way to read exchanges.
pub trait Dialect: Sync {
    /// Its name, and that of its file.
    fn name(&self) -> &'static str;

    /// Whether the exchange is in this dialect.
    fn claims(&self, exchange: &Exchange<'_>) -> bool;

    /// Writes protocol, method, operation, path and query of the call. `target` is that of the request; `scratch` is reused between calls.
    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Vec<u8>, call: &mut Call);
}

/// The dialects, in the order in which they are asked. REST claims what is left.
pub const DIALECTS: &[&dyn Dialect] = &[&grpc::Grpc, &rest::Rest];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect");
        let files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(
                DIALECTS.iter().any(|dialect| dialect.name() == file),
                "dialect/{file}.rs is not in DIALECTS"
            );
        }
    }
}
