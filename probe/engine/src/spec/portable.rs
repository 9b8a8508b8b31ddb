//! The schema of one part of an operation on its own, with all that it refers to inside, in the words of JSON Schema 2020-12:
//! for a validator that reads no files and knows nothing of OpenAPI.
//!
//! What a side need not send (`readOnly` in requests, `writeOnly` in answers) is not required of it.

use super::document::{Documents, Node};
use super::{Place, covers};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Values of one schema with all that it refers to; larger ones are not ported.
const MAX_VALUES: usize = 20_000;
/// Levels of nesting between two references.
const MAX_DEPTH: usize = 64;
/// Members that hold values and no schemas, and are kept as they are.
const VALUES: [&str; 2] = ["enum", "const"];
/// Members that say nothing about a value.
const WORDS: [&str; 9] = [
    "default",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "nullable",
    "title",
    "xml",
];
/// Members whose members have names of their own.
const NAMED: [&str; 2] = ["properties", "patternProperties"];

/// Which part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part<'a> {
    /// The body of a request of this media type.
    Request(&'a str),
    /// The body of an answer with this status and media type.
    Answer(u16, &'a str),
    /// A parameter of the query.
    Query(&'a str),
}

impl Documents {
    /// The schema of a part of the operation at a place, where there is one that is not too large.
    #[must_use]
    pub fn portable(&self, place: &Place, part: Part<'_>) -> Option<Value> {
        let item = self.node(place, true)?;
        let operation = self.node(place, false)?;
        let schema = match part {
            Part::Request(media) => self.request(&item, &operation, media),
            Part::Answer(status, media) => self.answer(&operation, status, media),
            Part::Query(name) => self.parameter(&item, &operation, |own| {
                let says = |key, text| own.get(key).and_then(Value::as_str) == Some(text);
                says("in", "query") && says("name", name)
            }),
        }?;
        let needless = if matches!(part, Part::Answer(..)) { "writeOnly" } else { "readOnly" };
        Porter { documents: self, names: HashMap::new(), waiting: Vec::new(), left: MAX_VALUES, needless }
            .port_all(&schema)
    }

    /// What stands at a place, or around it.
    fn node(&self, place: &Place, around: bool) -> Option<Node<'_>> {
        // Places are shown with whole paths, documents have names below their folder.
        let names =
            self.names().filter(|name| *place.file == **name || place.file.ends_with(&format!("/{name}")));
        let name = names.max_by_key(|name| name.len())?;
        let pointer = if around { place.pointer.rsplit_once('/')?.0 } else { &place.pointer };
        self.at(name, pointer)
    }

    fn request<'d>(&'d self, item: &Node<'d>, operation: &Node<'d>, media: &str) -> Option<Node<'d>> {
        match operation.get("requestBody") {
            Some(body) => self.of_media(&self.follow(body).ok()?, media),
            None => {
                self.parameter(item, operation, |own| own.get("in").and_then(Value::as_str) == Some("body"))
            }
        }
    }

    fn answer<'d>(&'d self, operation: &Node<'d>, status: u16, media: &str) -> Option<Node<'d>> {
        let responses = operation.get("responses")?;
        let class = format!("{}XX", status / 100);
        let nearest = [status.to_string(), class.clone(), class.to_lowercase(), "default".to_owned()];
        let response = self.follow(nearest.iter().find_map(|key| responses.get(key))?).ok()?;
        // Swagger 2.0 has one schema for all media types.
        self.of_media(&response, media).or_else(|| response.get("schema"))
    }

    fn of_media<'d>(&'d self, message: &Node<'d>, media: &str) -> Option<Node<'d>> {
        let content = message.get("content")?;
        let mut types = content.members();
        let named = |name: &str| covers(name.split(';').next().unwrap_or_default().trim(), media);
        types.find(|(name, _)| named(&name.to_ascii_lowercase()))?.1.get("schema")
    }

    /// The schema of the parameter that is wanted; the operation's own go before those of the path. Swagger 2.0 writes it
    /// into the parameter.
    fn parameter<'d>(
        &'d self,
        item: &Node<'d>,
        operation: &Node<'d>,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Option<Node<'d>> {
        let lists = [operation.get("parameters"), item.get("parameters")];
        let all = lists.iter().flatten().flat_map(|list| list.items().collect::<Vec<_>>());
        let found = all.filter_map(|own| self.follow(own).ok()).find(|own| is_wanted(own.value))?;
        Some(found.get("schema").unwrap_or(found))
    }
}

