//! Root fields of GraphQL schemas, and whether a call asks for documented ones only.
//!
//! An observed operation is called by its root fields (`orders,users`); a documented one is one field.

use compact_str::CompactString;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Kinds of operations as calls are counted under them.
pub const KINDS: [&str; 3] = ["QUERY", "MUTATION", "SUBSCRIPTION"];

/// Documented root fields with the numbers of their operations, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Fields(BTreeMap<(CompactString, CompactString), u32>);

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// These fields, at least one.
    Documented(SmallVec<[u32; 2]>),
    /// Some field that no schema has.
    Undocumented,
    /// That cannot be told: the schema itself, what the server did not accept, a query that only the server knows.
    Untold,
}

impl Fields {
    /// Adds a field; false when it is there.
    pub fn add(&mut self, kind: &str, name: &str, number: u32) -> bool {
        let before = self.0.len();
        self.0.entry((kind.into(), name.into())).or_insert(number);
        self.0.len() > before
    }

    /// Whether there are none: no schema was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them: kind, name, number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.0.iter().map(|((kind, name), number)| (kind.as_str(), name.as_str(), *number))
    }

    /// What an operation of that kind asks for, by its root fields.
    #[must_use]
    pub fn find(&self, kind: &str, operation: &str) -> Asked {
        // Without a document the method is that of HTTP, and the name one that the client chose.
        if !KINDS.contains(&kind) {
            return Asked::Untold;
        }
        let mut documented = SmallVec::new();
        // Fields beyond those that name the call are a `+`; what was refused is in braces.
        let named = operation
            .split(',')
            .filter(|name| !name.is_empty() && !name.starts_with(['+', '{']) && !name.starts_with("__"));
        for name in named {
            match self.0.get(&(kind.into(), name.into())) {
                Some(number) => documented.push(*number),
                None => return Asked::Undocumented,
            }
        }
        if documented.is_empty() { Asked::Untold } else { Asked::Documented(documented) }
    }
}
