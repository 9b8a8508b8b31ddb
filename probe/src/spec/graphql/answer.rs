//! What of an answer is not as its GraphQL schema has it, by the fields that were asked for: nulls, lists, kinds of values,
//! values of enums.
//!
//! Told is which field and what about it; of values nothing. Fields that are not there may have been left out by a directive or
//! a fragment of another type, scalars that are not GraphQL's own may be anything.

use super::message::{MAX_STEPS, MAX_TOLD, is_told};
use super::types::text;
use apollo_parser::cst::{Field, FragmentDefinition, Selection, SelectionSet};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Levels of lists and objects of an answer.
const MAX_DEPTH: usize = 64;

/// The differences of `data`, which answers `asked` of the type `root`.
pub(super) fn differences(
    types: &Value,
    fragments: &[FragmentDefinition],
    (asked, root): (&SelectionSet, &str),
    data: &Value,
) -> BTreeSet<String> {
    let mut reader =
        Reader { types, fragments, spreading: Vec::new(), left: MAX_STEPS, found: BTreeSet::new() };
    if let Some(members) = data.as_object() {
        reader.object(asked, root, members, MAX_DEPTH);
    }
    reader.found
}

struct Reader<'a> {
    types: &'a Value,
    fragments: &'a [FragmentDefinition],
    /// Names of the fragments around.
    spreading: Vec<String>,
    left: usize,
    found: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// The members of an object that were asked for as fields of `on`.
    fn object(&mut self, asked: &SelectionSet, on: &str, members: &Map<String, Value>, depth: usize) {
        for selection in asked.selections() {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return;
            }
            match selection {
                Selection::Field(field) => self.field(&field, on, members, depth),
                Selection::InlineFragment(own) => {
                    let condition = own.type_condition().and_then(|own| text(own.named_type()?.name()));
                    if let Some(asked) = own.selection_set() {
                        self.object(&asked, condition.as_deref().unwrap_or(on), members, depth);
                    }
                }
                Selection::FragmentSpread(own) => {
                    let name = own.fragment_name().and_then(|own| text(own.name()));
                    name.into_iter().for_each(|name| self.spread(name, members, depth));
                }
            }
        }
    }

    fn spread(&mut self, name: String, members: &Map<String, Value>, depth: usize) {
        let is_it = |own: &&FragmentDefinition| {
            own.fragment_name().and_then(|own| text(own.name())).as_deref() == Some(&name)
        };
        let Some(fragment) = self.fragments.iter().find(is_it).filter(|_| !self.spreading.contains(&name))
        else {
            return;
        };
        let condition = fragment.type_condition().and_then(|own| text(own.named_type()?.name()));
        if let Some((asked, on)) = fragment.selection_set().zip(condition) {
            self.spreading.push(name);
            self.object(&asked, &on, members, depth);
            self.spreading.pop();
        }
    }

    fn field(&mut self, field: &Field, on: &str, members: &Map<String, Value>, depth: usize) {
        let Some(name) = text(field.name()).filter(|name| is_told(name)) else { return };
        let key = field.alias().and_then(|alias| text(alias.name())).unwrap_or_else(|| name.clone());
        // Two types of a union may have fields of one name: what the object is goes before what was asked of it.
        let is = members.get("__typename").and_then(Value::as_str).unwrap_or(on);
        if is != on && self.has_fields(is) && self.has_fields(on) && !self.is_abstract(on) {
            return;
        }
        let own = self.types.get(on).and_then(|own| own.get("fields")?.get(&name)?.get("is")?.as_str());
        let Some((is, value)) = own.zip(members.get(&key)) else { return };
        self.value(&format!("{on}.{name}"), is, value, field.selection_set().as_ref(), depth);
    }

    fn has_fields(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|own| own.get("fields").is_some())
    }

    fn is_abstract(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|own| own.get("abstract").is_some())
    }

    /// A value of the type that is written `is`, such as `[User!]!`.
    fn value(&mut self, place: &str, is: &str, value: &Value, asked: Option<&SelectionSet>, depth: usize) {
        let Some(depth) = depth.checked_sub(1).filter(|_| self.left > 0) else { return };
        self.left -= 1;
        let (is, needed) = is.strip_suffix('!').map_or((is, false), |is| (is, true));
        if value.is_null() {
            if needed {
                self.tell(format!("answer {place} is null"));
            }
            return;
        }
        if let Some(element) = is.strip_prefix('[').and_then(|is| is.strip_suffix(']')) {
            match value.as_array() {
                Some(all) => all.iter().for_each(|value| self.value(place, element, value, asked, depth)),
                None => self.tell(format!("answer {place} is no list")),
            }
            return;
        }
        let own = self.types.get(is);
        if let Some(values) = own.and_then(|own| own.get("values")?.as_array()) {
            if !values.contains(value) {
                self.tell(format!("answer {place} is none of the documented values"));
            }
        } else if !is_scalar(is, value) {
            self.tell(format!("answer {place} is {}", word(value)));
        } else if let Some(asked) = asked {
            match value.as_object() {
                Some(members) => self.object(asked, is, members, depth),
                None => self.tell(format!("answer {place} is no object")),
            }
        }
    }

    fn tell(&mut self, what: String) {
        if self.found.len() < MAX_TOLD {
            self.found.insert(what);
        }
    }
}

