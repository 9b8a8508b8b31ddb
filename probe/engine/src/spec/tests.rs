//! Documents of every kind, whole and broken.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn spec(document: Value) -> Spec {
    read(&Documents::new("api.yaml", document))
}

fn names(spec: &Spec) -> Vec<String> {
    spec.operations.iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect()
}

#[test]
fn openapi_3() {
    let spec = spec(json!({
        "openapi": "3.1.0",
        "info": {"title": "shop", "version": 2.5},
        "servers": [{"url": "https://shop.example.com/api"}],
        "security": [{"token": []}],
        "paths": {
            "/users/{user}": {
                "parameters": [{"$ref": "#/components/parameters/User"}, {"name": "q", "in": "query"}],
                "get": {
                    "operationId": "profile", "tags": ["people", "x"],
                    "parameters": [{"name": "q", "in": "query", "required": true}],
                    "responses": {
                        "200": {"content": {"Application/JSON; charset=utf-8": {"schema": {"type": "object"}}}},
                        "4XX": {"$ref": "#/components/responses/Problem"}, "default": {}}},
                "post": {"deprecated": true, "security": [], "servers": [{"url": "/v2"}, {"url": "/"}],
                    "requestBody": {"required": true, "content": {"text/*": {}}}, "responses": {}}},
            "x-internal": 1},
        "components": {
            "schemas": {"Number": {"type": "integer"}},
            "parameters": {"User": {"name": "user", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/Number"}}},
            "responses": {"Problem": {"content": {"application/problem+json": {}}}}}
    }));
    assert_eq!(spec.problems, []);
    assert_eq!(
        (spec.title.as_str(), spec.version.as_str(), spec.format.as_str()),
        ("shop", "2.5", "OpenAPI 3.1")
    );
    assert_eq!(names(&spec), ["GET /users/{user}", "POST /users/{user}"]);
    let [get, post] = spec.operations.as_slice() else { panic!("two operations") };
    assert_eq!((get.id.as_str(), get.owner.as_str()), ("profile", "people"));
    assert_eq!((get.secured, get.deprecated, post.secured, post.deprecated), (true, false, false, true));
    assert_eq!(*get.bases, ["/api"]);
    assert_eq!(*post.bases, ["/v2", ""]);
    assert_eq!(get.parameters[0].fits, Fits::Integer);
    let query = get.parameters.iter().find(|parameter| parameter.name == "q").unwrap();
    assert!(query.required && get.parameters.len() == 2);
    assert!(get.responses[0].content.as_ref().unwrap().allows("application/json"));
    assert!(get.responses[1].status.covers(404) && !get.responses[1].status.covers(500));
    assert!(get.responses[2].content.is_none() && get.responses[2].status.covers(500));
    assert!(post.needs_body && post.request.as_ref().unwrap().allows("text/plain"));
    assert_eq!(get.place.pointer, "/paths/~1users~1{user}/get");
}

#[test]
fn swagger_2() {
    let spec = spec(json!({
        "swagger": "2.0", "info": {"title": "old", "version": "1"},
        "host": "old.example.com:8080", "basePath": "/v1/", "schemes": ["https"],
        "consumes": ["application/json"], "produces": ["application/json", "application/xml"],
        "paths": {"/pets": {
            "get": {"responses": {"200": {"schema": {"$ref": "#/definitions/Pet"}}, "404": {}}},
            "post": {"parameters": [{"name": "pet", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Pet"}}],
                "responses": {"201": {"schema": {}}}, "produces": ["text/plain"]},
            "put": {"parameters": [{"name": "file", "in": "formData", "type": "file"}], "responses": {"default": {}}}}},
        "definitions": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}}
    }));
    assert_eq!(spec.problems, []);
    assert_eq!(spec.servers, [Server { host: "old.example.com:8080".into(), base: "/v1".into() }]);
    assert_eq!(names(&spec), ["GET /pets", "PUT /pets", "POST /pets"]);
    let [get, put, post] = spec.operations.as_slice() else { panic!("three operations") };
    let content = get.responses[0].content.as_ref().unwrap();
    assert!(content.allows("application/xml") && content.outline("application/json").is_some());
    assert!(get.responses[1].content.is_none());
    assert!(post.needs_body && post.request.as_ref().unwrap().allows("application/json"));
    assert!(!post.responses[0].content.as_ref().unwrap().allows("application/json"));
    assert!(put.request.as_ref().unwrap().allows("multipart/form-data"));
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_read() {
    let spec = spec(json!({
        "openapi": "4.0", "info": 7, "servers": "x",
        "paths": {
            "users": {}, "/a": 7, "/b": {"$ref": "#/nowhere"}, "/c": {"$ref": "other.yaml"},
            "/d": {"get": [], "parameters": 3, "post": {"parameters": [{"in": "moon", "name": "x"}, {"in": "query"}],
                "responses": {"2000": {}, "200": {"$ref": "#/paths/~1d/post/responses/200"}}, "requestBody": {"content": []}}},
            "/good": {"get": {"responses": {"200": {}}}}}
    }));
    assert_eq!(names(&spec), ["POST /d", "GET /good"]);
    let places: Vec<_> = spec.problems.iter().map(|problem| problem.pointer.as_str()).collect();
    let expected = [
        "",
        "/paths/users",
        "/paths/~1a",
        "/paths/~1b",
        "/paths/~1c",
        "/paths/~1d/get",
        "/paths/~1d/parameters",
        "/paths/~1d/post/parameters/0",
        "/paths/~1d/post/parameters/1",
        "/paths/~1d/post/requestBody/content",
        "/paths/~1d/post/responses/200",
        "/paths/~1d/post/responses/2000",
    ];
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{:#?}", spec.problems);
}

#[test]
fn no_paths_is_a_problem_but_webhooks_alone_are_not() {
    assert_eq!(spec(json!({"openapi": "3.1.0"})).problems.len(), 1);
    assert_eq!(spec(json!({"openapi": "3.1.0", "webhooks": {}})).problems, []);
    assert_eq!(spec(json!([])).problems.len(), 1);
}

#[test]
fn bounds_hold() {
    let mut paths = serde_json::Map::new();
    for number in 0..MAX_OPERATIONS + 10 {
        paths.insert(format!("/p{number}"), json!({"get": {}}));
    }
    for number in 0..MAX_PROBLEMS + 10 {
        paths.insert(format!("broken{number}"), json!({}));
    }
    let spec = spec(json!({"openapi": "3.0.3", "paths": paths}));
    assert_eq!(spec.operations.len(), MAX_OPERATIONS);
    assert_eq!(spec.problems.len(), MAX_PROBLEMS);
    assert!(spec.more_problems > 10);
}

/// Any JSON at all, with the keys that matter here.
fn document() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "openapi",
        "swagger",
        "paths",
        "/a/{b}",
        "/c",
        "get",
        "post",
        "parameters",
        "responses",
        "200",
        "default",
        "content",
        "application/json",
        "schema",
        "$ref",
        "allOf",
        "oneOf",
        "properties",
        "items",
        "servers",
        "url",
        "variables",
        "requestBody",
        "in",
        "name",
        "required",
        "security",
        "tags",
        "type",
        "components",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec![
            "#",
            "#/paths",
            "#/paths/~1c",
            "query",
            "3.0.0",
            "2.0",
            "b.yaml#/x",
            "/{a}",
            "é"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 128, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_is_too_strange(mut root in document(), paths in document()) {
        if let Value::Object(root) = &mut root {
            root.insert("paths".into(), json!({"/a/{b}": paths.clone(), "/c": paths}));
        }
        let spec = spec(root);
        prop_assert!(spec.problems.len() <= MAX_PROBLEMS && spec.operations.len() <= 18);
        prop_assert!(spec.operations.iter().all(|operation| !operation.bases.is_empty()));
    }
}
