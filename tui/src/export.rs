//! What can be handed on, and in which formats: one file and one line in [`EXPORTS`].
//!
//! Everything is made of a snapshot. `apisec-top export` prints it, the terminal writes it into a file.

mod file;
mod graph;
mod har;
mod inventory;
mod openapi;
mod report;
mod sensitive;

pub use file::write;
pub(crate) use sensitive::meanings;

use crate::report::Report;
use apisec_engine::snapshot::Snapshot;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::Value;

/// The exports, in the order of the help.
pub const EXPORTS: &[Export] =
    &[report::EXPORT, openapi::EXPORT, inventory::EXPORT, graph::EXPORT, sensitive::EXPORT, har::EXPORT];

/// Something that can be exported.
pub struct Export {
    /// The word that asks for it.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// Its formats, the usual one first; a format's name is also the end of a file's name.
    pub formats: &'static [Format],
}

/// Takes a snapshot apart into documents, each with a name.
pub type Parts = fn(&Snapshot) -> Vec<(String, Value)>;

/// A format of an export.
pub struct Format {
    /// How it is printed.
    pub report: Report,
    /// How it is taken apart into documents, where one file may hold only one.
    pub parts: Option<Parts>,
}

impl Export {
    /// The format called `name`; the usual one, when nobody said.
    #[must_use]
    pub fn format(&self, name: Option<&str>) -> Option<&'static Format> {
        match name {
            None => self.formats.first(),
            Some(name) => self.formats.iter().find(|format| format.report.name == name),
        }
    }
}

/// Reads the name of an export from the command line.
pub fn parser() -> impl TypedValueParser<Value = &'static Export> {
    let names = EXPORTS.iter().map(|export| PossibleValue::new(export.name).help(export.about));
    PossibleValuesParser::new(names)
        .try_map(|name| EXPORTS.iter().find(|export| export.name == name).ok_or("there is no such export"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::report::{Page, Shape};
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_registered_export() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/export");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "file")
            .collect();
        let listed: BTreeSet<String> = EXPORTS.iter().map(|export| export.name.to_owned()).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn every_format_holds_the_hostile_snapshot_without_a_control_character() {
        let snapshot = fixture::hostile();
        for format in EXPORTS.iter().flat_map(|export| export.formats) {
            let Shape::AtEnd(print) = format.report.shape else { panic!("{}", format.report.name) };
            let mut out = Vec::new();
            print(&snapshot, &Page { width: None, styled: false }, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let steering = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r'));
            assert_eq!(steering, None, "{}", format.report.about);
        }
    }
}
