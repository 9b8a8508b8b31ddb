//! OpenAPI 3.1 of what was observed of a service.
//!
//! Names, types and statuses only: no value was kept, so none can be in it. Loaded back as a specification, every
//! operation in it is active. Bodies have schemas where any was read, and examples that have their shape. Left out is what
//! no document can say: calls that the router refused, rows that add up what did not fit, and operations below method and
//! path (GraphQL, JSON-RPC).

use super::schema::{example, of_place, schema as body_schema};
use crate::endpoint::is_refusal;
use crate::limits::{ANY_METHOD, OVERFLOW, UNROUTED};
use crate::looks::{Look, REQUEST};
use crate::snapshot::{EndpointView, Snapshot};
use apisec_proto::body::Format;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Methods that a path item can have.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// How a caller may prove who it is: our word, the scheme's name in the document, and the scheme.
///
/// Which field or cookie carries a key is not kept of a call: a name has to stand there, and the description says so.
fn security_scheme(word: &str) -> Option<(&'static str, Value)> {
    let unnamed = "the name was not recorded: a placeholder";
    Some(match word {
        "basic" => ("basic", json!({"type": "http", "scheme": "basic"})),
        "bearer" => ("bearer", json!({"type": "http", "scheme": "bearer"})),
        "jwt" => ("jwt", json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})),
        "apikey" => {
            ("apiKey", json!({"type": "apiKey", "in": "header", "name": "X-API-Key", "description": unnamed}))
        }
        "cookie" => {
            ("session", json!({"type": "apiKey", "in": "cookie", "name": "session", "description": unnamed}))
        }
        "other" => (
            "other",
            json!({"type": "apiKey", "in": "header", "name": "Authorization", "description": "another scheme"}),
        ),
        _ => return None,
    })
}

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

/// Whether an OpenAPI document can have it.
#[must_use]
pub fn can_be_documented(endpoint: &EndpointView) -> bool {
    let refused = |status: &String| status.parse().is_ok_and(is_refusal);
    let unrouted = endpoint.unanswered == 0 && endpoint.statuses.keys().all(refused);
    let catch_all = [OVERFLOW, UNROUTED].contains(&endpoint.path.as_str()) || endpoint.method == ANY_METHOD;
    endpoint.calls > 0
        && !unrouted
        && !catch_all
        && endpoint.path.starts_with('/')
        && METHODS.contains(&endpoint.method.as_str())
}

/// The document of a service that is called `title`.
pub(super) fn document(title: &str, endpoints: &[&EndpointView]) -> Value {
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
    let encrypted = endpoints.iter().all(|endpoint| endpoint.carriage.encrypted == endpoint.calls);
    let scheme = if encrypted { "https" } else { "http" };
    let servers: Vec<Value> = hosts.iter().map(|host| json!({"url": format!("{scheme}://{host}")})).collect();
    let mut document =
        json!({"openapi": "3.1.0", "info": {"title": title, "version": "observed"}, "paths": items});
    if let Value::Object(members) = &mut document {
        if !servers.is_empty() {
            members.insert("servers".into(), servers.into());
        }
        let words = endpoints.iter().flat_map(|endpoint| &endpoint.auth);
        let schemes: Map<String, Value> = words
            .filter_map(|word| security_scheme(word))
            .map(|(name, scheme)| (name.into(), scheme))
            .collect();
        if !schemes.is_empty() {
            members.insert("components".into(), json!({"securitySchemes": schemes}));
        }
    }
    document
}