/// Whether a value is what a scalar of GraphQL is written as (October 2021, §3.5); others may be anything.
fn is_scalar(is: &str, value: &Value) -> bool {
    match is {
        "Int" => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
        "Float" => value.is_number(),
        "String" => value.is_string(),
        "Boolean" => value.is_boolean(),
        "ID" => value.is_string() || value.is_i64() || value.is_u64(),
        _ => true,
    }
}

const fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Request, differences};
    use crate::spec::from_bytes;
    use serde_json::{Value, json};

    const SCHEMA: &str = "type Query { user(id: ID): User users: [User!]! any: Any node: Node }
        interface Node { id: ID! } union Any = User | Book scalar Money
        type User implements Node { id: ID! name: String! age: Int role: Role tags: [String!] score: Float paid: Money }
        type Book { name: Int pages: Int! } enum Role { USER ADMIN }";

    fn told(document: &str, data: &Value) -> Vec<String> {
        let documents = from_bytes("a.graphql", SCHEMA.as_bytes()).documents.unwrap();
        let request = Request { document, operation: None, variables: None, data: Some(data) };
        differences(documents.value(), &request).unwrap().1.into_iter().collect()
    }

    #[test]
    fn what_is_in_the_schema_is_no_difference() {
        let user = json!({"id": "7", "who": "ada", "age": 36, "role": "ADMIN", "tags": ["a"], "score": 1, "paid": {"any": 1}});
        let document = "{ user { id who: name age role tags score paid } }";
        assert_eq!(told(document, &json!({"user": user})), [""; 0]);
        assert_eq!(told(document, &json!({"user": null})), [""; 0]);
        assert_eq!(told(document, &json!({"user": {"id": 7}})), [""; 0], "what is left out proves nothing");
        let any = "{ any { __typename ... on User { name } ... on Book { name } } node { id } }";
        let data = json!({"any": {"__typename": "User", "name": "ada"}, "node": {"id": "1"}});
        assert_eq!(told(any, &data), [""; 0]);
    }

    #[test]
    fn what_is_not_is_told_without_values() {
        let user = json!({"id": null, "who": 7, "age": "hunter2", "role": "HUNTER2", "tags": "hunter2", "score": true});
        assert_eq!(
            told("query { users { id who: name age role tags score } }", &json!({"users": [user]})),
            [
                "answer User.age is string",
                "answer User.id is null",
                "answer User.name is number",
                "answer User.role is none of the documented values",
                "answer User.score is boolean",
                "answer User.tags is no list",
            ]
        );
        assert_eq!(told("{ users { id } }", &json!({"users": {"id": 1}})), ["answer Query.users is no list"]);
        assert_eq!(told("{ user { id } }", &json!({"user": "x"})), ["answer Query.user is no object"]);
        assert_eq!(
            told("{ user { age } }", &json!({"user": {"age": 3_000_000_000_u64}})),
            ["answer User.age is number"]
        );
        let spread = "{ any { __typename ...B } } fragment B on Book { pages ...B }";
        let data = json!({"any": {"__typename": "Book", "pages": "x"}});
        assert_eq!(told(spread, &data), ["answer Book.pages is string"]);
    }

    #[test]
    fn what_is_endless_ends() {
        let mut deep = json!(1);
        (0..100).for_each(|_| deep = json!([deep]));
        assert_eq!(told("{ users { id } }", &json!({"users": deep})).len(), 1);
        let many: Value = (0..100_000).map(|n| json!({"id": null, "n": n})).collect();
        assert_eq!(told("{ users { id } }", &json!({"users": many})), ["answer User.id is null"]);
        assert_eq!(told("{ users { id } }", &json!([1])), [""; 0]);
    }
}
