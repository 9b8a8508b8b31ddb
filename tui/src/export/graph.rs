//! Who calls whom, for Graphviz, Mermaid and programs.

use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::graph::{dot, json as nodes_and_links, mermaid};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "graph",
    about: "who calls whom: dot (Graphviz), mermaid, json",
    formats: &[
        Format {
            report: Report { name: "dot", about: "Graphviz", shape: Shape::AtEnd(write_dot) },
            parts: None,
        },
        Format {
            report: Report { name: "mermaid", about: "a flow chart", shape: Shape::AtEnd(write_mermaid) },
            parts: None,
        },
        Format {
            report: Report { name: "json", about: "nodes and links", shape: Shape::AtEnd(write_json) },
            parts: None,
        },
    ],
};

fn write_dot(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(dot(snapshot).as_bytes())
}

fn write_mermaid(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(mermaid(snapshot).as_bytes())
}

fn write_json(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    json::write(&nodes_and_links(snapshot), &mut *out)?;
    out.write_all(b"\n")
}