/// Takes schemas along, each place once.
struct Porter<'d> {
    documents: &'d Documents,
    /// The numbers of places that are referred to.
    names: HashMap<(&'d str, String), usize>,
    /// Those that are not ported yet, with their numbers.
    waiting: Vec<(usize, Node<'d>)>,
    left: usize,
    needless: &'static str,
}

impl<'d> Porter<'d> {
    fn port_all(mut self, schema: &Node<'d>) -> Option<Value> {
        let mut whole = self.port(schema, 0)?;
        let mut definitions = Map::new();
        while let Some((number, node)) = self.waiting.pop() {
            definitions.insert(number.to_string(), self.port(&node, 0)?);
        }
        if !definitions.is_empty() {
            whole.as_object_mut()?.insert("$defs".to_owned(), definitions.into());
        }
        Some(whole)
    }

    fn port(&mut self, schema: &Node<'d>, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1).filter(|_| depth <= MAX_DEPTH)?;
        let Some(members) = schema.value.as_object() else {
            return Some(json!(schema.value != &Value::Bool(false)));
        };
        if members.contains_key("$ref") {
            return Some(self.refer(schema));
        }
        let mut ported = Map::new();
        for (key, member) in schema.members() {
            if WORDS.contains(&key) || key.starts_with("x-") || key.starts_with('$') {
                continue;
            }
            let value = match member.value {
                value if VALUES.contains(&key) => value.clone(),
                Value::Object(_) if NAMED.contains(&key) => {
                    let all = member
                        .members()
                        .map(|(name, own)| Some((name.to_owned(), self.port(&own, depth + 1)?)));
                    Value::Object(all.collect::<Option<_>>()?)
                }
                Value::Object(_) => self.port(&member, depth + 1)?,
                Value::Array(_) if key == "required" => self.required(schema, member.value),
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    member.items().map(|own| self.port(&own, depth + 1)).collect::<Option<Vec<_>>>()?.into()
                }
                value => value.clone(),
            };
            ported.insert(key.to_owned(), value);
        }
        modernise(schema.value, &mut ported);
        Some(ported.into())
    }

    /// A reference to what is taken along; to anything where it leads nowhere.
    fn refer(&mut self, schema: &Node<'d>) -> Value {
        let Ok(target) = self.documents.follow(schema.clone()) else { return json!({}) };
        let next = self.names.len();
        let number = *self.names.entry((target.file, target.pointer.clone())).or_insert(next);
        if number == next {
            self.waiting.push((number, target));
        }
        json!({"$ref": format!("#/$defs/{number}")})
    }

    fn required(&self, schema: &Node<'d>, names: &Value) -> Value {
        let properties = schema.get("properties");
        let is_needed = |name: &&Value| {
            let own = properties.as_ref().zip(name.as_str()).and_then(|(all, name)| all.get(name));
            let own = own.and_then(|own| self.documents.follow(own).ok());
            own.is_none_or(|own| own.value.get(self.needless) != Some(&Value::Bool(true)))
        };
        names.as_array().into_iter().flatten().filter(is_needed).cloned().collect()
    }
}

