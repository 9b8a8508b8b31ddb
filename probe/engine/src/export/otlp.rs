//! Findings as log records of OpenTelemetry, in the JSON encoding of OTLP 1.x.

use crate::finding::{Finding, Severity};
use serde_json::{Value, json};

/// One request for `/v1/logs` with these findings. `product` is the version of this program.
#[must_use]
pub fn request(findings: &[Finding], product: &str) -> Value {
    let records: Vec<Value> = findings.iter().map(record).collect();
    let resource =
        json!({"attributes": [text("service.name", "apisec-top"), text("service.version", product)]});
    let scope = json!({"name": "apisec-top", "version": product});
    json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": records}]}]})
}

fn record(finding: &Finding) -> Value {
    let number = match finding.severity {
        Severity::Info => 9,
        Severity::Low => 10,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 21,
    };
    let facts = finding
        .facts
        .iter()
        .map(|(name, value)| json!({"key": format!("apisec.fact.{name}"), "value": {"doubleValue": value}}));
    let texts = [
        ("apisec.finding.id", &finding.id),
        ("apisec.detector", &finding.detector),
        ("apisec.owasp", &finding.owasp),
        ("apisec.cwe", &finding.cwe),
        ("apisec.service", &finding.service),
        ("http.request.method", &finding.method),
        ("http.route", &finding.path),
        ("apisec.actor", &finding.actor),
        ("apisec.identity", &finding.identity),
        ("apisec.evidence", &finding.evidence),
        ("apisec.remedy", &finding.remedy),
    ];
    let words = [
        text("event.name", "apisec.finding"),
        text("apisec.confidence", finding.confidence.word()),
        text("apisec.state", finding.state.word()),
        json!({"key": "apisec.count", "value": {"intValue": finding.count.to_string()}}),
    ];
    let named = texts.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value));
    json!({
        "timeUnixNano": finding.last_seen.to_string(),
        "observedTimeUnixNano": finding.last_seen.to_string(),
        "severityNumber": number,
        "severityText": finding.severity.word(),
        "body": {"stringValue": finding.title},
        "attributes": words.into_iter().chain(named).chain(facts).collect::<Vec<_>>(),
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_64_bits_are_texts_as_the_encoding_wants() {
        let finding = Finding {
            last_seen: u64::MAX,
            severity: Severity::High,
            title: "t".into(),
            ..Finding::default()
        };
        let request = request(&[finding], "0.1.0");
        let record = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], u64::MAX.to_string());
        assert_eq!((&record["severityNumber"], &record["body"]["stringValue"]), (&json!(17), &json!("t")));
    }
}
