//! A patch against the specification that was given: an OpenAPI Overlay 1.0 with what was observed and is not in it.
//!
//! It adds operations, statuses, media types and parameters of the query, the header and the cookies. It takes nothing away: what was not called may still
//! be there. Bodies of documented media types are left as they are documented.

use super::openapi::{can_be_documented, operation, query, response, undocumented};
use crate::snapshot::{Drift, EndpointView, Snapshot, SpecificationView};
use serde_json::{Map, Value, json};

/// One overlay per specification that lacks something, by file.
#[must_use]
pub fn documents(snapshot: &Snapshot) -> Vec<(String, Value)> {
    let overlays = snapshot.specifications.iter().map(|spec| (spec.file.clone(), actions(snapshot, spec)));
    overlays
        .filter(|(_, actions)| !actions.is_empty())
        .map(|(file, actions)| {
            let info =
                json!({"title": format!("What was observed and is not in {file}"), "version": "observed"});
            let overlay = json!({"overlay": "1.0.0", "info": info, "actions": actions});
            (file, overlay)
        })
        .collect()
}

fn actions(snapshot: &Snapshot, spec: &SpecificationView) -> Vec<Value> {
    // There are no overlays of GraphQL schemas and Protobuf files.
    if ["GraphQL", "Protobuf"].iter().any(|format| spec.format.starts_with(format)) {
        return Vec::new();
    }
    let bound = |service: &str| spec.services.iter().any(|binding| binding.service == service);
    let first = |service: &str| {
        let mut all = snapshot.specifications.iter();
        let first = all.find(|spec| spec.services.iter().any(|binding| binding.service == service));
        first.is_some_and(|first| first.file == spec.file)
    };
    let mut paths = Map::new();
    let mut changes = Vec::new();
    for own in snapshot.endpoints.iter().filter(|own| bound(&own.service) && can_be_documented(own)) {
        if own.drift == Drift::Shadow && first(&own.service) {
            let path = without_base(&own.path, &spec.bases);
            let item =
                paths.entry(openapi_path(path)).or_insert_with(|| json!({"parameters": parameters(path)}));
            if let Some(item) = item.as_object_mut() {
                item.insert(own.method.to_lowercase(), operation(own));
            }
        } else if own.documentation.file == spec.file {
            changes.extend(additions(own));
        }
    }
    let added = (!paths.is_empty()).then(|| json!({"target": "$.paths", "update": paths}));
    added.into_iter().chain(changes).collect()
}

/// What a documented operation lacks.
fn additions(own: &EndpointView) -> Vec<Value> {
    let mut actions = Vec::new();
    let Some(target) = json_path(&own.documentation.pointer) else { return actions };
    let lacking = |kind: &str| {
        let found = own.documentation.differences.iter().filter_map(|text| text.split_once(' '));
        let kind = kind.to_owned();
        found.filter(move |(word, _)| *word == kind).map(|(_, what)| what)
    };
    let responses: Map<String, Value> =
        lacking("status").map(|status| (status.to_owned(), response(own, status))).collect();
    if !responses.is_empty() {
        actions.push(json!({"target": target, "update": {"responses": responses}}));
    }
    let parameters: Vec<Value> = ["query", "header", "cookie"]
        .into_iter()
        // "query page is above the documented maximum" lacks nothing.
        .flat_map(|place| {
            lacking(place).filter(|name| !name.contains(" is ")).map(move |name| match place {
                "query" => query(own, name),
                _ => undocumented(place, name),
            })
        })
        .collect();
    if !parameters.is_empty() {
        actions.push(json!({"target": target, "update": {"parameters": parameters}}));
    }
    let content: Map<String, Value> = lacking("request")
        .filter(|media| media.contains('/') && !media.contains(' '))
        .map(|media| (media.to_owned(), json!({})))
        .collect();
    if !content.is_empty() {
        actions.push(json!({"target": target, "update": {"requestBody": {"content": content}}}));
    }
    actions
}

