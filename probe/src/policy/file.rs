//! A policy from its file: YAML or JSON, strictly; what is wrong has a line, a column and the name of its field.

use apisec_engine::policy::Policy;
use serde::de::Error as _;
use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{budget, options};
use std::fmt;
use thiserror::Error;

/// Longest file: a quarantine that lets through a thousand names.
pub const MAX_BYTES: usize = 64 << 10;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct FileError {
    /// Line from 1; 0 when unknown.
    pub line: u64,
    /// Column from 1; 0 when unknown.
    pub column: u64,
    /// Where in the document: `spec.ttl`; empty for the whole.
    pub field: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(out, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(out, "{}: ", self.field)?;
        }
        out.write_str(&self.what)
    }
}

/// Reads a policy.
///
/// # Errors
/// It is no policy, and where.
pub fn parse(text: &str) -> Result<Policy, FileError> {
    let whole = |what: &str| FileError { line: 0, column: 0, field: String::new(), what: what.to_owned() };
    if text.len() > MAX_BYTES {
        return Err(whole("it is larger than 64 KiB"));
    }
    let options = options! {
        budget: budget! { max_documents: 1, max_events: 20_000, max_nodes: 10_000, max_aliases: 0, max_anchors: 0, max_depth: 16, max_total_scalar_bytes: MAX_BYTES },
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    let mut field = String::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |document| {
        serde_path_to_error::deserialize::<_, Policy>(document).map_err(|error| {
            field = error.path().to_string();
            let inner = error.into_inner();
            match inner.location() {
                Some(_) => inner,
                None => serde_saphyr::Error::custom(inner),
            }
        })
    });
    read.map_err(|error| {
        let location = error.location();
        let said = error.without_snippet().to_string();
        let first = said.lines().next().unwrap_or_default();
        // Where it is stands in front already.
        let what = first.split(" at line ").next().unwrap_or(first).to_owned();
        FileError {
            line: location.map_or(0, |place| place.line()),
            column: location.map_or(0, |place| place.column()),
            field: if field == "." { String::new() } else { field },
            what,
        }
    })
}

/// Writes a policy as YAML that reads back, a key a line so that people can edit it.
#[must_use]
pub fn write(policy: &Policy) -> String {
    let mut text = String::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(policy) {
        block(&fields, 0, &mut text);
    }
    text
}

/// The fields of an object, each on a line of its own. Text is quoted as JSON does it, which is YAML.
fn block(fields: &Map<String, Value>, depth: usize, text: &mut String) {
    for (name, value) in fields {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{indent}{name}:\n"));
                block(inner, depth + 1, text);
            }
            Value::String(word) if is_plain(word) => text.push_str(&format!("{indent}{name}: {word}\n")),
            value => text.push_str(&format!("{indent}{name}: {value}\n")),
        }
    }
}

/// A text that is itself without quotes: no number, no word with a meaning, nothing that YAML marks.
fn is_plain(word: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let meant = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    word.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && word.bytes().all(rest)
        && !meant.contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::policy::Ttl;

    const EXAMPLE: &str = r#"apiVersion: apisec-top/1
kind: Policy
metadata: {name: stop-enumeration}
spec:
  scope: {endpoint: {service: "orders", method: GET, path: "/api/admin/{any}", from: "cart"}}   # a comment
  backend: ebpf
  ttl: 15m
  reason: "finding 17"
"#;

    #[test]
    fn the_example_reads_and_reads_back() {
        let policy = parse(EXAMPLE).unwrap();
        assert_eq!(policy.describe(), "GET /api/admin/{any} at orders from cart");
        assert_eq!(policy.spec.ttl, Ttl::Seconds(900));
        assert_eq!(parse(&write(&policy)).unwrap(), policy);
        let shown = write(&policy);
        assert!(
            shown.contains("  name: stop-enumeration\n")
                && shown.contains("      path: \"/api/admin/{any}\"\n"),
            "{shown}"
        );
        for reason in ["null", "1", "a: b # c", "\u{1b}[31m \u{e9}\n\t\"'", "- x", "~", "{a}"] {
            let text = EXAMPLE.replace("\"finding 17\"", &serde_json::to_string(reason).unwrap());
            if let Ok(policy) = parse(&text) {
                assert_eq!(parse(&write(&policy)).unwrap(), policy, "{reason}");
            }
        }
    }

    #[test]
    fn what_is_wrong_has_a_line_and_a_field() {
        for (from, to, line, field, what) in [
            ("ttl: 15m", "ttl: 15y", 7, "spec.ttl", "time to live"),
            ("ttl: 15m", "tll: 15m", 7, "spec", "tll"),
            ("/api/admin/{any}", "api", 5, "spec.scope", "is no path"),
            ("backend: ebpf", "backend: magic", 6, "spec.backend", "magic"),
            ("apisec-top/1", "apisec-top/2", 1, "apiVersion", "apisec-top/1"),
            ("name: stop-enumeration", "name: Stop It", 3, "metadata.name", "lower-case"),
            ("ttl: 15m", "ttl: [15m]", 7, "spec.ttl", "string"),
            ("kind: Policy", "kind: Policy\nkind: Policy", 3, "", "kind"),
        ] {
            let error = parse(&EXAMPLE.replace(from, to)).unwrap_err();
            assert!(error.field.starts_with(field), "{to}: {error}");
            assert!(error.what.contains(what), "{to}: {error}");
            assert_eq!(error.line, line, "{to}: {error}");
        }
        assert!(parse(&" ".repeat(MAX_BYTES + 1)).is_err());
        assert!(parse("").is_err());
        assert!(parse("a: &a [*a, *a]").is_err());
    }
}
