//! One JSON object per call as it happens; its schema is printed by `apisec-top print schema ndjson`.

use super::{Report, Shape};
use apisec_engine::ndjson;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "ndjson",
    about: "one object per call as it happens, and totals on standard error at the end",
    shape: Shape::PerCall(ndjson::line),
};
