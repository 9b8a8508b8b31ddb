//! What of a GraphQL request is not in the schema, below its root fields: arguments, fields, members of inputs, values of enums.
//!
//! Told is where and what about it, in names of the schema and of the request; of values nothing. The server has accepted the
//! request: what its schema does not have, and the documented one does not either, it does not answer.

use super::answer;
use super::types::text;
use apollo_parser::Parser;
use apollo_parser::cst::{
    self, Argument, Definition, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const MAX_DEPTH: usize = 64;
const MAX_TOKENS: usize = 5_000;
/// Fields, arguments and values of one request that are looked at.
pub(super) const MAX_STEPS: usize = 2_000;
/// Differences of one request that are told.
pub(super) const MAX_TOLD: usize = 16;
/// Longest name that is told.
const MAX_NAME: usize = 64;

/// A request as it was sent.
pub(crate) struct Request<'a> {
    /// The document.
    pub(crate) document: &'a str,
    /// Which of its operations, where it says so.
    pub(crate) operation: Option<&'a str>,
    /// Values of its variables.
    pub(crate) variables: Option<&'a Value>,
    /// What was answered to it.
    pub(crate) data: Option<&'a Value>,
}

/// Where it stands in the schema (`Query.users`, the first of its root fields that is documented), and what differs.
pub(crate) fn differences(types: &Value, request: &Request<'_>) -> Option<(String, BTreeSet<String>)> {
    let tree = Parser::new(request.document).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
    if tree.errors().len() > 0 {
        return None;
    }
    let document = tree.document();
    let operation = chosen(&document, request.operation)?;
    let kind = operation.operation_type().map_or("QUERY", |kind| match kind {
        kind if kind.mutation_token().is_some() => "MUTATION",
        kind if kind.subscription_token().is_some() => "SUBSCRIPTION",
        _ => "QUERY",
    });
    let root = types.get("")?.get("roots")?.get(kind)?.as_str()?;
    let fragments = document.definitions().filter_map(|definition| match definition {
        Definition::FragmentDefinition(own) => Some(own),
        _ => None,
    });
    let mut reader = Reader {
        types,
        variables: request.variables,
        fragments: fragments.collect(),
        spreading: Vec::new(),
        left: MAX_STEPS,
        found: BTreeSet::new(),
        asked: BTreeSet::new(),
    };
    let asked = operation.selection_set()?;
    reader.selections(&asked, root, 0);
    if let Some(data) = request.data {
        let told = answer::differences(types, &reader.fragments, (&asked, root), data);
        reader.found.extend(told);
    }
    let first = reader.asked.iter().find(|name| {
        types.get(root).is_some_and(|own| own.get("fields").is_some_and(|all| all.get(*name).is_some()))
    })?;
    Some((format!("{root}.{first}"), reader.found))
}

fn chosen(document: &Document, name: Option<&str>) -> Option<OperationDefinition> {
    let mut all = document.definitions().filter_map(|definition| match definition {
        Definition::OperationDefinition(own) => Some(own),
        _ => None,
    });
    match name {
        Some(name) => all.find(|own| text(own.name()).as_deref() == Some(name)),
        None => all.next(),
    }
}

