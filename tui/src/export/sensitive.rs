//! Which endpoints and edges carry which sensitive classes, protected how; with the words of the standards.

use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::sensitive::{Meanings, map, table};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use serde_json::json;
use std::io;
use std::sync::OnceLock;

/// What the classes mean to an auditor.
const MEANINGS: &str = include_str!("sensitive.toml");

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "sensitive",
    about: "the sensitive-data map: which endpoints and edges carry which classes, protected how: csv, json",
    formats: &[
        Format {
            report: Report { name: "csv", about: "a line per class", shape: Shape::AtEnd(write_csv) },
            parts: None,
        },
        Format {
            report: Report { name: "json", about: "one object", shape: Shape::AtEnd(write_json) },
            parts: None,
        },
    ],
};

/// What the classes mean.
pub(crate) fn meanings() -> &'static Meanings {
    static READ: OnceLock<Meanings> = OnceLock::new();
    READ.get_or_init(|| toml::from_str(MEANINGS).unwrap_or_default())
}

fn write_csv(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(table(&map(snapshot, meanings())).as_bytes())
}

fn write_json(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let rows = map(snapshot, meanings());
    json::write(
        &json!({"schema": "apisec-top/sensitive/1", "window": snapshot.window, "rows": rows}),
        &mut *out,
    )?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::vocabulary;

    #[test]
    fn every_class_has_a_meaning() {
        let known: Vec<&str> = meanings().classes().collect();
        for class in vocabulary::sensitive_classes() {
            assert!(known.contains(&class), "{class} has no meaning in sensitive.toml");
            assert!(!meanings().of(class).tags.is_empty(), "{class}");
        }
    }
}
