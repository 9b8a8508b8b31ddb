//! Findings as events of the Open Cybersecurity Schema Framework 1.3: class 2004, Detection Finding.

use crate::finding::{Confidence, Finding, Severity, State};
use serde_json::{Value, json};

/// Version of the schema that the events follow.
pub const VERSION: &str = "1.3.0";
/// Class and category of a Detection Finding.
const CLASS: u32 = 2004;
const CATEGORY: u32 = 2;

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It is new.
    Create = 1,
    /// It goes on, or got worse.
    Update = 2,
    /// It is over.
    Close = 3,
}

impl Activity {
    /// What a state of a finding that is seen for the first time, or again, means.
    #[must_use]
    pub const fn of(finding: &Finding, known: bool) -> Self {
        match finding.state {
            State::Resolved { .. } => Self::Close,
            _ if known => Self::Update,
            _ => Self::Create,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Close => "Close",
        }
    }
}

/// One finding as an event. `product` is the version of this program.
#[must_use]
pub fn event(finding: &Finding, activity: Activity, product: &str) -> Value {
    let milliseconds = |at: u64| at / 1_000_000;
    let (severity_id, severity) = severity(finding.severity);
    let (confidence_id, confidence) = confidence(finding.confidence);
    let (status_id, status) = status(&finding.state);
    let observed = [
        ("finding.identity", 99, finding.identity.as_str()),
        ("finding.service", 1, finding.service.as_str()),
        ("finding.path", 23, finding.path.as_str()),
    ];
    let observables: Vec<Value> = observed
        .iter()
        .filter(|(_, _, value)| !value.is_empty())
        .map(|(name, type_id, value)| json!({"name": name, "type_id": type_id, "value": value}))
        .collect();
    let operation = format!("{} {}", finding.method, finding.path);
    let evidence = json!({
        "api": {"operation": operation.trim()},
        "src_endpoint": {"name": finding.actor},
        "dst_endpoint": {"svc_name": finding.service},
        "actor": {"session": {"uid": finding.identity_hash}},
        "data": {"evidence": finding.evidence, "facts": finding.facts, "calls": finding.calls},
    });
    json!({
        "activity_id": activity as u32,
        "activity_name": activity.word(),
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity as u32,
        "type_name": format!("Detection Finding: {}", activity.word()),
        "time": milliseconds(finding.last_seen),
        "start_time": milliseconds(finding.first_seen),
        "end_time": milliseconds(finding.last_seen),
        "count": finding.count,
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": status_id,
        "status": status,
        "message": finding.title,
        "metadata": {
            "version": VERSION,
            "product": {"name": "apisec-top", "vendor_name": "apisec-top", "version": product},
            "uid": format!("{}-{}", finding.id, finding.last_seen),
        },
        "finding_info": {
            "uid": finding.id,
            "title": finding.title,
            "desc": finding.evidence,
            "types": [finding.owasp],
            "first_seen_time": milliseconds(finding.first_seen),
            "last_seen_time": milliseconds(finding.last_seen),
            "created_time": milliseconds(finding.first_seen),
            "analytic": {"uid": finding.detector, "name": finding.detector, "type_id": 1, "type": "Rule"},
        },
        "evidences": [evidence],
        "observables": observables,
        "remediation": {"desc": finding.remedy},
        "vulnerabilities": [{"cwe": {"uid": finding.cwe}}],
    })
}

const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

const fn confidence(confidence: Confidence) -> (u32, &'static str) {
    match confidence {
        Confidence::Low => (1, "Low"),
        Confidence::Medium => (2, "Medium"),
        Confidence::High => (3, "High"),
    }
}

const fn status(state: &State) -> (u32, &'static str) {
    match state {
        State::New => (1, "New"),
        State::Acknowledged => (2, "In Progress"),
        State::Muted { .. } => (3, "Suppressed"),
        State::Resolved { .. } => (4, "Resolved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_schema_requires_is_there() {
        let finding = Finding {
            id: "0123456789abcdef".into(),
            detector: "ssrf".into(),
            severity: Severity::High,
            last_seen: 1_800_000_000_123_456_789,
            title: "a title".into(),
            ..Finding::default()
        };
        let event = event(&finding, Activity::of(&finding, true), "0.1.0");
        for required in [
            "activity_id",
            "category_uid",
            "class_uid",
            "finding_info",
            "metadata",
            "severity_id",
            "time",
            "type_uid",
        ] {
            assert!(!event[required].is_null(), "{required}");
        }
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_402), &json!(4)));
        assert_eq!(event["time"], json!(1_800_000_000_123_u64));
        assert_eq!(event["finding_info"]["uid"], "0123456789abcdef");
        let over = Finding { state: State::Resolved { at: 1 }, ..finding };
        assert_eq!(Activity::of(&over, true), Activity::Close);
    }
}