struct Reader<'a> {
    types: &'a Value,
    variables: Option<&'a Value>,
    fragments: Vec<FragmentDefinition>,
    /// Names of the fragments around.
    spreading: Vec<String>,
    left: usize,
    found: BTreeSet<String>,
    /// Root fields.
    asked: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn step(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    fn tell(&mut self, what: String) {
        if self.found.len() < MAX_TOLD {
            self.found.insert(what);
        }
    }

    fn selections(&mut self, set: &SelectionSet, on: &str, depth: usize) {
        for selection in set.selections() {
            if !self.step() {
                return;
            }
            match selection {
                Selection::Field(field) => self.field(&field, on, depth),
                Selection::InlineFragment(own) => {
                    let condition = own.type_condition().and_then(|own| text(own.named_type()?.name()));
                    if let Some(set) = own.selection_set() {
                        self.selections(&set, condition.as_deref().unwrap_or(on), depth);
                    }
                }
                Selection::FragmentSpread(own) => {
                    let name = own.fragment_name().and_then(|own| text(own.name()));
                    name.into_iter().for_each(|name| self.spread(name, depth));
                }
            }
        }
    }

    fn spread(&mut self, name: String, depth: usize) {
        let is_it = |own: &&FragmentDefinition| {
            own.fragment_name().and_then(|own| text(own.name())).as_deref() == Some(&name)
        };
        let Some(fragment) = self.fragments.iter().find(is_it).cloned() else { return };
        let condition = fragment.type_condition().and_then(|own| text(own.named_type()?.name()));
        if self.spreading.contains(&name) {
            return;
        }
        if let Some((set, on)) = fragment.selection_set().zip(condition) {
            self.spreading.push(name);
            self.selections(&set, &on, depth);
            self.spreading.pop();
        }
    }

    fn field(&mut self, field: &cst::Field, on: &str, depth: usize) {
        let Some(name) = text(field.name()).filter(|name| is_told(name)) else { return };
        let Some(fields) = self.types.get(on).and_then(|own| own.get("fields")) else { return };
        if depth == 0 {
            self.asked.insert(name.clone());
        }
        let Some(own) = fields.get(&name) else { return self.tell(format!("field {on}.{name}")) };
        let arguments: Vec<Argument> = field.arguments().iter().flat_map(|all| all.arguments()).collect();
        self.arguments(&format!("{on}.{name}"), own, &arguments);
        let kind = own.get("type").and_then(Value::as_str);
        if let Some((set, kind)) = field.selection_set().zip(kind) {
            self.selections(&set, kind, depth + 1);
        }
    }

    fn arguments(&mut self, place: &str, own: &'a Value, sent: &[Argument]) {
        let Some(inputs) = own.get("inputs").and_then(Value::as_object) else { return };
        let mut names = BTreeSet::new();
        for argument in sent {
            let Some(name) = text(argument.name()).filter(|name| is_told(name)) else { continue };
            match inputs.get(&name) {
                Some(input) => {
                    let value = argument.value();
                    value.into_iter().for_each(|value| self.value(&value, input));
                }
                None => self.tell(format!("argument {place}({name})")),
            }
            names.insert(name);
        }
        for name in required(inputs).filter(|name| !names.contains(*name)) {
            self.tell(format!("no argument {place}({name})"));
        }
    }

    /// A value as it stands in the document.
    fn value(&mut self, value: &cst::Value, input: &'a Value) {
        let Some(kind) = input.get("type").and_then(Value::as_str).filter(|_| self.step()) else { return };
        let own = self.types.get(kind);
        match value {
            cst::Value::Variable(variable) => {
                let name = text(variable.name());
                let sent = name.and_then(|name| self.variables?.get(name));
                sent.into_iter().for_each(|sent| self.sent(sent, kind));
            }
            cst::Value::EnumValue(value) => {
                text(value.name()).into_iter().for_each(|name| self.member(kind, &name));
            }
            cst::Value::ListValue(list) => list.values().for_each(|value| self.value(&value, input)),
            cst::Value::ObjectValue(object) => {
                let Some(inputs) = own.and_then(|own| own.get("inputs")?.as_object()) else { return };
                let mut names = BTreeSet::new();
                for field in object.object_fields() {
                    let Some(name) = text(field.name()).filter(|name| is_told(name)) else { continue };
                    match inputs.get(&name) {
                        Some(input) => {
                            let value = field.value();
                            value.into_iter().for_each(|value| self.value(&value, input));
                        }
                        None => self.tell(format!("input {kind}.{name}")),
                    }
                    names.insert(name);
                }
                self.lacking(kind, inputs, |name| names.contains(name));
            }
            _ => {}
        }
    }

    /// A value of a variable.
    fn sent(&mut self, value: &Value, kind: &str) {
        if !self.step() {
            return;
        }
        match value {
            Value::Array(all) => all.iter().for_each(|value| self.sent(value, kind)),
            Value::String(name) => self.member(kind, name),
            Value::Object(members) => {
                let types: &'a Value = self.types;
                let Some(inputs) = types.get(kind).and_then(|own| own.get("inputs")?.as_object()) else {
                    return;
                };
                for (name, value) in members.iter().filter(|(name, _)| is_told(name)) {
                    match inputs.get(name).and_then(|input| input.get("type")?.as_str()) {
                        Some(kind) => self.sent(value, kind),
                        None => self.tell(format!("input {kind}.{name}")),
                    }
                }
                self.lacking(kind, inputs, |name| members.contains_key(name));
            }
            _ => {}
        }
    }

    fn member(&mut self, kind: &str, name: &str) {
        let values = self.types.get(kind).and_then(|own| own.get("values")?.as_array());
        if values.is_some_and(|all| !all.iter().any(|known| known.as_str() == Some(name))) {
            self.tell(format!("enum {kind} is none of the documented values"));
        }
    }

    fn lacking(&mut self, kind: &str, inputs: &Map<String, Value>, has: impl Fn(&str) -> bool) {
        for name in required(inputs).filter(|name| !has(name)) {
            self.tell(format!("no input {kind}.{name}"));
        }
    }
}

