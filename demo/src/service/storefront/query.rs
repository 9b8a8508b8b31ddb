//! Answers GraphQL documents in the shape that they ask for, with made-up values.
//!
//! Reads selections, aliases and arguments; no fragments, no variables, no directives. Depth is bounded here,
//! so that a document cannot break the server: the flaw is that the bound is far too generous.

use crate::random::mix;
use crate::seed;
use serde_json::{Map, Value, json};

/// Deepest nesting that is answered.
const MAX_DEPTH: usize = 64;

/// The data that `document` asks for; `None` when it cannot be read.
pub(super) fn answer(document: &str) -> Option<Value> {
    let begin = document.find('{')?;
    let mut reader = Reader { rest: document.get(begin..)? };
    reader.selection(0)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// `{ field alias: field(arguments) { … } }`, from its first brace to its last.
    fn selection(&mut self, depth: usize) -> Option<Value> {
        self.take('{')?;
        let mut data = Map::new();
        while self.take('}').is_none() {
            let mut name = self.name()?;
            let shown = name;
            if self.take(':').is_some() {
                name = self.name()?;
            }
            let arguments = self.arguments()?;
            let nested = self.peek() == Some('{');
            let value = match (name, nested) {
                _ if depth >= MAX_DEPTH => return None,
                ("login", true) => {
                    self.selection(depth + 1)?;
                    login(arguments)
                }
                (_, true) => self.selection(depth + 1)?,
                (_, false) => leaf(name),
            };
            data.insert(shown.to_owned(), value);
        }
        Some(Value::Object(data))
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        (self.peek()? == wanted).then(|| self.rest = self.rest.get(wanted.len_utf8()..).unwrap_or_default())
    }

    fn name(&mut self) -> Option<&'a str> {
        self.peek()?;
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
        self.rest = rest;
        Some(name)
    }

    /// What stands in parentheses, empty when nothing does.
    fn arguments(&mut self) -> Option<&'a str> {
        if self.take('(').is_none() {
            return Some("");
        }
        let end = self.rest.find(')')?;
        let (arguments, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(arguments)
    }
}

fn leaf(name: &str) -> Value {
    match name {
        "id" | "stock" => json!(mix(name.len() as u64) % 500),
        "priceCents" => json!(1999),
        other => json!(other),
    }
}

/// The token of whoever knows the password; `null` for everybody else.
fn login(arguments: &str) -> Value {
    let right = seed::users().any(|user| {
        arguments.contains(&format!("\"{}\"", seed::email(user)))
            && arguments.contains(&format!("\"{}\"", seed::password(user)))
    });
    if right { json!({"token": "granted"}) } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_answered_in_its_own_shape() {
        let data =
            answer("query Q { a: product(sku: \"BK-1\") { title, related { id } } __typename }").unwrap();
        assert_eq!(
            data,
            json!({"a": {"title": "title", "related": {"id": 200}}, "__typename": "__typename"})
        );
        assert_eq!(answer("{ a(b { }"), None);
        assert_eq!(answer(&"{a".repeat(10_000)), None);
    }

    #[test]
    fn only_the_right_password_logs_in() {
        let tried = |password: &str| {
            answer(&format!(
                "mutation {{ login(email: \"{}\", password: \"{password}\") {{ token }} }}",
                seed::email(1003)
            ))
        };
        assert_eq!(tried("no").unwrap(), json!({"login": null}));
        assert_eq!(tried(&seed::password(1003)).unwrap(), json!({"login": {"token": "granted"}}));
    }
}
