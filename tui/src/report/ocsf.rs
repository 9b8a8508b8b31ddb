//! One OCSF event (Detection Finding) per finding, when the run ends.

use super::{Page, Report, Shape};
use apisec_engine::export::ocsf::{self, Activity};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "ocsf",
    about: "one OCSF Detection Finding per finding, when the run ends",
    shape: Shape::AtEnd(write),
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &snapshot.findings {
        let event = ocsf::event(finding, Activity::of(finding, false), env!("CARGO_PKG_VERSION"));
        json::write(&event, &mut *out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
