//! One JSON object per finding, as in `findings` of the JSON, when the run ends.

use super::{Page, Report, Shape};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "findings",
    about: "one object per finding, when the run ends",
    shape: Shape::AtEnd(write),
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &snapshot.findings {
        json::write(finding, &mut *out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
