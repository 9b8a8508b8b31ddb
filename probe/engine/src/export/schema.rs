//! JSON Schema (2020-12, as OpenAPI 3.1 has it) of bodies that were observed, and an example of their shape.
//!
//! Types, forms of text and names of properties; no value of the wire, because none was kept. A property is required when
//! every object that was read whole had it. What could not be told apart (keys that are identifiers, names that were cut)
//! makes the object an open one.

use crate::looks::Look;
use apisec_proto::body::shape::{Formats, Kinds, Place, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Longest key that a shape holds: a key of this length may have been cut.
const CUT_KEY: usize = 64;

/// Forms of text that JSON Schema has a name for, with an example of each.
const FORMATS: [(Formats, &str, &str); 7] = [
    (Formats::UUID, "uuid", "00000000-0000-4000-8000-000000000000"),
    (Formats::DATE, "date", "2000-01-01"),
    (Formats::DATE_TIME, "date-time", "2000-01-01T00:00:00Z"),
    (Formats::EMAIL, "email", "somebody@example.com"),
    (Formats::URI, "uri", "https://example.com/"),
    (Formats::IPV4, "ipv4", "192.0.2.1"),
    (Formats::IPV6, "ipv6", "2001:db8::1"),
];

/// A step from a value to one within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The member of an object.
    Member(&'a str),
    /// Any element of an array.
    Element,
}

/// The steps of a place's path.
pub fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if let Some(after) = rest.strip_prefix("[]") {
            rest = after;
            return Some(Step::Element);
        }
        let key = rest.strip_prefix('.')?;
        let end = key.find(['.', '[']).unwrap_or(key.len());
        let (name, after) = key.split_at_checked(end)?;
        rest = after;
        Some(Step::Member(name))
    })
}

/// Whether a key of a shape is the name of a property, not what stands for many or for one that could not be kept.
#[must_use]
pub fn is_name(key: &str) -> bool {
    !key.is_empty() && key.len() < CUT_KEY && !key.contains(['?', '{'])
}

/// The schema of the bodies of one kind.
#[must_use]
pub fn schema(look: &Look) -> Value {
    let all = look.shape();
    tree(&all).schema(&look.whole, "", all.more())
}

/// A value of the same shape, with nothing of what was observed in it.
#[must_use]
pub fn example(look: &Look) -> Value {
    tree(&look.shape()).example()
}

/// The schema of what stands at one place that holds nothing else, and an example of it.
#[must_use]
pub fn of_place(place: &Place) -> (Value, Value) {
    let node = Node { place: Some(place), ..Node::default() };
    (node.schema(&Shape::default(), "", false), node.example())
}

/// A value with what is within it.
#[derive(Default)]
struct Node<'a> {
    place: Option<&'a Place>,
    members: BTreeMap<&'a str, Node<'a>>,
    element: Option<Box<Node<'a>>>,
}

fn tree(shape: &Shape) -> Node<'_> {
    let mut root = Node::default();
    for place in shape.places() {
        let mut at = &mut root;
        for step in steps(&place.path) {
            at = match step {
                Step::Member(name) => at.members.entry(name).or_default(),
                Step::Element => &mut **at.element.get_or_insert_default(),
            };
        }
        at.place = Some(place);
    }
    root
}

