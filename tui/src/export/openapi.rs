//! What is observed as OpenAPI: whole documents, or what a given specification lacks.

use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::{openapi, overlay};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use serde_json::Value;
use std::io;

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "openapi",
    about: "OpenAPI 3.1 of what was observed, per service (json), or what a given specification lacks (overlay)",
    formats: &[
        Format {
            report: Report {
                name: "json",
                about: "OpenAPI 3.1, a document per service and line",
                shape: Shape::AtEnd(write_documents),
            },
            parts: Some(openapi::documents),
        },
        Format {
            report: Report {
                name: "overlay",
                about: "an OpenAPI Overlay per given specification and line",
                shape: Shape::AtEnd(write_overlays),
            },
            parts: Some(overlay::documents),
        },
    ],
};

fn write_documents(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    lines(&openapi::documents(snapshot), out)
}

fn write_overlays(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    lines(&overlay::documents(snapshot), out)
}

fn lines(documents: &[(String, Value)], out: &mut dyn io::Write) -> io::Result<()> {
    for (_, document) in documents {
        json::write(document, &mut *out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
