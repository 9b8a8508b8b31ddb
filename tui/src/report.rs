//! What the program prints when it does not draw: one file and one line per format.

mod findings;
mod json;
mod ndjson;
mod ocsf;
mod openapi;
mod sarif;
mod table;

use apisec_engine::ndjson::LineWriter;
use apisec_engine::snapshot::Snapshot;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::io::{self, IsTerminal};

/// The formats, in the order of the help.
pub const REPORTS: &[Report] = &[
    table::REPORT,
    json::REPORT,
    ndjson::REPORT,
    findings::REPORT,
    ocsf::REPORT,
    sarif::REPORT,
    openapi::REPORT,
];

/// The format of a run that was not told one.
pub const DEFAULT: &Report = &table::REPORT;

/// The format of a run that `--fail-on` judges and that was not told one.
pub const GATED: &Report = &sarif::REPORT;

/// A format.
#[derive(Debug)]
pub struct Report {
    /// The word that asks for it.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// When it prints, and with what.
    pub shape: Shape,
}

/// Prints a snapshot.
pub type Print = fn(&Snapshot, &Page, &mut dyn io::Write) -> io::Result<()>;

/// When a format prints.
#[derive(Debug)]
pub enum Shape {
    /// Once, when the run ends.
    AtEnd(Print),
    /// A line per call, appended to a buffer on the capture thread: must not block.
    PerCall(LineWriter),
}

/// What a report is printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Columns of the terminal; `None` on a pipe or in a file, where nothing is cut.
    pub width: Option<usize>,
    /// Emphasis (bold, dim) may be used.
    pub styled: bool,
}

impl Page {
    /// Standard output as it is.
    #[must_use]
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| terminal);
        Self {
            width: size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0),
            styled: terminal && !dumb && !set("NO_COLOR"),
        }
    }
}

/// Reads the name of a format from the command line.
pub fn parser() -> impl TypedValueParser<Value = &'static Report> {
    let names = REPORTS.iter().map(|report| PossibleValue::new(report.name).help(report.about));
    PossibleValuesParser::new(names).map(|name| find(&name).unwrap_or(DEFAULT))
}

/// The format called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Report> {
    REPORTS.iter().find(|report| report.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_registered_report() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let listed: BTreeSet<String> = REPORTS.iter().map(|report| report.name.to_owned()).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn names_are_found_and_strangers_are_not() {
        assert!(
            REPORTS.iter().all(|report| find(report.name).is_some_and(|found| found.name == report.name))
        );
        assert!(find("yaml").is_none());
    }
}