impl Node<'_> {
    /// `whole` are the bodies that were read to their end, `path` where in them this stands.
    fn schema(&self, whole: &Shape, path: &str, more: bool) -> Value {
        let Some(place) = self.place else { return json!({}) };
        let mut schema = Map::new();
        insert_types(&mut schema, place.kinds);
        let form = FORMATS.iter().find(|(form, ..)| *form == place.formats);
        if place.kinds.contains(Kinds::FILE) {
            schema.insert("format".into(), "binary".into());
        } else if let Some((_, name, _)) = form {
            schema.insert("format".into(), (*name).into());
        }
        let classes: Vec<&str> = place.classes.names().collect();
        if !classes.is_empty() {
            schema.insert("x-sensitive".into(), classes.into());
        }
        if place.kinds.contains(Kinds::OBJECT) {
            self.insert_members(&mut schema, whole, path, more);
        }
        if place.kinds.contains(Kinds::ARRAY) {
            let items = self.element.as_ref().map(|items| items.schema(whole, &format!("{path}[]"), more));
            schema.insert("items".into(), items.unwrap_or_else(|| json!({})));
        }
        schema.into()
    }

    fn insert_members(&self, schema: &mut Map<String, Value>, whole: &Shape, path: &str, more: bool) {
        let objects = whole.at(path).map_or(0, |place| place.objects);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, member) in self.members.iter().filter(|(name, _)| is_name(name)) {
            let path = format!("{path}.{name}");
            if objects > 0 && whole.at(&path).is_some_and(|place| place.count >= objects) {
                required.push(Value::from(*name));
            }
            properties.insert((*name).to_owned(), member.schema(whole, &path, more));
        }
        let open = more || properties.len() < self.members.len() || properties.is_empty();
        schema.insert("properties".into(), properties.into());
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        if open {
            schema.insert("additionalProperties".into(), true.into());
        }
    }

    fn example(&self) -> Value {
        let Some(place) = self.place else { return Value::Null };
        let has = |kind| place.kinds.contains(kind);
        if has(Kinds::OBJECT) {
            let named = self.members.iter().filter(|(name, _)| is_name(name));
            return named.map(|(name, member)| ((*name).to_owned(), member.example())).collect();
        }
        if has(Kinds::ARRAY) {
            return self.element.iter().map(|element| element.example()).collect();
        }
        if has(Kinds::STRING) || has(Kinds::FILE) {
            let form = FORMATS.iter().find(|(form, ..)| *form == place.formats);
            return form.map_or("text", |(.., example)| example).into();
        }
        match () {
            () if has(Kinds::INTEGER) => 0.into(),
            () if has(Kinds::NUMBER) => 0.5.into(),
            () if has(Kinds::BOOLEAN) => false.into(),
            () => Value::Null,
        }
    }
}

/// A whole number is a number too.
fn insert_types(schema: &mut Map<String, Value>, kinds: Kinds) {
    let is_said = |word: &&str| !(*word == "integer" && kinds.contains(Kinds::NUMBER));
    let mut names: Vec<&str> =
        kinds.words().filter(is_said).map(|word| if word == "file" { "string" } else { word }).collect();
    names.dedup();
    match names.as_slice() {
        [] => {}
        [one] => drop(schema.insert("type".into(), (*one).into())),
        _ => drop(schema.insert("type".into(), names.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(shape: &mut Shape, path: &str, kind: Kinds, form: Formats) {
        shape.add(path, |place| {
            place.kinds.insert(kind);
            place.formats.insert(form);
            place.count += 1;
            place.objects += u32::from(kind == Kinds::OBJECT);
        });
    }

    fn look() -> Look {
        let mut look = Look { whole_bodies: 2, ..Look::default() };
        let none = Formats::default();
        for _ in 0..2 {
            add(&mut look.whole, "", Kinds::OBJECT, none);
            add(&mut look.whole, ".id", Kinds::STRING, Formats::UUID);
            add(&mut look.whole, ".items", Kinds::ARRAY, none);
            add(&mut look.whole, ".items[]", Kinds::OBJECT, none);
        }
        add(&mut look.whole, ".items[].price", Kinds::NUMBER, none);
        add(&mut look.whole, ".items[].price", Kinds::INTEGER, none);
        add(&mut look.whole, ".by", Kinds::OBJECT, none);
        add(&mut look.whole, ".by.{id}", Kinds::NULL, none);
        look
    }

    #[test]
    fn what_was_seen_is_what_is_documented() {
        let schema = schema(&look());
        assert_eq!(
            schema,
            json!({"type": "object", "required": ["id", "items"], "properties": {
                "by": {"type": "object", "properties": {}, "additionalProperties": true},
                "id": {"type": "string", "format": "uuid"},
                "items": {"type": "array", "items": {"type": "object", "required": ["price"],
                    "properties": {"price": {"type": "number"}}}}}})
        );
    }

    #[test]
    fn an_example_fits_its_schema_and_holds_no_value() {
        let example = example(&look());
        assert_eq!(
            example,
            json!({"by": {}, "id": "00000000-0000-4000-8000-000000000000", "items": [{"price": 0}]})
        );
    }

    #[test]
    fn paths_have_steps() {
        let all: Vec<_> = steps(".a[][].b").collect();
        assert_eq!(all, [Step::Member("a"), Step::Element, Step::Element, Step::Member("b")]);
        assert_eq!(steps("").count(), 0);
        assert!(!is_name("{email}") && !is_name("a?b") && is_name("$ref"));
    }
}
