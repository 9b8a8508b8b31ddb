//! Findings as syslog messages (RFC 5424), with the names and numbers as structured data.

use crate::finding::{Finding, Severity};
use crate::json::steers;
use crate::moment;
use std::fmt::Write;

/// Facility `authpriv`: security messages.
const FACILITY: u8 = 10;
/// Name of the structured data: our own, under the number for examples of RFC 5612, because we have none.
const DATA: &str = "apisec@32473";
/// Longest message: what every receiver must accept is 480, what they do accept is 8 KiB.
pub const MAX_MESSAGE: usize = 8 << 10;

/// One message without a frame. `host` is this machine's name.
#[must_use]
pub fn message(finding: &Finding, host: &str) -> String {
    let severity = match finding.severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    let priority = FACILITY * 8 + severity;
    // Six digits of a second at most (§6.2.3.1).
    let at = moment::rfc3339(finding.last_seen);
    let at = format!("{}Z", at.get(..26).unwrap_or("1970-01-01T00:00:00"));
    let detector = header(&finding.detector, 32);
    let mut line = format!("<{priority}>1 {at} {} apisec-top - {detector} [{DATA}", header(host, 255));
    let parameters = [
        ("id", finding.id.as_str()),
        ("severity", finding.severity.word()),
        ("confidence", finding.confidence.word()),
        ("state", finding.state.word()),
        ("owasp", &finding.owasp),
        ("cwe", &finding.cwe),
        ("service", &finding.service),
        ("method", &finding.method),
        ("path", &finding.path),
        ("actor", &finding.actor),
        ("identity", &finding.identity),
    ];
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        let _infallible = write!(line, " {name}=\"{}\"", escaped(value));
    }
    let _infallible = write!(line, " count=\"{}\"] {}: {}", finding.count, finding.title, finding.evidence);
    // These would end a line, colour a terminal, or turn a text around.
    let mut line: String = line.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_MESSAGE));
    line
}

/// A field of the header: printable ASCII without blanks, or `-`.
fn header(text: &str, max: usize) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
    if kept.is_empty() { "-".into() } else { kept }
}

/// A parameter value (§6.3.3).
fn escaped(value: &str) -> String {
    value.chars().flat_map(|c| matches!(c, '"' | '\\' | ']').then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_with_escaped_parameters() {
        let finding = Finding {
            detector: "ssrf".into(),
            severity: Severity::High,
            path: "/a]\"\\".into(),
            title: "x\n<1>1 forged\u{1b}[31m\u{202e}".into(),
            last_seen: 1_800_000_000_000_000_000,
            ..Finding::default()
        };
        let line = message(&finding, "node 1");
        assert!(line.starts_with("<83>1 2027-01-15T08:00:00.000000Z "), "{line}");
        assert!(line.contains(" node1 apisec-top - ssrf [apisec@32473 "), "{line}");
        assert!(line.contains(r#"path="/a\]\"\\""#), "{line}");
        assert!(!line.chars().any(steers), "{line}");
        let long = Finding { evidence: "ä".repeat(9_000), ..finding };
        assert!(message(&long, "").len() <= MAX_MESSAGE);
    }
}
