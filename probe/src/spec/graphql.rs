//! GraphQL schemas: the root fields are the operations.
//!
//! Errors are problems with lines, and what could be read still counts. A document without a type is a client's query and
//! none of ours. What is below the root fields is kept as a document ([`types`]), for requests and answers to be
//! compared with ([`message`], [`answer`]).

mod answer;
pub(crate) mod message;
mod types;

use super::file::Parsed;
use apisec_engine::drift::fields::KINDS;
use apisec_engine::spec::{Api, MAX_OPERATIONS, MAX_PROBLEMS, Operation, Place, Problem, Spec};
use apollo_parser::Parser;
use apollo_parser::cst::{CstNode, Definition, Directives, FieldDefinition, FieldsDefinition};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Levels of nesting: types of lists of lists and values of directives.
const MAX_DEPTH: usize = 64;
/// Tokens of one schema: the largest public one has about 300,000.
const MAX_TOKENS: usize = 2_000_000;
/// Types that are roots when no schema says otherwise.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// Reads a schema.
pub(super) fn read(name: &str, bytes: &[u8]) -> Parsed {
    let Ok(text) = str::from_utf8(bytes) else { return Parsed::Stranger };
    let tree = Parser::new(text).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
    let definitions: Vec<Definition> = tree.document().definitions().collect();
    if !definitions.iter().any(is_of_a_schema) {
        return Parsed::Stranger;
    }
    let roots = roots(&definitions);
    let mut spec =
        Spec { file: name.to_owned(), format: CompactString::const_new("GraphQL"), ..Spec::default() };
    for definition in &definitions {
        let Some((type_name, fields)) = object(definition) else { continue };
        for kind in roots.iter().filter(|(_, root)| **root == type_name).map(|(kind, _)| *kind) {
            let own =
                fields.field_definitions().filter_map(|field| operation(name, kind, &type_name, &field));
            spec.operations.extend(own);
        }
    }
    spec.operations.truncate(MAX_OPERATIONS);
    let mut errors = tree.errors().map(|error| Problem {
        file: name.to_owned(),
        pointer: String::new(),
        line: Some(line(text, error.index())),
        what: format!("no GraphQL schema: {}", error.message()),
    });
    spec.problems = errors.by_ref().take(MAX_PROBLEMS).collect();
    spec.more_problems = errors.count();
    Parsed::Other(Arc::new(spec), Arc::new(types::types(&definitions, &roots)))
}

fn is_of_a_schema(definition: &Definition) -> bool {
    !matches!(definition, Definition::OperationDefinition(_) | Definition::FragmentDefinition(_))
}

/// The types that hold the operations, by kind.
fn roots(definitions: &[Definition]) -> BTreeMap<&'static str, String> {
    let said = definitions.iter().flat_map(|definition| match definition {
        Definition::SchemaDefinition(own) => own.root_operation_type_definitions().collect::<Vec<_>>(),
        Definition::SchemaExtension(own) => own.root_operation_type_definitions().collect(),
        _ => Vec::new(),
    });
    let said = said.filter_map(|root| {
        let word = root.operation_type()?.syntax().first_token()?.text().to_ascii_uppercase();
        let kind = KINDS.into_iter().find(|kind| *kind == word)?;
        Some((kind, root.named_type()?.syntax().first_token()?.text().to_owned()))
    });
    let said: BTreeMap<&str, String> = said.collect();
    if said.is_empty() { KINDS.into_iter().zip(ROOTS.map(str::to_owned)).collect() } else { said }
}

/// The name and the fields of a type, or of what is added to it.
fn object(definition: &Definition) -> Option<(String, FieldsDefinition)> {
    let (name, fields) = match definition {
        Definition::ObjectTypeDefinition(own) => (own.name(), own.fields_definition()),
        Definition::ObjectTypeExtension(own) => (own.name(), own.fields_definition()),
        _ => return None,
    };
    Some((name?.syntax().first_token()?.text().to_owned(), fields?))
}

fn operation(file: &str, kind: &str, root: &str, field: &FieldDefinition) -> Option<Operation> {
    let name = field.name()?.syntax().first_token()?.text().to_owned();
    Some(Operation {
        api: Api::Graphql,
        method: kind.into(),
        id: name.as_str().into(),
        deprecated: field.directives().is_some_and(|directives| is_deprecated(&directives)),
        bases: [String::new()].into(),
        place: Place { file: file.into(), pointer: format!("{root}.{name}") },
        path: name,
        ..Operation::default()
    })
}

fn is_deprecated(directives: &Directives) -> bool {
    let mut names = directives.directives().filter_map(|own| own.name()?.syntax().first_token());
    names.any(|name| name.text() == "deprecated")
}

/// The line, from 1, of a byte.
pub(super) fn line(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().get(..at.min(text.len())).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Spec> {
        match read("a.graphql", text.as_bytes()) {
            Parsed::Other(spec, _) => Some(Arc::unwrap_or_clone(spec)),
            _ => None,
        }
    }

    fn told(spec: &Spec) -> Vec<String> {
        let told = |own: &Operation| {
            format!("{} {}{}", own.method, own.path, if own.deprecated { " old" } else { "" })
        };
        spec.operations.iter().map(told).collect()
    }

    #[test]
    fn root_fields_are_operations() {
        let spec = of(r#"
            "what there is" type Query { users(first: Int = 3): [User!]! old: ID @deprecated(reason: "gone") }
            type User { id: ID! orders: [Order] }
            extend type Query { orders: [Order] }
            type Mutation { pay(card: String!): Boolean }"#)
        .unwrap();
        assert_eq!(told(&spec), ["QUERY users", "QUERY old old", "QUERY orders", "MUTATION pay"]);
        assert_eq!((spec.problems.len(), spec.operations[0].place.pointer.as_str()), (0, "Query.users"));
    }

    #[test]
    fn a_schema_names_its_roots() {
        let spec =
            of("schema { query: Root } type Root { a: Int } type Query { b: Int } type Mutation { c: Int }");
        assert_eq!(told(&spec.unwrap()), ["QUERY a"]);
    }

    #[test]
    fn what_is_broken_has_a_line_and_the_rest_counts() {
        let spec =
            of("type Query {\n  users: [User]\n  broken(: Int\n}\ntype Mutation { pay: Int }").unwrap();
        assert!(told(&spec).contains(&"QUERY users".to_owned()), "{:?}", told(&spec));
        assert_eq!(spec.problems[0].line, Some(3), "{:?}", spec.problems);
    }

    #[test]
    fn queries_and_other_texts_are_no_schemas() {
        for text in ["query Q { users { id } }", "fragment F on User { id }", "", "hello", "{ users }"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn depth_and_crowds_end() {
        let deep = format!("type Query {{ a: {}Int{} }}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!of(&deep).unwrap().problems.is_empty());
        let many: String = (0..20_000).map(|n| format!("f{n}: Int ")).collect();
        assert_eq!(of(&format!("type Query {{ {many} }}")).unwrap().operations.len(), MAX_OPERATIONS);
    }
}
