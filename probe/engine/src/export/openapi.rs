//! OpenAPI 3.1 of what was observed of a service.
//!
//! Names, types and statuses only: no value was kept, so none can be in it. Loaded back as a specification, every
//! operation in it is active. Left out is what no document can say: calls that the router refused, rows that add up
//! what did not fit, and operations below method and path (GraphQL, JSON-RPC). Bodies have media types, no schemas.

use crate::endpoint::is_refusal;
use crate::limits::{ANY_METHOD, OVERFLOW, UNROUTED};
use crate::snapshot::{EndpointView, Snapshot};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Methods that a path item can have.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// One document per service that answered, by service.
#[must_use]
pub fn documents(snapshot: &Snapshot) -> Vec<(String, Value)> {
    let mut services: BTreeMap<&str, Vec<&EndpointView>> = BTreeMap::new();
    for endpoint in snapshot.endpoints.iter().filter(|endpoint| can_be_documented(endpoint)) {
        services.entry(&endpoint.service).or_default().push(endpoint);
    }
    services
        .into_iter()
        .map(|(service, endpoints)| {
            let named = snapshot.workloads.iter().find(|workload| workload.id == service);
            (service.to_owned(), document(named.map_or(service, |named| &named.name), &endpoints))
        })
        .collect()
}

fn can_be_documented(endpoint: &EndpointView) -> bool {
    let refused = |status: &String| status.parse().is_ok_and(is_refusal);
    let unrouted = endpoint.unanswered == 0 && endpoint.statuses.keys().all(refused);
    let catch_all = [OVERFLOW, UNROUTED].contains(&endpoint.path.as_str()) || endpoint.method == ANY_METHOD;
    endpoint.calls > 0
        && !unrouted
        && !catch_all
        && endpoint.path.starts_with('/')
        && METHODS.contains(&endpoint.method.as_str())
}

fn document(title: &str, endpoints: &[&EndpointView]) -> Value {
    // Paths that differ only in what their parameters are called are the same path.
    let mut paths: BTreeMap<String, Vec<&EndpointView>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(shape(&endpoint.path)).or_default().push(endpoint);
    }
    let mut items = Map::new();
    for same in paths.values() {
        let (path, parameters) = template(same);
        let mut item = Map::new();
        for endpoint in same {
            item.insert(endpoint.method.to_lowercase(), operation(endpoint));
        }
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
        items.insert(path, item.into());
    }
    let hosts: BTreeSet<&String> = endpoints.iter().flat_map(|endpoint| &endpoint.hosts).collect();
    let servers: Vec<Value> = hosts.iter().map(|host| json!({"url": format!("http://{host}")})).collect();
    json!({"openapi": "3.1.0", "info": {"title": title, "version": "observed"}, "servers": servers, "paths": items})
}

/// The path with all its parameters alike.
fn shape(path: &str) -> String {
    let piece = |(at, piece): (usize, &str)| match piece.split_once('}').filter(|_| at > 0) {
        Some((_, after)) => format!("{{}}{after}"),
        None => piece.to_owned(),
    };
    path.split('{').enumerate().map(piece).collect()
}

/// The path with names that OpenAPI allows, and its parameters.
fn template(same: &[&EndpointView]) -> (String, Vec<Value>) {
    let inner = |path: &str| -> Vec<String> {
        path.split('{').skip(1).filter_map(|piece| Some(piece.split_once('}')?.0.to_owned())).collect()
    };
    let all: Vec<Vec<String>> = same.iter().map(|endpoint| inner(&endpoint.path)).collect();
    let first = all.first().cloned().unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for parameter in &first {
        let name = parameter.split(':').next().unwrap_or_default();
        let taken = names.iter().filter(|known| known.trim_end_matches(char::is_numeric) == name).count();
        names.push(if taken == 0 { name.to_owned() } else { format!("{name}{}", taken + 1) });
    }
    let mut path = String::new();
    let mut next = names.iter();
    for (at, piece) in shape(same.first().map_or("", |endpoint| &endpoint.path)).split("{}").enumerate() {
        if at > 0 {
            path.push_str(&format!("{{{}}}", next.next().map_or("value", String::as_str)));
        }
        path.push_str(piece);
    }
    let parameters = names.iter().enumerate().map(|(at, name)| {
        let kinds: BTreeSet<&str> = all.iter().filter_map(|own| own.get(at)).map(String::as_str).collect();
        json!({"name": name, "in": "path", "required": true, "schema": schema(&kinds)})
    });
    (path, parameters.collect())
}

fn schema(kinds: &BTreeSet<&str>) -> Value {
    let mut kinds = kinds.iter();
    match (kinds.next(), kinds.next()) {
        (Some(&"id:int"), None) => json!({"type": "integer"}),
        (Some(&"id:uuid"), None) => json!({"type": "string", "format": "uuid"}),
        (Some(&"date"), None) => json!({"type": "string", "format": "date"}),
        _ => json!({"type": "string"}),
    }
}

fn operation(endpoint: &EndpointView) -> Value {
    let content = |types: &[String]| -> Map<String, Value> {
        types.iter().map(|media| (media.clone(), json!({}))).collect()
    };
    let queries = endpoint.query.iter().map(|name| json!({"name": name, "in": "query", "schema": {}}));
    let mut operation = Map::from_iter([("parameters".to_owned(), queries.collect::<Vec<_>>().into())]);
    if !endpoint.request_types.is_empty() {
        operation.insert("requestBody".into(), json!({"content": content(&endpoint.request_types)}));
    }
    let mut responses = Map::new();
    for status in endpoint.statuses.keys() {
        responses.insert(
            status.clone(),
            json!({"description": "observed", "content": content(&endpoint.response_types)}),
        );
    }
    if responses.is_empty() {
        responses.insert("default".into(), json!({"description": "no answer was seen"}));
    }
    operation.insert("responses".into(), responses.into());
    operation.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::drift::Given;
    use crate::fixture::{CallSpec, call, raw};
    use crate::knowledge::Knowledge;
    use crate::limits::Limits;
    use crate::observe::Observer;
    use crate::snapshot::Drift;
    use crate::spec::{Documents, read};
    use std::sync::Arc;

    #[test]
    fn what_is_exported_and_loaded_back_is_active() {
        let mut observer = Observer::new(Limits::default());
        for (method, path, status) in [
            ("GET", "/users/7", 200),
            ("GET", "/users/0f8fad5b-d9cb-469f-a165-70867728950e", 200),
            ("POST", "/users", 500),
            ("PUT", "/users/7/orders/9", 204),
            ("GET", "/reports/2024-01-31", 200),
            ("GET", "/files/17.json", 200),
            ("GET", "/nothing", 404),
        ] {
            let spec = CallSpec { method, path: path.into(), status: Some(status), ..CallSpec::default() };
            observer.observe(&call(&spec), &raw());
        }
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        known.merge(observer.take_delta(0, 2_000_000_000));
        let exported = documents(&known.snapshot(2_000_000_000));
        let [(service, document)] = exported.as_slice() else { panic!("{exported:#?}") };
        let spec = read(&Documents::new("observed.json", document.clone()));
        assert_eq!(spec.problems, []);
        known.apply(Command::Specify(vec![Given { spec: Arc::new(spec), service: Some(service.clone()) }]));
        let snapshot = known.snapshot(2_000_000_000);
        for row in &snapshot.endpoints {
            let expected = if row.path == "/nothing" { Drift::Unspecified } else { Drift::Active };
            assert_eq!(row.drift, expected, "{} {} {document:#}", row.method, row.path);
            assert_eq!(row.documentation.differences, [""; 0]);
        }
    }
}
