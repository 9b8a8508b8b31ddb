//! Every endpoint with what is known of it.

use super::{Export, Format};
use crate::report::{Page, Report, Shape};
use apisec_engine::export::csv;
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use serde_json::json;
use std::io;

/// The export.
pub(super) const EXPORT: Export = Export {
    name: "inventory",
    about: "every endpoint with its drift, callers, authentication and classes: csv, json",
    formats: &[
        Format {
            report: Report { name: "csv", about: "a line per endpoint", shape: Shape::AtEnd(write_csv) },
            parts: None,
        },
        Format {
            report: Report { name: "json", about: "one object", shape: Shape::AtEnd(write_json) },
            parts: None,
        },
    ],
};

fn write_csv(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(csv::inventory(snapshot).as_bytes())
}

fn write_json(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let Snapshot { schema, window, endpoints, specifications, inventory, .. } = snapshot;
    let own = json!({"schema": schema, "window": window, "inventory": inventory,
        "specifications": specifications, "endpoints": endpoints});
    json::write(&own, &mut *out)?;
    out.write_all(b"\n")
}