/// Says what OpenAPI 3.0 and Swagger 2.0 say in their own words as 2020-12 says it.
fn modernise(schema: &Value, ported: &mut Map<String, Value>) {
    let is_true = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    if is_true("nullable") || is_true("x-nullable") {
        if let Some(Value::String(name)) = ported.get("type") {
            let both = json!([name, "null"]);
            ported.insert("type".to_owned(), both);
        }
        if let Some(Value::Array(values)) = ported.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    for (exclusive, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match ported.get(exclusive) {
            Some(Value::Bool(true)) => {
                if let Some(value) = ported.remove(limit) {
                    ported.insert(exclusive.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) => drop(ported.remove(exclusive)),
            _ => {}
        }
    }
    // A parameter of Swagger 2.0 is its own schema.
    for key in ["in", "name", "collectionFormat", "allowEmptyValue", "readOnly", "writeOnly", "deprecated"] {
        ported.remove(key);
    }
    if ported.get("required").is_some_and(Value::is_boolean) {
        ported.remove("required");
    }
    if ported.get("type") == Some(&json!("file")) {
        ported.remove("type");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Documents {
        let mut documents = Documents::new(
            "api.yaml",
            json!({"openapi": "3.0.3", "paths": {"/a": {
                "parameters": [{"in": "query", "name": "page", "schema": {"type": "integer", "minimum": 1}}],
                "post": {
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "types.yaml#/Node"}}}},
                    "responses": {"2XX": {"content": {"application/*": {"schema": {"$ref": "types.yaml#/Node"}}}}}}}}}),
        );
        documents.add(
            "types.yaml",
            json!({"Node": {"type": "object", "required": ["id", "next", "secret"], "properties": {
                "id": {"type": "string", "readOnly": true, "example": "x"},
                "secret": {"type": "string", "writeOnly": true},
                "age": {"type": "integer", "nullable": true, "minimum": 0, "exclusiveMinimum": true},
                "kind": {"enum": ["a", {"$ref": "is a value"}]},
                "next": {"$ref": "#/Node"}}}}),
        );
        documents
    }

    fn of(part: Part<'_>) -> Option<Value> {
        let place = Place { file: "/srv/specs/api.yaml".into(), pointer: "/paths/~1a/post".into() };
        documents().portable(&place, part)
    }

    #[test]
    fn all_that_is_referred_to_comes_along() {
        let schema = of(Part::Request("application/json")).unwrap();
        assert_eq!(schema["$ref"], "#/$defs/0");
        let node = &schema["$defs"]["0"];
        assert_eq!(node["required"], json!(["next", "secret"]));
        assert_eq!(node["properties"]["age"], json!({"type": ["integer", "null"], "exclusiveMinimum": 0}));
        assert_eq!(node["properties"]["kind"]["enum"][1], json!({"$ref": "is a value"}));
        assert_eq!(node["properties"]["next"], json!({"$ref": "#/$defs/0"}));
        let answer = of(Part::Answer(201, "application/json")).unwrap();
        assert_eq!(answer["$defs"]["0"]["required"], json!(["id", "next"]));
    }

    #[test]
    fn parts_are_found_or_are_not_there() {
        assert_eq!(of(Part::Query("page")).unwrap(), json!({"type": "integer", "minimum": 1}));
        for part in [Part::Query("none"), Part::Request("text/plain"), Part::Answer(404, "application/json")]
        {
            assert_eq!(of(part), None, "{part:?}");
        }
    }

    #[test]
    fn what_is_too_large_stays() {
        let mut deep = json!({});
        (0..200).for_each(|_| deep = json!({"items": deep}));
        let many: Map<String, Value> = (0..MAX_VALUES + 1).map(|n| (n.to_string(), json!({}))).collect();
        for schema in [deep, json!({"properties": many})] {
            let document = json!({"paths": {"/a": {"get": {"responses": {"200": {"content": {"a/b": {"schema": schema}}}}}}}});
            let place = Place { file: "a".into(), pointer: "/paths/~1a/get".into() };
            assert_eq!(Documents::new("a", document).portable(&place, Part::Answer(200, "a/b")), None);
        }
    }
}
