//! The calls of the log as an HTTP archive, without secrets.

use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::har;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "har",
    about: "the calls one by one (HTTP Archive 1.2), masked; not from a state folder, which keeps no calls",
    formats: &[Format {
        report: Report { name: "har", about: "HTTP Archive 1.2", shape: Shape::AtEnd(write) },
        parts: None,
    }],
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    har::write(snapshot, out)
}