fn required(inputs: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let needed = inputs.iter().filter(|(_, input)| input.get("required") == Some(&Value::Bool(true)));
    needed.map(|(name, _)| name.as_str())
}

/// What is part of GraphQL itself is not told, nor what is no name.
pub(super) fn is_told(name: &str) -> bool {
    name.len() <= MAX_NAME
        && !name.starts_with("__")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::from_bytes;
    use serde_json::json;

    const SCHEMA: &str = "type Query { user(id: ID!, role: Role = USER): User users(filter: Filter): [User!]! }
        type Mutation { add(input: NewUser!): User } interface Node { id: ID! }
        type User implements Node { id: ID! name: String books(first: Int): [Book] } type Book { title: String }
        extend type Book { year: Int } enum Role { USER ADMIN } input NewUser { name: String! role: Role tags: [Tag] }
        input Tag { key: String! } input Filter { role: Role }";

    fn told(document: &str, variables: &Value) -> Vec<String> {
        let given = from_bytes("a.graphql", SCHEMA.as_bytes());
        let documents = given.documents.unwrap();
        let request = Request { document, operation: None, variables: Some(variables), data: None };
        differences(documents.value(), &request).unwrap().1.into_iter().collect()
    }

    #[test]
    fn what_is_in_the_schema_is_no_difference() {
        let fits = [
            "{ user(id: 7, role: ADMIN) { __typename id ...F books(first: 1) { title year } } } fragment F on User { name }",
            "query A { users { ... on Node { id } } }",
            "mutation { add(input: {name: \"x\", tags: [{key: \"a\"}]}) { id } }",
        ];
        for document in fits {
            assert_eq!(told(document, &json!({})), [""; 0], "{document}");
        }
        let sent = json!({"input": {"name": "x", "role": "USER", "tags": [{"key": "a"}]}});
        assert_eq!(told("mutation ($input: NewUser!) { add(input: $input) { id } }", &sent), [""; 0]);
    }

    #[test]
    fn what_is_not_is_told_without_values() {
        assert_eq!(
            told("{ user(debug: \"hunter2\") { secret books { title(x: 1) } } }", &json!({})),
            [
                "argument Book.title(x)",
                "argument Query.user(debug)",
                "field User.secret",
                "no argument Query.user(id)"
            ]
        );
        assert_eq!(
            told("mutation { add(input: {role: HUNTER2, hidden: 1, tags: [{}]}) { id } }", &json!({})),
            [
                "enum Role is none of the documented values",
                "input NewUser.hidden",
                "no input NewUser.name",
                "no input Tag.key"
            ]
        );
        let sent = json!({"i": {"role": "hunter2", "hidden": "hunter2"}});
        assert_eq!(
            told("mutation A($i: NewUser!) { add(input: $i) { id } }", &sent),
            ["enum Role is none of the documented values", "input NewUser.hidden", "no input NewUser.name"]
        );
    }

    #[test]
    fn what_is_endless_ends_and_what_is_broken_is_left() {
        let given = from_bytes("a.graphql", SCHEMA.as_bytes());
        let documents = given.documents.unwrap();
        let of = |document: &str| {
            let request = Request { document, operation: None, variables: None, data: None };
            differences(documents.value(), &request).map(|(place, found)| (place, found.len()))
        };
        assert_eq!(
            of("{ users { ...F } } fragment F on User { ...F x }"),
            Some(("Query.users".to_owned(), 1))
        );
        assert_eq!(of("{ users {"), None);
        let many = format!("{{ users {{ {} }} }}", (0..1_000).map(|n| format!("f{n} ")).collect::<String>());
        assert_eq!(of(&many), Some(("Query.users".to_owned(), MAX_TOLD)));
        assert_eq!(of("{ secrets { x } }"), None);
    }
}
