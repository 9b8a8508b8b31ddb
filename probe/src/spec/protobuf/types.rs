//! Messages of Protobuf services as a document: what calls are compared with.
//!
//! ```text
//! {"methods": {"/shop.v1.Cart/Add": ["shop.v1.Item", "shop.v1.Receipt"]},
//!  "messages": {"shop.v1.Item": {"1": {"name": "id", "wire": 2, "kind": "string"}, "2": {"name": "parts", "of": "shop.v1.Part", "wire": 2}}}}
//! ```
//! Names that the files do not define (imports that were not given) are left out: of those nothing is compared.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Levels of messages within messages.
const MAX_DEPTH: usize = 32;

/// The document of these files.
pub(super) fn types(files: &[FileDescriptorProto]) -> Value {
    let mut names = Names::default();
    for file in files {
        names.add(file.package(), &file.message_type, MAX_DEPTH);
        names.enums.extend(file.enum_type.iter().map(|own| join(file.package(), own.name())));
    }
    let (mut methods, mut messages) = (Map::new(), Map::new());
    for file in files {
        describe(&names, file.package(), &file.message_type, MAX_DEPTH, &mut messages);
        for service in &file.service {
            let full = join(file.package(), service.name());
            for method in &service.method {
                let ends = [method.input_type(), method.output_type()];
                let ends = ends.map(|name| names.message(&full, name).map_or(Value::Null, Value::String));
                methods.insert(format!("/{full}/{}", method.name()), json!(ends));
            }
        }
    }
    json!({"methods": methods, "messages": messages})
}

/// All that the files define.
#[derive(Default)]
struct Names {
    messages: BTreeSet<String>,
    enums: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, scope: &str, all: &[DescriptorProto], depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for own in all {
            let full = join(scope, own.name());
            self.enums.extend(own.enum_type.iter().map(|own| join(&full, own.name())));
            self.add(&full, &own.nested_type, depth);
            self.messages.insert(full);
        }
    }

    fn message(&self, scope: &str, name: &str) -> Option<String> {
        find(&self.messages, scope, name)
    }
}

/// The name as it is defined: the innermost scope counts.
fn find(names: &BTreeSet<String>, scope: &str, name: &str) -> Option<String> {
    if let Some(full) = name.strip_prefix('.') {
        return names.get(full).cloned();
    }
    let mut scope = scope;
    loop {
        if let Some(found) = names.get(&join(scope, name)) {
            return Some(found.clone());
        }
        if scope.is_empty() {
            return None;
        }
        scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn describe(
    names: &Names,
    scope: &str,
    all: &[DescriptorProto],
    depth: usize,
    into: &mut Map<String, Value>,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for own in all {
        let full = join(scope, own.name());
        let fields =
            own.field.iter().map(|field| (field.number().to_string(), described(names, &full, field)));
        into.insert(full.clone(), Value::Object(fields.collect()));
        describe(names, &full, &own.nested_type, depth, into);
    }
}

fn described(names: &Names, scope: &str, field: &FieldDescriptorProto) -> Value {
    let mut own = Map::new();
    let mut say = |key: &str, value: Value| own.insert(key.to_owned(), value);
    say("name", field.name().into());
    match field.label() {
        Label::Required => say("required", true.into()),
        Label::Repeated => say("repeated", true.into()),
        Label::Optional => None,
    };
    // In a file that was not linked with its imports a name says only what it is called.
    let kind = match field.r#type {
        Some(_) => Some(field.r#type()),
        None if names.message(scope, field.type_name()).is_some() => Some(Type::Message),
        None => find(&names.enums, scope, field.type_name()).map(|_| Type::Enum),
    };
    let wire = match kind {
        Some(Type::Double | Type::Fixed64 | Type::Sfixed64) => 1,
        Some(Type::Float | Type::Fixed32 | Type::Sfixed32) => 5,
        Some(Type::String | Type::Bytes | Type::Message) => 2,
        Some(Type::Group) => 3,
        Some(_) => 0,
        None => return own.into(),
    };
    say("wire", wire.into());
    match kind {
        Some(Type::String) => say("kind", "string".into()),
        Some(Type::Message) => say("of", names.message(scope, field.type_name()).into()),
        _ => None,
    };
    own.into()
}
