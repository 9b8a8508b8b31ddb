//! What a documented body looks like: kinds and forms of values and names of properties; of the constraints on values
//! those that a shape can break: the forms of text that have a name, and the length of the longest text.
//!
//! `allOf` adds up, `oneOf` and `anyOf` allow any of their branches, a reference is followed in place. Where a
//! bound is reached or a circle closes, the outline is open: everything is allowed there.

use super::document::{Documents, Node};
use apisec_proto::body::form_of;
use apisec_proto::body::shape::Formats;
use compact_str::CompactString;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Levels of nesting that are looked at: deeper ones are hardly ever documented by hand.
const MAX_DEPTH: usize = 6;
/// Values of one body.
const MAX_VALUES: usize = 256;
/// Values of all bodies of one specification, about 8 MiB.
pub(super) const MAX_ALL: usize = 65_536;
/// Properties of one object.
const MAX_PROPERTIES: usize = 256;

/// Kinds of JSON values: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(pub u8);

impl Kinds {
    /// `null`.
    pub const NULL: Self = Self(1);
    /// `true` or `false`.
    pub const BOOLEAN: Self = Self(1 << 1);
    /// A whole number.
    pub const INTEGER: Self = Self(1 << 2);
    /// Any number.
    pub const NUMBER: Self = Self(1 << 3 | 1 << 2);
    /// Text.
    pub const STRING: Self = Self(1 << 4);
    /// A list.
    pub const ARRAY: Self = Self(1 << 5);
    /// An object.
    pub const OBJECT: Self = Self(1 << 6);
    /// Anything.
    pub const ANY: Self = Self(0x7f);

    /// Whether all of `other` are allowed.
    #[must_use]
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" | "file" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::ANY,
        }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return out.write_str("anything");
        }
        let words = [
            (Self::NULL, "null"),
            (Self::BOOLEAN, "boolean"),
            (Self::NUMBER, "number"),
            (Self::INTEGER, "integer"),
            (Self::STRING, "string"),
            (Self::ARRAY, "array"),
            (Self::OBJECT, "object"),
        ];
        let is_said =
            |kinds: &Self| self.allows(*kinds) && !(*kinds == Self::INTEGER && self.allows(Self::NUMBER));
        let said: Vec<&str> =
            words.iter().filter(|(kinds, _)| is_said(kinds)).map(|(_, word)| *word).collect();
        out.write_str(&said.join(" "))
    }
}

/// What a value looks like. Those that look the same are one within a specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outline {
    /// What it may be.
    pub kinds: Kinds,
    /// Its properties, when it is an object.
    pub properties: Properties,
    /// What it holds, when it is a list and that is said.
    pub items: Option<Arc<Outline>>,
    /// Other properties are expected as well.
    pub open: bool,
    /// Forms that a text may have, where that is said.
    pub forms: Option<Formats>,
    /// Bytes of the longest text, where that is said: the longest of an `enum`, or four for each of `maxLength`.
    pub longest: Option<u32>,
}

/// The properties of an object, ascending by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Properties(Box<[(CompactString, Property)]>);

impl Properties {
    /// The property of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Property> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, property)| property)
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(CompactString, Property)> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> BTreeMap<CompactString, Property> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}

