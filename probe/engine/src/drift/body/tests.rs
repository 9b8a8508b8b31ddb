//! Every kind of difference, what is none, and that what we document ourselves never is one.

use super::*;
use crate::export::schema;
use crate::looks::Looks;
use crate::spec::{Documents, read};
use apisec_proto::body::{Bodies, Body, form_of};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// The shape of a document, as the decoder makes it.
fn shape(value: &Value, path: &str, shape: &mut Shape) {
    let kind = match value {
        Value::Null => Seen::NULL,
        Value::Bool(_) => Seen::BOOLEAN,
        Value::Number(number) if number.is_f64() => Seen::NUMBER,
        Value::Number(_) => Seen::INTEGER,
        Value::String(_) => Seen::STRING,
        Value::Array(_) => Seen::ARRAY,
        Value::Object(_) => Seen::OBJECT,
    };
    shape.add(path, |place| {
        place.kinds.insert(kind);
        place.count += 1;
        place.objects += u32::from(value.is_object());
        if let Some(text) = value.as_str() {
            place.formats.insert(form_of(text.as_bytes()));
            place.longest = place.longest.max(text.len() as u32);
        }
    });
    for item in value.as_array().into_iter().flatten() {
        self::shape(item, &format!("{path}[]"), shape);
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        self::shape(member, &format!("{path}.{key}"), shape);
    }
}

fn body(value: &Value, whole: bool) -> Body {
    let mut body = Body { format: Format::Json, whole, ..Body::default() };
    shape(value, "", &mut body.shape);
    body
}

fn stats(status: u16, request: Option<Body>, response: Option<Body>) -> EndpointStats {
    let mut looks = Looks::default();
    looks.add(Some(status), &Bodies { request, response, query: None });
    EndpointStats { looks: Some(Arc::new(looks)), ..EndpointStats::default() }
}

fn operation(request: &Value, answer: &Value) -> Operation {
    let document = json!({"openapi": "3.1.0", "paths": {"/a": {"post": {
        "requestBody": {"content": {"application/json": {"schema": request}}},
        "responses": {"200": {"content": {"application/json": {"schema": answer}}}, "default": {
            "content": {"application/json": {"schema": {"type": "object", "required": ["title"], "properties": {"title": {}}}}}}}}}}});
    let spec = read(&Documents::new("a", document));
    assert_eq!(spec.problems, []);
    spec.operations[0].clone()
}

fn user() -> Value {
    json!({"type": "object", "required": ["id", "name"], "properties": {
        "id": {"type": "string", "format": "uuid", "readOnly": true},
        "name": {"type": "string", "maxLength": 2},
        "secret": {"type": "string", "writeOnly": true},
        "role": {"enum": ["user", "admin"]},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}}}})
}

fn of_answer(value: &Value, whole: bool) -> Vec<String> {
    differences(&operation(&user(), &user()), &stats(200, None, Some(body(value, whole))))
}

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

#[test]
fn every_difference_is_told() {
    for (value, expected) in [
        (json!({"id": ID, "name": "a", "role": "user", "age": 3, "tags": [{"k": "v"}]}), &[][..]),
        (json!({"id": ID, "name": "a", "debug": {"sql": 1}}), &["answer 200 has .debug"][..]),
        (json!({"name": "a"}), &["answer 200 lacks .id"][..]),
        (json!({"id": ID, "name": "a", "tags": [{"k": "v"}, {}]}), &["answer 200 lacks .tags[].k"][..]),
        (json!({"id": ID, "name": "a", "age": "3"}), &["answer 200 .age is string"][..]),
        (json!({"id": ID, "name": "a", "age": 3.5}), &["answer 200 .age is number"][..]),
        (json!({"id": ID, "name": null}), &["answer 200 .name is null"][..]),
        (json!({"id": "7", "name": "a"}), &["answer 200 .id is not of the documented form"][..]),
        (json!({"id": ID, "name": "much too long"}), &["answer 200 .name is longer than documented"][..]),
        (
            json!({"id": ID, "name": "a", "role": "superuser"}),
            &["answer 200 .role is longer than documented"][..],
        ),
        (json!([]), &["answer 200 as a whole is array"][..]),
    ] {
        assert_eq!(of_answer(&value, true), expected, "{value}");
    }
}

#[test]
fn what_was_cut_off_is_not_missing() {
    assert_eq!(of_answer(&json!({"name": "a"}), false), [""; 0]);
}

#[test]
fn what_the_server_adds_is_not_asked_of_the_caller() {
    let own = operation(&user(), &user());
    let asked = |value: &Value| differences(&own, &stats(200, Some(body(value, true)), None));
    assert_eq!(asked(&json!({"name": "a", "secret": "s"})), [""; 0]);
    assert_eq!(asked(&json!({"secret": "s", "admin": true})), ["request has .admin", "request lacks .name"]);
}

#[test]
fn refused_requests_and_pages_of_gateways_prove_nothing() {
    let own = operation(&user(), &user());
    let of = |status| {
        differences(
            &own,
            &stats(status, Some(body(&json!({"x": 1}), true)), Some(body(&json!({"error": 1}), true))),
        )
    };
    assert_eq!(of(403), [""; 0]);
    assert_eq!(of(409), ["answer 409 has .error", "answer 409 lacks .title"]);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| Value::from(f64::from(x))),
        "[a-z0-9@.:-]{0,12}".prop_map(Value::from),
        Just(Value::from(ID)),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-e$?{]{1,3}", inner, 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_we_document_ourselves_is_as_documented(values in proptest::collection::vec((values(), any::<bool>()), 1..6)) {
        let mut looks = Looks::default();
        for (value, whole) in &values {
            let body = body(value, *whole);
            looks.add(Some(200), &Bodies { request: Some(body.clone()), response: Some(body), query: None });
        }
        let schemas: Vec<Value> = looks.kept().iter().map(schema::schema).collect();
        let own = operation(&schemas[0], &schemas[1]);
        let stats = EndpointStats { looks: Some(Arc::new(looks)), ..EndpointStats::default() };
        prop_assert_eq!(differences(&own, &stats), Vec::<String>::new(), "{:?}", schemas);
    }
}
