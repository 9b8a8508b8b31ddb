//! JSON schemas of what the program prints, straight from the types.

use crate::ndjson::NdjsonCall;
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// Schema (2020-12) of the object that `--output json` prints.
#[must_use]
pub fn snapshot() -> serde_json::Value {
    schemars::schema_for!(Snapshot).to_value()
}

/// Schema (2020-12) of each line that `--output ndjson` prints.
#[must_use]
pub fn call() -> serde_json::Value {
    schemars::schema_for!(NdjsonCall).to_value()
}

/// Schema (2020-12) of a policy file.
#[must_use]
pub fn policy() -> serde_json::Value {
    schemars::schema_for!(Policy).to_value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn name_the_fields_of_the_contract() {
        let snapshot = super::snapshot();
        for field in
            ["schema", "window", "workloads", "edges", "endpoints", "findings", "policies", "capture"]
        {
            assert!(snapshot["properties"][field].is_object(), "{field}");
        }
        assert!(snapshot["properties"]["log"].is_null());
        assert!(super::call()["properties"]["duration_us"].is_object());
    }
}
