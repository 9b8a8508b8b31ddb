//! Values held against the schemas of their operation, by a validator that we did not write.
//!
//! What comes out are words about the schema: which property, and what about it; never a value, nor a key that is not in
//! the schema. Kinds, missing and undocumented properties are not told here: the shapes of all bodies tell them.

use super::fields::Sent;
use super::graphql::message::{self, Request};
use super::protobuf;
use apisec_engine::drift::{Contract, Given};
use apisec_engine::spec::{Api, Documents, Operation, Part, Place, Spec};
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Validators that are kept; when there are more, all are made anew.
const MAX_VALIDATORS: usize = 512;
/// Differences of one message that are told.
const MAX_TOLD: usize = 8;

/// The specifications that values can be compared with.
#[derive(Default)]
pub(crate) struct Examiner {
    books: Vec<(Contract, Arc<Documents>)>,
    /// By specification, operation and part; `None` where there is no schema, or none that can be used.
    validators: HashMap<(usize, u32, String), Option<Arc<Validator>>>,
}

/// One thing to look at.
pub(crate) struct Exhibit<'a> {
    /// Which part of the operation it is.
    pub(crate) part: Part<'a>,
    /// The value.
    pub(crate) value: Value,
}

/// What was found: an operation and what is wrong there.
pub(crate) type Found = (Place, String);

impl Examiner {
    pub(crate) fn new(given: &[Given]) -> Self {
        let readable = given.iter().filter_map(|own| Some((own.spec.clone(), own.documents.clone()?)));
        let books = readable.map(|(spec, documents)| (Contract::of(vec![spec]), documents)).collect();
        Self { books, validators: HashMap::new() }
    }

    /// Whether there is anything to compare with.
    pub(crate) fn is_idle(&self) -> bool {
        self.books.is_empty()
    }

