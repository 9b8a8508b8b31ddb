//! The working specification: what the operator approved of what was observed and not documented.
//!
//! An OpenAPI document per service that grows by one operation with each approval and loses the newest with each undo: every
//! operation bears when it was approved, so that the document is all that has to be remembered.

use super::openapi::{can_be_documented, document, shape};
use crate::snapshot::EndpointView;
use serde_json::{Map, Value, json};

/// When an operation was approved, Unix nanoseconds.
const APPROVED: &str = "x-apisec-approved";
/// The service that the document describes.
const SERVICE: &str = "x-apisec-service";

/// The document with one operation more; `None` when no document can have it. `name` is the service's, `at` is now.
#[must_use]
pub fn approve(known: Option<Value>, name: &str, endpoint: &EndpointView, at: u64) -> Option<Value> {
    if !can_be_documented(endpoint) {
        return None;
    }
    let addition = document(name, &[endpoint]);
    let mut all = known.unwrap_or_else(|| {
        json!({"openapi": "3.1.0", "info": {"title": name, "version": "approved"},
            (SERVICE): endpoint.service, "paths": {}})
    });
    let (path, item) = addition.get("paths")?.as_object()?.iter().next()?;
    let method = endpoint.method.to_lowercase();
    let mut operation = item.get(&method)?.clone();
    operation.as_object_mut()?.insert(APPROVED.into(), at.into());
    let paths = all.get_mut("paths")?.as_object_mut()?;
    // The same path may be there with other names for its parameters.
    let path = paths.keys().find(|known| shape(known) == shape(path)).unwrap_or(path).clone();
    let mut own = Map::new();
    own.extend(item.get("parameters").map(|parameters| ("parameters".to_owned(), parameters.clone())));
    let there = paths.entry(path).or_insert_with(|| own.into());
    there.as_object_mut()?.insert(method, operation);
    if let Some(Value::Object(schemes)) = addition.pointer("/components/securitySchemes") {
        let members = all.as_object_mut()?;
        let components = members.entry("components").or_insert_with(|| json!({"securitySchemes": {}}));
        components.get_mut("securitySchemes")?.as_object_mut()?.extend(schemes.clone());
    }
    Some(all)
}

/// When the newest operation was approved; 0 when there is none.
#[must_use]
pub fn newest(document: &Value) -> u64 {
    operations(document).map(|(_, _, at)| at).max().unwrap_or(0)
}

/// The document without its newest operation, which is named.
#[must_use]
pub fn undo(mut document: Value) -> Option<(String, Value)> {
    let newest = newest(&document);
    let found = operations(&document).find(|(_, _, at)| *at == newest && newest > 0);
    let (path, method) = found.map(|(path, method, _)| (path.to_owned(), method.to_owned()))?;
    let paths = document.get_mut("paths")?.as_object_mut()?;
    let item = paths.get_mut(&path)?.as_object_mut()?;
    item.remove(&method);
    if item.keys().all(|key| key == "parameters") {
        paths.remove(&path);
    }
    Some((format!("{} {path}", method.to_uppercase()), document))
}

/// The service that a document describes.
#[must_use]
pub fn service(document: &Value) -> Option<&str> {
    document.get(SERVICE)?.as_str()
}

/// Path, method and time of every approved operation.
pub fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, u64)> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let members = item.as_object().into_iter().flatten();
        members
            .filter_map(|(method, own)| Some((path.as_str(), method.as_str(), own.get(APPROVED)?.as_u64()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Documents, read};
    use std::collections::BTreeMap;

    fn endpoint(method: &str, path: &str) -> EndpointView {
        EndpointView {
            service: "process:users:80".into(),
            method: method.into(),
            path: path.into(),
            calls: 1,
            statuses: BTreeMap::from([("200".to_owned(), 1)]),
            auth: vec!["jwt".into()],
            ..EndpointView::default()
        }
    }

    #[test]
    fn approvals_add_up_and_are_taken_back_newest_first() {
        let first = approve(None, "users", &endpoint("GET", "/users/{id:int}"), 5).unwrap();
        let second = approve(Some(first.clone()), "users", &endpoint("DELETE", "/users/{id}"), 7).unwrap();
        let spec = read(&Documents::new("working.json", second.clone()));
        assert_eq!((spec.operations.len(), spec.problems.as_slice()), (2, &[][..]));
        assert!(spec.operations.iter().all(|own| own.path == "/users/{id}" && own.secured));
        assert_eq!((service(&second), newest(&second)), (Some("process:users:80"), 7));
        let (name, back) = undo(second).unwrap();
        assert_eq!((name.as_str(), &back), ("DELETE /users/{id}", &first));
        let (_, empty) = undo(back).unwrap();
        assert_eq!(empty["paths"], json!({}));
        assert!(undo(empty).is_none());
    }

    #[test]
    fn what_no_document_can_have_is_refused() {
        assert!(approve(None, "users", &endpoint("SEND", "/socket"), 5).is_none());
    }
}
