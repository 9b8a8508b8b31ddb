//! The report of an incident, for people.

use super::sensitive::meanings;
use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::incident::{html, markdown};
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "report",
    about: "findings, policies and changes in order, graph, drift, sensitive data, coverage: html, md",
    formats: &[
        Format {
            report: Report { name: "html", about: "one file", shape: Shape::AtEnd(write_html) },
            parts: None,
        },
        Format {
            report: Report { name: "md", about: "Markdown", shape: Shape::AtEnd(write_markdown) },
            parts: None,
        },
    ],
};

fn write_html(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(html(snapshot, meanings()).as_bytes())
}

fn write_markdown(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(markdown(snapshot, meanings()).as_bytes())
}
