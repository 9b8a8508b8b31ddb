//! The documents of one specification, and the references between them.
//!
//! A reference leads to a place in the same document or in a file beside it that was given. Addresses
//! (`http://…`) are never followed: what a specification says must not make us call anybody.

use super::{MAX_HOPS, Problem};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parsed documents by name. A name is a path below the folder that was given, with `/` between its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    root: String,
    files: BTreeMap<String, Arc<Value>>,
}

/// A value with the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'d> {
    pub(super) file: &'d str,
    pub(super) pointer: String,
    pub(super) value: &'d Value,
}

impl Documents {
    /// A specification in one document.
    #[must_use]
    pub fn new(root: &str, value: impl Into<Arc<Value>>) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::from([(root.to_owned(), value.into())]) }
    }

    /// Adds a document that another one refers to.
    pub fn add(&mut self, name: &str, value: impl Into<Arc<Value>>) {
        self.files.insert(name.to_owned(), value.into());
    }

    /// Whether a document is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Name of the document that was given.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The document that was given.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.files.get(&self.root).map_or(&Value::Null, |value| value)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// What stands at a pointer of a document.
    pub(super) fn at(&self, name: &str, pointer: &str) -> Option<Node<'_>> {
        let (file, document) = self.files.get_key_value(name)?;
        Some(Node { file, pointer: pointer.to_owned(), value: document.pointer(pointer)? })
    }

    pub(super) fn top(&self) -> Option<Node<'_>> {
        let (file, value) = self.files.get_key_value(&self.root)?;
        Some(Node { file, pointer: String::new(), value })
    }

    /// What a node stands for: itself, or what its `$ref` leads to.
    pub(super) fn follow<'d>(&'d self, node: Node<'d>) -> Result<Node<'d>, Problem> {
        let mut at = node;
        for _ in 0..MAX_HOPS {
            let Some(reference) = at.value.get("$ref").and_then(Value::as_str) else { return Ok(at) };
            at = self.look_up(&at, reference).map_err(|what| at.problem(what))?;
        }
        Err(at.problem("references lead in a circle".to_owned()))
    }

    fn look_up<'d>(&'d self, from: &Node<'d>, reference: &str) -> Result<Node<'d>, String> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let (file, document) = if file.is_empty() {
            self.files.get_key_value(from.file)
        } else {
            let name = beside(from.file, file)
                .ok_or_else(|| format!("{} is outside the given folder and not read", shown(reference)))?;
            self.files.get_key_value(&name)
        }
        .ok_or_else(|| format!("{} is not there", shown(reference)))?;
        let pointer = percent_decoded(fragment);
        let value =
            document.pointer(&pointer).ok_or_else(|| format!("{} leads nowhere", shown(reference)))?;
        Ok(Node { file, pointer, value })
    }
}

impl<'d> Node<'d> {
    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(Self { file: self.file, pointer: format!("{}/{}", self.pointer, escaped(key)), value })
    }

    /// All values of an object, by key.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'d str, Self)> + '_ {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(key, value)| {
            let pointer = format!("{}/{}", self.pointer, escaped(key));
            (key.as_str(), Self { file: self.file, pointer, value })
        })
    }

    /// All values of an array.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + '_ {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, value)| Self { file: self.file, pointer: format!("{}/{at}", self.pointer), value })
    }

    pub(super) fn problem(&self, what: String) -> Problem {
        Problem { file: self.file.to_owned(), pointer: self.pointer.clone(), line: None, what }
    }
}

/// The name of the document that `from` calls `path`; `None` when that is no file below the folder.
#[must_use]
pub fn beside(from: &str, path: &str) -> Option<String> {
    if path.contains("://") || path.starts_with('/') || path.contains('\\') {
        return None;
    }
    let path = percent_decoded(path);
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A key as it stands in a JSON pointer.
#[must_use]
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A reference, short enough to be shown.
fn shown(reference: &str) -> String {
    reference.chars().take(200).collect()
}

fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match after {
            [high, low, beyond @ ..] if *byte == b'%' => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high * 16 + low);
                    rest = beyond;
                }
                _ => out.push(*byte),
            },
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stay_below_the_folder() {
        assert_eq!(beside("apis/users.yaml", "common.yaml").as_deref(), Some("apis/common.yaml"));
        assert_eq!(beside("apis/users.yaml", "../types/./id%20.json").as_deref(), Some("types/id .json"));
        for outside in ["../../etc/passwd", "/etc/passwd", "https://example.com/a.yaml", "..", "a\\b"] {
            assert_eq!(beside("apis/users.yaml", outside), None, "{outside}");
        }
    }

    #[test]
    fn references_are_followed_across_files_and_never_for_ever() {
        let root = json!({"a": {"$ref": "b.yaml#/x~1y"}, "c": {"$ref": "#/c"}, "d": {"$ref": "#/none"}});
        let mut documents = Documents::new("a.yaml", root);
        documents.add("b.yaml", json!({"x/y": {"$ref": "#/z"}, "z": 7}));
        let top = documents.top().unwrap();
        let found = documents.follow(top.get("a").unwrap()).unwrap();
        assert_eq!((found.file, found.pointer.as_str(), found.value), ("b.yaml", "/z", &json!(7)));
        assert_eq!(
            documents.follow(top.get("c").unwrap()).unwrap_err().to_string(),
            "a.yaml at /c: references lead in a circle"
        );
        assert!(documents.follow(top.get("d").unwrap()).unwrap_err().what.contains("leads nowhere"));
    }
}