    /// Holds the parts of a call against every specification that documents it: whose it is, is decided elsewhere.
    /// `sent` are the names of a request that was accepted.
    pub(crate) fn examine(
        &mut self,
        method: &str,
        path: &str,
        exhibits: &[Exhibit<'_>],
        sent: Option<&Sent>,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        for book in 0..self.books.len() {
            let Some((number, operation)) = self.operation(book, method, path) else { continue };
            if let Some((spec, sent)) = self.spec(book, number).zip(sent) {
                let told = sent.differences(spec, &operation);
                found.extend(told.into_iter().map(|what| (operation.place.clone(), what)));
            }
            for exhibit in exhibits {
                let Some(validator) = self.validator(book, number, &operation, exhibit.part) else {
                    continue;
                };
                let told = tell(&validator, exhibit);
                found.extend(told.into_iter().map(|what| (operation.place.clone(), what)));
            }
        }
        found
    }

    /// Holds a request against every schema: of those that have its first root field.
    pub(crate) fn examine_graphql(&self, request: &Request<'_>) -> Vec<Found> {
        let mut found = Vec::new();
        for (contract, documents) in self.books_of(Api::Graphql) {
            let Some((pointer, told)) = message::differences(documents.value(), request) else { continue };
            let file = contract.specs().first().map_or("", |spec| spec.file.as_str());
            let place = |what| (Place { file: file.into(), pointer: pointer.clone() }, what);
            found.extend(told.into_iter().map(place));
        }
        found
    }

    /// Holds the messages of a call against every file that has its method.
    pub(crate) fn examine_grpc(
        &self,
        path: &str,
        request: Option<&[u8]>,
        answer: Option<&[u8]>,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        for (contract, documents) in self.books_of(Api::Grpc) {
            let own =
                contract.find("POST", path, true).and_then(|found| contract.operation(found.operation?));
            let Some(operation) = own else { continue };
            for (side, body) in [("request", request), ("answer", answer)] {
                let told =
                    body.map(|body| protobuf::message::differences(documents.value(), path, side, body));
                found.extend(told.into_iter().flatten().map(|what| (operation.place.clone(), what)));
            }
        }
        found
    }

    fn books_of(&self, api: Api) -> impl Iterator<Item = &(Contract, Arc<Documents>)> {
        let is_of = move |contract: &Contract| {
            contract.specs().iter().flat_map(|spec| spec.operations.first()).any(|own| own.api == api)
        };
        self.books.iter().filter(move |(contract, _)| is_of(contract))
    }

    fn spec(&self, book: usize, number: u32) -> Option<&Arc<Spec>> {
        self.books.get(book)?.0.spec_of(number)
    }

    fn operation(&self, book: usize, method: &str, path: &str) -> Option<(u32, Operation)> {
        let (contract, _) = self.books.get(book)?;
        let number = contract.find(method, path, true)?.operation?;
        Some((number, contract.operation(number)?.clone()))
    }

    fn validator(
        &mut self,
        book: usize,
        number: u32,
        operation: &Operation,
        part: Part<'_>,
    ) -> Option<Arc<Validator>> {
        if self.validators.len() >= MAX_VALIDATORS {
            self.validators.clear();
        }
        let (_, documents) = self.books.get(book)?;
        let make = || {
            let schema = documents.portable(&operation.place, part)?;
            // Linear patterns only; one with another pattern compares nothing.
            let options = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .with_pattern_options(PatternOptions::regex())
                .should_validate_formats(false);
            options.build(&schema).ok().map(Arc::new)
        };
        self.validators.entry((book, number, format!("{part:?}"))).or_insert_with(make).clone()
    }
}

fn tell(validator: &Validator, exhibit: &Exhibit<'_>) -> BTreeSet<String> {
    let value = from_text(&exhibit.value, exhibit.part, validator);
    let subject = match exhibit.part {
        Part::Request(_) => "request".to_owned(),
        Part::Answer(status, _) => format!("answer {status}"),
        Part::Query(name) => format!("query {name}"),
    };
    let told = validator.iter_errors(&value).filter_map(|error| {
        let is = words(error.kind(), matches!(exhibit.part, Part::Query(_)))?;
        let place = place(error.evaluation_path().as_str());
        let place = if place.is_empty() { String::new() } else { format!(" {place}") };
        Some(format!("{subject}{place} {is}"))
    });
    told.take(MAX_TOLD).collect()
}

/// Values of a query are text: they are what the schema takes them for.
fn from_text(value: &Value, part: Part<'_>, validator: &Validator) -> Value {
    let Some(text) = value.as_str().filter(|_| matches!(part, Part::Query(_))) else { return value.clone() };
    let read = serde_json::from_str::<Value>(text).ok().filter(|read| !read.is_object() && !read.is_array());
    let list = || {
        Value::Array(
            text.split(',').map(|item| serde_json::from_str(item).unwrap_or_else(|_| item.into())).collect(),
        )
    };
    let texts = || Value::Array(text.split(',').map(Value::from).collect());
    let ways = [Some(value.clone()), read.clone(), Some(list()), Some(texts())];
    ways.into_iter().flatten().find(|way| validator.is_valid(way)).or(read).unwrap_or_else(|| value.clone())
}

/// What is wrong, in words that say nothing of the value. What the shapes of bodies tell is left to them.
fn words(kind: &Kind, is_query: bool) -> Option<&'static str> {
    Some(match kind {
        Kind::Enum { .. } | Kind::Constant { .. } => "is none of the documented values",
        Kind::Pattern { .. } => "does not match the documented pattern",
        Kind::Minimum { .. } | Kind::ExclusiveMinimum { .. } => "is below the documented minimum",
        Kind::Maximum { .. } | Kind::ExclusiveMaximum { .. } => "is above the documented maximum",
        Kind::MultipleOf { .. } => "is not a multiple of what is documented",
        Kind::MinLength { .. } | Kind::MinItems { .. } | Kind::MinProperties { .. } => {
            "is shorter than documented"
        }
        Kind::MaxLength { .. } | Kind::MaxItems { .. } | Kind::MaxProperties { .. } => {
            "is longer than documented"
        }
        Kind::UniqueItems => "has the same item twice",
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "fits none of the documented alternatives",
        Kind::OneOfMultipleValid { .. } => "fits several of the documented alternatives",
        Kind::Not { .. } => "is what the document excludes",
        Kind::Type { .. } if is_query => "is not of the documented type",
        _ => return None,
    })
}

