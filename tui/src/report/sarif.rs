//! Drift, broken specifications and findings as SARIF 2.1.0, for whatever shows the results of a build.
//!
//! One result per endpoint and rule. It is placed in the specification that it concerns, because that is the file
//! that is in the repository; the operation itself is its logical location.

use super::{Page, Report, Shape};
use crate::cli::NAME;
use apisec_engine::detect::{About, DETECTORS};
use apisec_engine::finding::{Finding, Severity};
use apisec_engine::json;
use apisec_engine::snapshot::{Drift, EndpointView, ProblemView, Snapshot};
use serde_json::{Value, json};
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "sarif",
    about: "drift, broken specifications and findings as SARIF 2.1.0, when the run ends",
    shape: Shape::AtEnd(write),
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Rules: id, level, what it means.
const RULES: [(&str, &str, &str); 7] = [
    ("drift/shadow", "error", "An operation is called that no specification of its service documents."),
    ("drift/zombie", "warning", "A documented operation was called earlier and is no longer called."),
    ("drift/orphan", "note", "A documented operation was never called in what is known."),
    ("drift/unconfirmed", "note", "An undocumented operation was called and only ever refused."),
    ("drift/deprecated", "warning", "A deprecated operation is still called."),
    ("drift/schema", "warning", "Calls of a documented operation are not as documented."),
    ("specification/problem", "error", "A specification cannot be read as a whole."),
];

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let drift = snapshot.endpoints.iter().flat_map(|endpoint| results(snapshot, endpoint));
    let problems = snapshot.specifications.iter().flat_map(|spec| &spec.problems).map(problem);
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": NAME, "version": env!("CARGO_PKG_VERSION"), "rules": rules()}},
            "invocations": [{"executionSuccessful": true, "endTimeUtc": snapshot.window.end}],
            "results": drift.chain(problems).chain(snapshot.findings.iter().map(finding)).collect::<Vec<_>>(),
        }],
    });
    json::write(&log, &mut *out)?;
    out.write_all(b"\n")
}

/// What results may refer to: our own rules, and every detector.
fn rules() -> Vec<Value> {
    let detectors = DETECTORS.iter().map(|detector| {
        let About { id, owasp, cwe, what, why, remedy, .. } = detector.about();
        json!({
            "id": format!("finding/{id}"),
            "shortDescription": {"text": what},
            "fullDescription": {"text": why},
            "help": {"text": remedy},
            "properties": {"tags": ["security", owasp, cwe]},
        })
    });
    RULES.map(rule).into_iter().chain(detectors).collect()
}

/// A finding. It is in no file: its place is an operation.
fn finding(finding: &Finding) -> Value {
    let operation = format!("{} {} {}", finding.service, finding.method, finding.path);
    let level = match finding.severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    };
    json!({
        "ruleId": format!("finding/{}", finding.detector),
        "level": level,
        "message": {"text": format!("{}: {}", finding.title, finding.evidence)},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": operation.trim(), "kind": "function"}]}],
        "partialFingerprints": {"finding/v1": finding.id},
        "occurrenceCount": finding.count.max(1),
        "properties": {"actor": finding.actor, "identity": finding.identity, "confidence": finding.confidence.word()},
    })
}

fn rule((id, level, text): (&str, &str, &str)) -> Value {
    json!({"id": id, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}})
}

fn results(snapshot: &Snapshot, endpoint: &EndpointView) -> Vec<Value> {
    let mut found = Vec::new();
    let name = format!("{} {}", endpoint.method, endpoint.path);
    let documented = snapshot.specifications.iter().any(|spec| serves(spec, endpoint));
    let state = match endpoint.drift {
        Drift::Shadow => Some(format!(
            "{name} of {} is called {} times and not documented",
            endpoint.service, endpoint.calls
        )),
        Drift::Zombie => Some(format!("{name} of {} is documented and no longer called", endpoint.service)),
        Drift::Orphan => Some(format!("{name} of {} is documented and was never called", endpoint.service)),
        Drift::Unconfirmed => {
            Some(format!("{name} of {} is not documented and was only ever refused", endpoint.service))
        }
        Drift::Active | Drift::Unspecified => None,
    };
    if let Some(text) = state.filter(|_| documented) {
        found.push(result(&format!("drift/{}", endpoint.drift.word()), &text, snapshot, endpoint));
    }
    if endpoint.deprecated_in_use {
        let text =
            format!("{name} of {} is deprecated and was called {} times", endpoint.service, endpoint.calls);
        found.push(result("drift/deprecated", &text, snapshot, endpoint));
    }
    if endpoint.schema_drift {
        let differences = endpoint.documentation.differences.join(", ");
        let text = format!("{name} of {} is not as documented: {differences}", endpoint.service);
        found.push(result("drift/schema", &text, snapshot, endpoint));
    }
    found
}

