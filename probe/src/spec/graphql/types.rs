//! The types of a GraphQL schema as a document: what requests and answers are compared with below the root fields.
//!
//! ```text
//! {"User": {"fields": {"books": {"type": "Book", "is": "[Book!]", "inputs": {"first": {"type": "Int", "required": false}}}}},
//!  "NewUser": {"inputs": {"name": {"type": "String", "required": true}}}, "Role": {"values": ["ADMIN"]},
//!  "": {"roots": {"QUERY": "Query"}}}
//! ```

use apollo_parser::cst::{
    CstNode, Definition, EnumValuesDefinition, FieldsDefinition, InputValueDefinition, Name, Type,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document of these definitions.
pub(super) fn types(definitions: &[Definition], roots: &BTreeMap<&'static str, String>) -> Value {
    let mut all = Map::new();
    for definition in definitions {
        let Some((name, key, members)) = members(definition) else { continue };
        let own = all.entry(name).or_insert_with(|| json!({}));
        match (own.get_mut(key), members) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (_, members) => drop(own.as_object_mut().map(|own| own.insert(key.to_owned(), members))),
        }
    }
    for name in definitions.iter().filter_map(interface) {
        let own = all.get_mut(&name).and_then(Value::as_object_mut);
        own.into_iter().for_each(|own| drop(own.insert("abstract".to_owned(), true.into())));
    }
    all.insert(String::new(), json!({"roots": roots}));
    all.into()
}

/// The name of a type whose objects are of other types.
fn interface(definition: &Definition) -> Option<String> {
    match definition {
        Definition::InterfaceTypeDefinition(own) => text(own.name()),
        _ => None,
    }
}

/// The name of a type, what it has, and those.
fn members(definition: &Definition) -> Option<(String, &'static str, Value)> {
    let (name, key, members) = match definition {
        Definition::ObjectTypeDefinition(own) => {
            (own.name(), "fields", fields(own.fields_definition().as_ref()))
        }
        Definition::ObjectTypeExtension(own) => {
            (own.name(), "fields", fields(own.fields_definition().as_ref()))
        }
        Definition::InterfaceTypeDefinition(own) => {
            (own.name(), "fields", fields(own.fields_definition().as_ref()))
        }
        Definition::InterfaceTypeExtension(own) => {
            (own.name(), "fields", fields(own.fields_definition().as_ref()))
        }
        Definition::EnumTypeDefinition(own) => {
            (own.name(), "values", values(own.enum_values_definition().as_ref()))
        }
        Definition::EnumTypeExtension(own) => {
            (own.name(), "values", values(own.enum_values_definition().as_ref()))
        }
        Definition::InputObjectTypeDefinition(own) => {
            let all = own.input_fields_definition();
            (own.name(), "inputs", inputs(all.iter().flat_map(|all| all.input_value_definitions())))
        }
        Definition::InputObjectTypeExtension(own) => {
            let all = own.input_fields_definition();
            (own.name(), "inputs", inputs(all.iter().flat_map(|all| all.input_value_definitions())))
        }
        _ => return None,
    };
    Some((text(name)?, key, members))
}

fn fields(all: Option<&FieldsDefinition>) -> Value {
    let own = all.into_iter().flat_map(FieldsDefinition::field_definitions).filter_map(|field| {
        let arguments = field.arguments_definition();
        let arguments = arguments.iter().flat_map(|all| all.input_value_definitions());
        let ty = field.ty()?;
        let (kind, _) = named(&ty)?;
        Some((text(field.name())?, json!({"type": kind, "is": written(&ty)?, "inputs": inputs(arguments)})))
    });
    Value::Object(own.collect())
}

fn inputs(all: impl Iterator<Item = InputValueDefinition>) -> Value {
    let own = all.filter_map(|input| {
        let (kind, required) = named(&input.ty()?)?;
        let required = required && input.default_value().is_none();
        Some((text(input.name())?, json!({"type": kind, "required": required})))
    });
    Value::Object(own.collect())
}

fn values(all: Option<&EnumValuesDefinition>) -> Value {
    let own = all.into_iter().flat_map(EnumValuesDefinition::enum_value_definitions);
    own.filter_map(|value| text(value.enum_value()?.name())).map(Value::String).collect()
}

/// The name of a type without its lists, and whether null is none of its values.
fn named(ty: &Type) -> Option<(String, bool)> {
    let mut at = ty.clone();
    let required = matches!(at, Type::NonNullType(_));
    loop {
        at = match at {
            Type::NamedType(own) => return Some((text(own.name())?, required)),
            Type::ListType(own) => own.ty()?,
            Type::NonNullType(own) => match own.named_type() {
                Some(named) => Type::NamedType(named),
                None => Type::ListType(own.list_type()?),
            },
        };
    }
}

/// A type as it is written: `[User!]!`.
fn written(ty: &Type) -> Option<String> {
    Some(match ty {
        Type::NamedType(own) => text(own.name())?,
        Type::ListType(own) => format!("[{}]", written(&own.ty()?)?),
        Type::NonNullType(own) => match own.named_type() {
            Some(named) => format!("{}!", text(named.name())?),
            None => format!("[{}]!", written(&own.list_type()?.ty()?)?),
        },
    })
}

pub(super) fn text(name: Option<Name>) -> Option<String> {
    Some(name?.syntax().first_token()?.text().to_owned())
}