impl FromIterator<(CompactString, Property)> for Properties {
    fn from_iter<I: IntoIterator<Item = (CompactString, Property)>>(all: I) -> Self {
        Self(all.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Property {
    /// An object without it is a mistake.
    pub required: bool,
    /// It is in answers only (`readOnly`), or in requests only (`writeOnly`).
    pub only: [bool; 2],
    /// What it looks like.
    pub outline: Arc<Outline>,
}

impl Outline {
    /// Allows everything.
    fn anything() -> Self {
        Self {
            kinds: Kinds::ANY,
            properties: Properties::default(),
            items: None,
            open: true,
            forms: None,
            longest: None,
        }
    }

    /// Asks for what both ask for.
    fn and(&mut self, other: Self) {
        self.kinds = Kinds(self.kinds.0 & other.kinds.0);
        self.open |= other.open && !other.properties.is_empty();
        let mut all = self.properties.take();
        for (name, property) in other.properties.0 {
            let required = property.required;
            let ours = all.entry(name).or_insert(property);
            ours.required |= required;
        }
        self.properties = all.into_iter().collect();
        self.items = self.items.take().or(other.items);
        self.forms = self.forms.or(other.forms);
        self.longest = [self.longest, other.longest].into_iter().flatten().min();
    }

    /// Allows what either allows.
    fn or(&mut self, other: Self) {
        self.kinds = self.kinds.with(other.kinds);
        self.open |= other.open;
        let mut all = self.properties.take();
        for (name, ours) in &mut all {
            ours.required &= other.properties.get(name).is_some_and(|theirs| theirs.required);
        }
        for (name, property) in other.properties.0 {
            all.entry(name).or_insert(Property { required: false, ..property });
        }
        self.properties = all.into_iter().collect();
        self.items = self.items.take().or(other.items);
        self.forms = self.forms.zip(other.forms).map(|(ours, theirs)| Formats(ours.0 | theirs.0));
        self.longest = self.longest.zip(other.longest).map(|(ours, theirs)| ours.max(theirs));
    }
}

/// Reads outlines within the bounds of one specification. One that several bodies refer to is drawn once.
pub(super) struct Artist<'d> {
    documents: &'d Documents,
    drawn: HashMap<(&'d str, String), Option<Arc<Outline>>>,
    /// Each outline once.
    known: HashSet<Arc<Outline>>,
    /// Values that may still be drawn, of all bodies and of this one.
    left: usize,
    body: usize,
}

impl<'d> Artist<'d> {
    pub(super) fn new(documents: &'d Documents) -> Self {
        Self { documents, drawn: HashMap::new(), known: HashSet::new(), left: MAX_ALL, body: 0 }
    }

    fn keep(&mut self, outline: Outline) -> Arc<Outline> {
        if let Some(known) = self.known.get(&outline) {
            return known.clone();
        }
        let new = Arc::new(outline);
        self.known.insert(new.clone());
        new
    }

    /// The outline of a schema; `None` when it says nothing.
    pub(super) fn draw(&mut self, schema: Node<'d>) -> Option<Arc<Outline>> {
        if schema.value.get("$ref").is_none() {
            return self.draw_own(schema);
        }
        let schema = self.documents.follow(schema).ok()?;
        let place = (schema.file, schema.pointer.clone());
        if let Some(drawn) = self.drawn.get(&place) {
            return drawn.clone();
        }
        let drawn = self.draw_own(schema);
        self.drawn.insert(place, drawn.clone());
        drawn
    }

    fn draw_own(&mut self, schema: Node<'d>) -> Option<Arc<Outline>> {
        self.body = MAX_VALUES.min(self.left);
        let before = self.body;
        let outline = self.value(schema, 0);
        self.left -= before - self.body;
        (outline != Outline::anything()).then(|| self.keep(outline))
    }

    fn value(&mut self, schema: Node<'d>, depth: usize) -> Outline {
        if depth > MAX_DEPTH || self.body == 0 {
            return Outline::anything();
        }
        self.body -= 1;
        let Ok(schema) = self.documents.follow(schema) else { return Outline::anything() };
        if !schema.value.is_object() {
            return Outline::anything();
        }
        let mut outline = self.own(&schema, depth);
        for part in schema.get("allOf").iter().flat_map(|parts| parts.items().collect::<Vec<_>>()) {
            let part = self.value(part, depth + 1);
            outline.and(part);
        }
        for key in ["oneOf", "anyOf"] {
            let branches: Vec<Node<'d>> =
                schema.get(key).iter().flat_map(|parts| parts.items().collect::<Vec<_>>()).collect();
            let union =
                branches.into_iter().map(|branch| self.value(branch, depth + 1)).reduce(|mut all, one| {
                    all.or(one);
                    all
                });
            if let Some(union) = union {
                outline.and(union);
            }
        }
        outline
    }

    /// What a schema says without its combinations.
    fn own(&mut self, schema: &Node<'d>, depth: usize) -> Outline {
        let properties = self.properties(schema, depth);
        let items = schema.get("items").map(|items| {
            let outline = self.value(items, depth + 1);
            self.keep(outline)
        });
        let open = match schema.value.get("additionalProperties") {
            Some(Value::Bool(allowed)) => *allowed,
            Some(_) => true,
            // An object of which nothing is said may be anything.
            None => properties.is_empty() && schema.value.get("allOf").is_none(),
        };
        let (forms, longest) = (forms(schema.value), longest(schema.value));
        Outline {
            kinds: kinds(schema.value, !properties.is_empty()),
            properties,
            items,
            open,
            forms,
            longest,
        }
    }

    fn says(&self, node: &Node<'d>, key: &str) -> bool {
        let said = self.documents.follow(node.clone()).ok();
        said.is_some_and(|node| node.value.get(key) == Some(&Value::Bool(true)))
    }

    fn properties(&mut self, schema: &Node<'d>, depth: usize) -> Properties {
        let required: Vec<&str> = schema
            .value
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let Some(all) = schema.get("properties") else { return Properties::default() };
        let members: Vec<_> = all.members().take(MAX_PROPERTIES).collect();
        let property = |(name, node): (&'d str, Node<'d>)| {
            let only = ["readOnly", "writeOnly"].map(|key| self.says(&node, key));
            let outline = self.value(node, depth + 1);
            let outline = self.keep(outline);
            (CompactString::from(name), Property { required: required.contains(&name), only, outline })
        };
        members.into_iter().map(property).collect()
    }
}

fn kinds(schema: &Value, has_properties: bool) -> Kinds {
    let named = match schema.get("type") {
        Some(Value::String(name)) => Kinds::named(name),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .fold(Kinds::default(), |all, name| all.with(Kinds::named(name))),
        _ => match schema.get("const") {
            Some(value) => kind_of(value),
            None => of_enum(schema).unwrap_or(if has_properties { Kinds::OBJECT } else { Kinds::ANY }),
        },
    };
    // OpenAPI 3.0 and the habit of Swagger 2.0.
    let nullable = ["nullable", "x-nullable"].iter().any(|key| schema.get(*key) == Some(&Value::Bool(true)));
    if nullable { named.with(Kinds::NULL) } else { named }
}

/// The form that `format` names, of those that are told apart for certain; or those of the values of an `enum`.
fn forms(schema: &Value) -> Option<Formats> {
    if let Some(texts) = enum_texts(schema) {
        return Some(texts.fold(Formats::default(), |all, text| Formats(all.0 | form_of(text.as_bytes()).0)));
    }
    Some(match schema.get("format")?.as_str()? {
        "uuid" => Formats::UUID,
        "date" => Formats::DATE,
        "date-time" => Formats::DATE_TIME,
        "email" => Formats::EMAIL,
        "ipv4" => Formats::IPV4,
        "ipv6" => Formats::IPV6,
        _ => return None,
    })
}

fn longest(schema: &Value) -> Option<u32> {
    if let Some(texts) = enum_texts(schema) {
        return texts.map(str::len).max().and_then(|longest| u32::try_from(longest).ok());
    }
    let characters = schema.get("maxLength")?.as_u64()?;
    u32::try_from(characters.saturating_mul(4)).ok()
}

/// The texts of an `enum` that has some.
fn enum_texts(schema: &Value) -> Option<impl Iterator<Item = &str>> {
    let values = schema.get("enum")?.as_array()?;
    values.iter().any(Value::is_string).then(|| values.iter().filter_map(Value::as_str))
}

fn of_enum(schema: &Value) -> Option<Kinds> {
    let values = schema.get("enum")?.as_array()?;
    Some(values.iter().fold(Kinds::default(), |all, value| all.with(kind_of(value))))
}

fn kind_of(value: &Value) -> Kinds {
    match value {
        Value::Null => Kinds::NULL,
        Value::Bool(_) => Kinds::BOOLEAN,
        Value::Number(number) if number.is_f64() => Kinds::NUMBER,
        Value::Number(_) => Kinds::INTEGER,
        Value::String(_) => Kinds::STRING,
        Value::Array(_) => Kinds::ARRAY,
        Value::Object(_) => Kinds::OBJECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outline(schemas: Value) -> Arc<Outline> {
        let documents = Documents::new("a", schemas);
        let mut artist = Artist::new(&documents);
        artist.draw(documents.top().unwrap().get("root").unwrap()).unwrap()
    }

    #[test]
    fn combinations_add_up() {
        let drawn = outline(json!({
            "root": {"allOf": [{"$ref": "#/base"}, {"properties": {"b": {"type": ["string", "null"]}}, "required": ["b"]}]},
            "base": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}}));
        let names: Vec<_> = drawn.properties.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(drawn.properties.iter().all(|(_, property)| property.required) && !drawn.open);
        assert!(drawn.properties.get("b").unwrap().outline.kinds.allows(Kinds::NULL));
        let either = outline(json!({"root": {"oneOf": [
            {"type": "object", "required": ["a", "b"], "properties": {"a": {}, "b": {}}},
            {"type": "object", "required": ["a"], "properties": {"a": {}, "c": {}}}]}}));
        let required: Vec<_> = either.properties.iter().filter(|(_, property)| property.required).collect();
        assert_eq!((either.properties.iter().len(), required.len(), required[0].0.as_str()), (3, 1, "a"));
    }

    #[test]
    fn circles_and_crowds_end_open() {
        let tree = outline(json!({"root": {"type": "object", "properties": {
            "left": {"$ref": "#/root"}, "right": {"$ref": "#/root"}}}}));
        let mut depth = 0;
        let mut at = &*tree;
        while let Some(next) = at.properties.get("left") {
            at = &next.outline;
            depth += 1;
        }
        assert!(at.open && depth <= MAX_DEPTH + 1, "{depth}");
    }

    #[test]
    fn old_and_new_nullable_are_the_same() {
        for schema in [
            json!({"type": ["string", "null"]}),
            json!({"type": "string", "nullable": true}),
            json!({"enum": ["a", null]}),
        ] {
            let drawn = outline(json!({"root": schema}));
            assert_eq!(drawn.kinds, Kinds::STRING.with(Kinds::NULL), "{schema}");
        }
    }
}
