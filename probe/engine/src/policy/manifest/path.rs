//! Paths of a policy in the languages of those who match them.

use crate::policy::PathPattern;
use crate::policy::pattern::Part;

/// Templates of Istio (`{*}` is one segment, `{**}` the rest), with and without a slash at the end. `None` for what they
/// cannot hold: bytes that are no text, and the characters that mean something there.
pub(super) fn istio(pattern: &PathPattern) -> Option<Vec<String>> {
    let mut path = String::new();
    for part in pattern.parts() {
        path.push('/');
        match part {
            Part::Any => path.push_str("{*}"),
            Part::Literal(bytes) => {
                let text = str::from_utf8(bytes).ok()?;
                if text.contains(['*', '{', '}', '%', '/', '\\']) || text.chars().any(char::is_control) {
                    return None;
                }
                path.push_str(text);
            }
        }
    }
    Some(if pattern.is_everything() {
        vec!["/*".into()]
    } else if pattern.has_rest() {
        vec![path.clone(), format!("{path}/{{**}}")]
    } else if path.is_empty() {
        vec!["/".into()]
    } else {
        vec![path.clone(), format!("{path}/")]
    })
}

/// A regular expression of a whole path, for a template of the inventory; `None` for rows that are no paths.
pub(super) fn expression(template: &str) -> Option<String> {
    let pattern = PathPattern::of_template(template)?;
    let mut path = String::new();
    for part in pattern.parts() {
        path.push('/');
        match part {
            Part::Any => path.push_str("[^/]+"),
            Part::Literal(bytes) => quote(str::from_utf8(bytes).ok()?, &mut path),
        }
    }
    if pattern.has_rest() {
        path.push_str("(/.*)?");
    } else {
        path.push_str("/?");
    }
    Some(path)
}

/// What means something in a regular expression is taken as it is.
fn quote(text: &str, out: &mut String) {
    for character in text.chars() {
        if !(character.is_alphanumeric() || matches!(character, '-' | '_' | '~')) {
            out.push('\\');
        }
        out.push(character);
    }
}