/// The property that a way through a schema leads to: `.tags[].k` of `/properties/tags/items/$ref/properties/k/enum`.
fn place(way: &str) -> String {
    let mut place = String::new();
    let mut steps = way.split('/').skip(1);
    while let Some(step) = steps.next() {
        match step {
            "properties" => {
                let name = steps.next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
                place.push('.');
                place.push_str(&name);
            }
            "items" | "contains" | "unevaluatedItems" => place.push_str("[]"),
            "prefixItems" => {
                let _index = steps.next();
                place.push_str("[]");
            }
            "additionalProperties" | "unevaluatedProperties" => place.push_str(".{key}"),
            "patternProperties" => {
                let _pattern = steps.next();
                place.push_str(".{key}");
            }
            "allOf" | "anyOf" | "oneOf" => drop(steps.next()),
            _ => {}
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::spec::read;
    use serde_json::json;

    fn examiner() -> Examiner {
        let role = json!({"type": "object", "properties": {
            "role": {"enum": ["user", "admin"]}, "age": {"type": "integer", "minimum": 0},
            "code": {"type": "string", "pattern": "^[A-Z]{2}$"}, "ids": {"type": "array", "uniqueItems": true},
            "by": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 2}},
            "tags": {"type": "array", "items": {"$ref": "#/components/schemas/Tag"}}}});
        let document = json!({"openapi": "3.0.3", "paths": {"/users/{id}": {"post": {
            "parameters": [{"in": "query", "name": "page", "schema": {"type": "integer", "maximum": 9}},
                {"in": "query", "name": "sort", "schema": {"type": "array", "items": {"enum": ["name", "age"]}}}],
            "requestBody": {"content": {"application/json": {"schema": role}}},
            "responses": {"200": {"content": {"application/json": {"schema": {"oneOf": [{"type": "string"}, {"type": "boolean"}]}}}}}}}},
            "components": {"schemas": {"Tag": {"type": "object", "properties": {"k": {"enum": ["a"]}}}}}});
        let documents = Arc::new(Documents::new("a", document));
        let spec = Arc::new(read(&documents));
        Examiner::new(&[Given { spec, documents: Some(documents), ..Given::default() }])
    }

    fn told(part: Part<'_>, value: Value) -> Vec<String> {
        let found = examiner().examine("POST", "/users/7", &[Exhibit { part, value }], None);
        found.into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn what_shapes_cannot_tell_is_told_without_the_value() {
        let asked = |value: Value| told(Part::Request("application/json"), value);
        let value = json!({"role": "hunter2", "age": -1, "code": "hunter2", "ids": [1, 1], "by": {"hunter2": "hunter2"},
            "tags": [{"k": "a"}, {"k": "hunter2"}]});
        assert_eq!(
            asked(value),
            [
                "request .age is below the documented minimum",
                "request .by.{key} is longer than documented",
                "request .code does not match the documented pattern",
                "request .ids has the same item twice",
                "request .role is none of the documented values",
                "request .tags[].k is none of the documented values",
            ]
        );
        assert_eq!(
            asked(json!({"role": "user", "age": 3, "code": "DE", "ids": [1, 2], "extra": 1})),
            [""; 0]
        );
        assert_eq!(asked(json!({"age": "three"})), [""; 0], "kinds are told by the shapes");
        let answered = told(Part::Answer(200, "application/json"), json!(7));
        assert_eq!(answered, ["answer 200 fits none of the documented alternatives"]);
    }

    #[test]
    fn queries_are_what_their_schema_takes_them_for() {
        let query = |name, text: &str| told(Part::Query(name), text.into());
        assert_eq!(query("page", "7"), [""; 0]);
        assert_eq!(query("page", "11"), ["query page is above the documented maximum"]);
        assert_eq!(query("page", "abc"), ["query page is not of the documented type"]);
        assert_eq!(query("sort", "name,age"), [""; 0]);
        assert_eq!(query("sort", "name,hunter2"), ["query sort is not of the documented type"]);
        assert_eq!(query("other", "x"), [""; 0]);
    }

    #[test]
    fn other_operations_and_unusable_patterns_compare_nothing() {
        let mut examiner = examiner();
        let exhibit = || [Exhibit { part: Part::Request("application/json"), value: json!({"role": 1}) }];
        assert_eq!(examiner.examine("GET", "/users/7", &exhibit(), None), []);
        let look = json!({"type": "string", "pattern": "(?<=a)b"});
        let document = json!({"openapi": "3.1.0", "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": look}}}}}}});
        let documents = Arc::new(Documents::new("a", document));
        let given =
            Given { spec: Arc::new(read(&documents)), documents: Some(documents), ..Given::default() };
        let found = Examiner::new(&[given]).examine("POST", "/a", &exhibit(), None);
        assert_eq!(found, []);
    }
}
