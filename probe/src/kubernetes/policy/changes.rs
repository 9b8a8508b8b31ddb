//! What differs between two specifications, a line each; and what one lacks of another.

use serde_json::Value;

/// Lines that are shown.
const MAX_LINES: usize = 200;
/// Bytes of a value that are shown.
const MAX_VALUE: usize = 160;

/// What changes from `now` to `then`: `- path: value` for what goes, `+ path: value` for what comes.
pub(super) fn between(now: &Value, then: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk(now, then, "spec", &mut lines);
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn walk(now: &Value, then: &Value, path: &str, lines: &mut Vec<String>) {
    match (now, then) {
        _ if now == then => {}
        (Value::Object(a), Value::Object(b)) if !a.is_empty() && !b.is_empty() => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let side =
                    |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                walk(&side(a), &side(b), &format!("{path}.{key}"), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if !a.is_empty() && !b.is_empty() => {
            for at in 0..a.len().max(b.len()) {
                let side = |list: &[Value]| list.get(at).cloned().unwrap_or(Value::Null);
                walk(&side(a), &side(b), &format!("{path}[{at}]"), lines);
            }
        }
        _ => {
            leaves(now, path, '-', lines);
            leaves(then, path, '+', lines);
        }
    }
}

/// Every value of a tree with its path.
fn leaves(value: &Value, path: &str, sign: char, lines: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), sign, lines));
        }
        Value::Array(list)
            if !list.is_empty() && list.iter().any(|one| one.is_object() || one.is_array()) =>
        {
            list.iter()
                .enumerate()
                .for_each(|(at, value)| leaves(value, &format!("{path}[{at}]"), sign, lines));
        }
        _ => {
            let text: String = value.to_string().chars().take(MAX_VALUE).collect();
            lines.push(super::trouble::plain(&format!("{sign} {path}: {text}")));
        }
    }
}

/// Paths of what `wanted` says and `found` does not.
pub(super) fn missing(wanted: &Value, found: &Value, path: &str) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .flat_map(|(key, value)| {
                missing(value, b.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"))
            })
            .collect(),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(at, (one, two))| missing(one, two, &format!("{path}[{at}]")))
            .collect(),
        // An empty list or object may be left out of what is answered.
        _ if wanted == found || (found.is_null() && (*wanted == Value::Array(Vec::new()))) => Vec::new(),
        _ => vec![path.to_owned()],
    }
}
