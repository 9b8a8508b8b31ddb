//! OpenAPI 3.1 of what was observed, when the run ends: one document per service, one per line.

use super::{Page, Report, Shape};
use apisec_engine::export::openapi::documents;
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "openapi",
    about: "OpenAPI 3.1 of what was observed, a document per service and line (`--filter dst:NAME` for one)",
    shape: Shape::AtEnd(write),
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    for (_, document) in documents(snapshot) {
        json::write(&document, &mut *out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
