//! One JSON object when the run ends: the contract `apisec-top/1`.

use super::{Page, Report, Shape};
use apisec_engine::json;
use apisec_engine::snapshot::Snapshot;
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "json",
    about: "one object when the run ends (its schema: `apisec-top print schema`)",
    shape: Shape::AtEnd(write),
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    json::write(snapshot, &mut *out)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::snapshot::SCHEMA;

    #[test]
    fn one_line_with_the_schema_named() {
        let mut out = Vec::new();
        let snapshot = Snapshot { schema: SCHEMA.into(), ..Snapshot::default() };
        write(&snapshot, &Page { width: None, styled: false }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("{\"schema\":\"apisec-top/1\",\"window\":{"), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
    }
}