/// The path with all its parameters alike.
pub(super) fn shape(path: &str) -> String {
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

/// The operation object of an endpoint.
#[must_use]
pub fn operation(endpoint: &EndpointView) -> Value {
    let queries: Vec<Value> = endpoint.query.iter().map(|name| query(endpoint, name)).collect();
    let mut operation = Map::from_iter([("parameters".to_owned(), queries.into())]);
    if let Some(security) = security(endpoint) {
        operation.insert("security".into(), security);
    }
    if !endpoint.request_types.is_empty() {
        let content = content(endpoint, REQUEST, &endpoint.request_types);
        operation.insert("requestBody".into(), json!({"content": content}));
    }
    let mut responses = Map::new();
    for status in endpoint.statuses.keys() {
        responses.insert(status.clone(), response(endpoint, status));
    }
    if responses.is_empty() {
        responses.insert("default".into(), json!({"description": "no answer was seen"}));
    }
    operation.insert("responses".into(), responses.into());
    operation.into()
}

/// A parameter of the query, with what its values look like where any were looked at.
pub(super) fn query(endpoint: &EndpointView, name: &str) -> Value {
    let place = endpoint.looks.as_ref().and_then(|looks| looks.parameter(name));
    let Some(place) = place else { return undocumented("query", name) };
    let (schema, example) = of_place(&place);
    json!({"name": name, "in": "query", "schema": schema, "example": example})
}

/// A parameter of which only its place and its name are known.
pub(super) fn undocumented(place: &str, name: &str) -> Value {
    json!({"name": name, "in": place, "schema": {}})
}

/// What an endpoint answers with a status.
pub(super) fn response(endpoint: &EndpointView, status: &str) -> Value {
    let code = status.parse().unwrap_or(0);
    // These never have a body.
    if code < 200 || code == 204 || code == 304 || endpoint.response_types.is_empty() {
        return json!({"description": "observed"});
    }
    json!({"description": "observed", "content": content(endpoint, code, &endpoint.response_types)})
}

/// Media types with what was seen of them under a status.
fn content(endpoint: &EndpointView, status: u16, types: &[String]) -> Map<String, Value> {
    let looks = || endpoint.looks.iter().flat_map(|looks| looks.kept());
    let media = |media: &String| {
        let look = looks().find(|look| look.status == status && is_of(look, media));
        let described = look
            .map_or_else(|| json!({}), |look| json!({"schema": body_schema(look), "example": example(look)}));
        (media.clone(), described)
    };
    types.iter().map(media).collect()
}

/// Whether bodies of this kind have a shape and go by that media type.
fn is_of(look: &Look, media: &str) -> bool {
    match look.format {
        Format::Json => media.contains("json"),
        Format::Form => media == "application/x-www-form-urlencoded",
        Format::Multipart => media.starts_with("multipart/"),
        Format::Binary | Format::Xml | Format::Text | Format::Query => false,
    }
}

/// Any of the schemes that were seen; none at all, when no caller ever had one.
fn security(endpoint: &EndpointView) -> Option<Value> {
    let anonymous = endpoint.auth.iter().any(|word| word == "none");
    let schemes = endpoint.auth.iter().filter_map(|word| security_scheme(word));
    let mut all: Vec<Value> = schemes.map(|(name, _)| json!({name: []})).collect();
    if all.is_empty() {
        return None;
    }
    if anonymous {
        all.insert(0, json!({}));
    }
    Some(all.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::drift::Given;
    use crate::fixture::{CallSpec, call};
    use crate::knowledge::Knowledge;
    use crate::limits::Limits;
    use crate::looks::Looks;
    use crate::observe::Observer;
    use crate::snapshot::Drift;
    use crate::spec::{Documents, read};
    use apisec_proto::body::shape::Kinds;
    use std::sync::Arc;

    #[test]
    fn parameters_of_the_query_are_of_the_kinds_that_were_seen() {
        let mut look = Look { status: REQUEST, format: Format::Query, ..Look::default() };
        look.whole.add(".page", |place| (place.kinds, place.count) = (Kinds::INTEGER, 1));
        let mut looks = Looks::default();
        looks.put(&look);
        let own = EndpointView {
            query: ["page".into(), "by".into()].into(),
            looks: Some(Arc::new(looks)),
            ..EndpointView::default()
        };
        assert_eq!(
            operation(&own)["parameters"],
            json!([{"name": "page", "in": "query", "schema": {"type": "integer"}, "example": 0},
                {"name": "by", "in": "query", "schema": {}}])
        );
    }

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
            observer.observe(&call(&spec));
        }
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        known.merge(observer.take_delta(0, 2_000_000_000));
        let exported = documents(&known.snapshot(2_000_000_000));
        let [(service, document)] = exported.as_slice() else { panic!("{exported:#?}") };
        let spec = read(&Documents::new("observed.json", document.clone()));
        assert_eq!(spec.problems, []);
        known.apply(Command::Specify(vec![Given {
            spec: Arc::new(spec),
            service: Some(service.clone()),
            ..Given::default()
        }]));
        let snapshot = known.snapshot(2_000_000_000);
        for row in &snapshot.endpoints {
            let expected = if row.path == "/nothing" { Drift::Unspecified } else { Drift::Active };
            assert_eq!(row.drift, expected, "{} {} {document:#}", row.method, row.path);
            assert_eq!(row.documentation.differences, [""; 0]);
        }
    }
}