fn result(rule: &str, text: &str, snapshot: &Snapshot, endpoint: &EndpointView) -> Value {
    let own = Some(endpoint.documentation.file.as_str()).filter(|file| !file.is_empty());
    let file = own.or_else(|| {
        snapshot.specifications.iter().find(|spec| serves(spec, endpoint)).map(|spec| spec.file.as_str())
    });
    let operation = format!("{} {}{}", endpoint.service, endpoint.method, endpoint.path);
    json!({
        "ruleId": rule,
        "level": level(rule),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(file.unwrap_or_default())}},
            "logicalLocations": [{"fullyQualifiedName": operation, "kind": "function"}],
        }],
        // The same finding in another run has the same fingerprint, whatever the counts.
        "partialFingerprints": {"operation/v1": format!("{rule} {operation} {}", endpoint.operation)},
    })
}

fn problem(problem: &ProblemView) -> Value {
    let mut place = json!({"artifactLocation": {"uri": uri(&problem.file)}});
    if let Some(place) = place.as_object_mut().filter(|_| problem.line > 0) {
        place.insert("region".into(), json!({"startLine": problem.line}));
    }
    json!({
        "ruleId": "specification/problem",
        "level": level("specification/problem"),
        "message": {"text": format!("{} {}", problem.pointer, problem.what).trim()},
        "locations": [{"physicalLocation": place}],
    })
}

fn level(rule: &str) -> &'static str {
    RULES.iter().find(|(id, ..)| *id == rule).map_or("warning", |(_, level, _)| level)
}

fn serves(spec: &apisec_engine::snapshot::SpecificationView, endpoint: &EndpointView) -> bool {
    spec.services.iter().any(|binding| binding.service == endpoint.service)
}

/// A path as a relative URI reference (RFC 3986): everything but unreserved characters and slashes is encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use apisec_engine::snapshot::{BindingView, SpecificationView};

    fn log(change: impl Fn(&mut Snapshot)) -> Value {
        let mut snapshot = fixture::shop();
        let service = snapshot.endpoints[0].service.clone();
        snapshot.specifications = vec![SpecificationView {
            file: "apis/a b.yaml".into(),
            title: "a".into(),
            version: "1".into(),
            format: "OpenAPI 3.1".into(),
            bases: Vec::new(),
            operations: 1,
            services: vec![BindingView { service, by: "name".into(), ..BindingView::default() }],
            problems: vec![ProblemView {
                file: "apis/a b.yaml".into(),
                line: 7,
                pointer: "/paths".into(),
                what: "x".into(),
            }],
            more_problems: 0,
        }];
        change(&mut snapshot);
        let mut out = Vec::new();
        write(&snapshot, &Page { width: None, styled: false }, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_result_has_a_rule_a_level_and_a_place() {
        let log = log(|snapshot| {
            snapshot.endpoints[0].drift = Drift::Shadow;
            snapshot.endpoints[0].schema_drift = true;
            snapshot.endpoints[0].documentation.differences = vec!["status 500".into()];
        });
        let run = &log["runs"][0];
        let rules: Vec<&str> = run["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for result in results {
            assert!(rules.contains(&result["ruleId"].as_str().unwrap()));
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "apis/a%20b.yaml");
        }
        assert_eq!(results[0]["level"], "error");
        assert_eq!(results[2]["locations"][0]["physicalLocation"]["region"]["startLine"], 7);
    }

    #[test]
    fn what_is_active_is_no_result() {
        let log = log(|snapshot| snapshot.specifications[0].problems.clear());
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