/// The path below the base path of a server.
fn without_base<'a>(path: &'a str, bases: &[String]) -> &'a str {
    let cut = |base: &String| {
        let rest = path.strip_prefix(base.as_str()).filter(|_| !base.is_empty())?;
        rest.starts_with('/').then_some(rest)
    };
    bases.iter().filter_map(cut).min_by_key(|rest| rest.len()).unwrap_or(path)
}

/// `/users/{id:int}` as OpenAPI writes it.
fn openapi_path(path: &str) -> String {
    let mut names = names(path).into_iter();
    let mut out = String::new();
    for (at, piece) in path.split('{').enumerate() {
        match piece.split_once('}').filter(|_| at > 0) {
            Some((_, after)) => {
                out.push_str(&format!("{{{}}}{after}", names.next().unwrap_or_default()));
            }
            None => out.push_str(piece),
        }
    }
    out
}

/// Names of the parameters, each once.
fn names(path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in path.split('{').skip(1) {
        let inner = piece.split('}').next().unwrap_or_default();
        let name = inner.split(':').next().unwrap_or_default();
        let taken = names.iter().filter(|known| known.trim_end_matches(char::is_numeric) == name).count();
        names.push(if taken == 0 { name.to_owned() } else { format!("{name}{}", taken + 1) });
    }
    names
}

fn parameters(path: &str) -> Vec<Value> {
    let parameter =
        |name: String| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    names(path).into_iter().map(parameter).collect()
}

/// A JSON pointer to an operation as a JSONPath (RFC 9535).
fn json_path(pointer: &str) -> Option<String> {
    let mut path = String::from("$");
    for step in pointer.strip_prefix('/')?.split('/') {
        let key = step.replace("~1", "/").replace("~0", "~").replace('\\', "\\\\").replace('\'', "\\'");
        path.push_str(&format!("['{key}']"));
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{BindingView, Documentation};
    use std::collections::BTreeMap;

    fn endpoint(method: &str, path: &str, drift: Drift) -> EndpointView {
        EndpointView {
            service: "process:users:80".into(),
            method: method.into(),
            path: path.into(),
            calls: 1,
            statuses: BTreeMap::from([("200".to_owned(), 1)]),
            drift,
            ..EndpointView::default()
        }
    }

    #[test]
    fn what_is_missing_is_added_under_the_path_that_it_would_have() {
        let mut known = endpoint("GET", "/api/users/{id}", Drift::Active);
        known.documentation = Documentation {
            file: "users.yaml".into(),
            pointer: "/paths/~1users~1{id}/get".into(),
            differences: vec![
                "status 409".into(),
                "query debug".into(),
                "query page is above the documented maximum".into(),
                "header x-tenant".into(),
                "no cookie sid".into(),
            ],
            ..Documentation::default()
        };
        let spec = SpecificationView {
            file: "users.yaml".into(),
            bases: vec!["/api".into()],
            services: vec![BindingView {
                service: "process:users:80".into(),
                by: "server".into(),
                ..BindingView::default()
            }],
            ..SpecificationView::default()
        };
        let shadow = endpoint("DELETE", "/api/users/{id:int}/keys/{id:int}", Drift::Shadow);
        let snapshot =
            Snapshot { endpoints: vec![known, shadow], specifications: vec![spec], ..Snapshot::default() };
        let all = documents(&snapshot);
        let [(file, overlay)] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((file.as_str(), &overlay["overlay"]), ("users.yaml", &json!("1.0.0")));
        let [added, status, query] = overlay["actions"].as_array().unwrap().as_slice() else {
            panic!("{overlay:#}")
        };
        assert!(added["update"]["/users/{id}/keys/{id2}"]["delete"]["responses"]["200"].is_object());
        assert_eq!(status["target"], "$['paths']['/users/{id}']['get']");
        assert!(status["update"]["responses"]["409"].is_object());
        let parameter = |place, name| json!({"name": name, "in": place, "schema": {}});
        let added = [parameter("query", "debug"), parameter("header", "x-tenant")];
        assert_eq!(query["update"]["parameters"].as_array().unwrap()[..], added);
    }

    #[test]
    fn what_is_as_documented_needs_no_patch() {
        assert!(documents(&Snapshot::default()).is_empty());
    }
}
