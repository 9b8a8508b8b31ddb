//! What of a documented operation's calls is not as documented.
//!
//! Told from what is counted of an endpoint: statuses, media types, names of query parameters, authentication.
//! Header fields and values are compared by whoever sees calls. What cannot be told for certain from sums is not claimed.

use super::body;
use super::contract::Documented;
use super::state::Evidence;
use crate::endpoint::EndpointStats;
use crate::spec::{Api, Location, Operation, Response, Spec};
use apisec_proto::call::AuthScheme;

/// Differences that are listed of one operation.
pub(crate) const MAX_DIFFERENCES: usize = 32;

/// Statuses that a router, cache, gateway, limiter or authentication layer gives on behalf of any operation.
pub(super) const ANYBODYS: [u16; 25] = [
    206, 304, 401, 403, 404, 405, 406, 408, 412, 413, 414, 416, 417, 421, 425, 426, 428, 429, 431, 501, 502,
    503, 504, 505, 511,
];
/// Media types of the pages that they send with it.
const PAGES: [&str; 2] = ["text/html", "text/plain"];

/// What is not as documented, in words that stay the same: `status 500`, `query debug`, `answer text/html`.
#[must_use]
pub fn differences(
    spec: &Spec,
    operation: &Operation,
    documented: &Documented,
    stats: &EndpointStats,
) -> Vec<String> {
    if stats.load.calls == 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    if documented.other_case {
        found.push("letter case of the path".to_owned());
    }
    if operation.api != Api::Http {
        return found;
    }
    found.extend(statuses(operation, stats));
    found.extend(queries(spec, operation, stats));
    found.extend(missing(operation, stats));
    found.extend(media(operation, stats));
    if is_anonymous(operation, stats) {
        found.push("accepted without authentication".to_owned());
    }
    found.extend(body::differences(operation, stats));
    found.truncate(MAX_DIFFERENCES);
    found
}

fn statuses<'a>(operation: &'a Operation, stats: &'a EndpointStats) -> impl Iterator<Item = String> + 'a {
    let documented = |status| operation.responses.iter().any(|response| response.status.covers(status));
    let strange = move |status: &u16| {
        !operation.responses.is_empty() && !documented(*status) && !ANYBODYS.contains(status)
    };
    stats.statuses.iter().map(|(status, _)| status).filter(strange).map(|status| format!("status {status}"))
}

fn queries<'a>(
    spec: &'a Spec,
    operation: &'a Operation,
    stats: &'a EndpointStats,
) -> impl Iterator<Item = String> + 'a {
    let names = stats.query.names().iter();
    names.filter(|name| !is_query(operation, name) && !is_key(spec, name)).map(|name| format!("query {name}"))
}

fn is_key(spec: &Spec, name: &str) -> bool {
    spec.keys.iter().any(|(location, key)| *location == Location::Query && key == name)
}

/// `filter[state]` and `ids[]` are ways to write `filter` and `ids`.
fn is_query(operation: &Operation, name: &str) -> bool {
    let own = |documented: &str| {
        documented == name || name.strip_prefix(documented).is_some_and(|rest| rest.starts_with('['))
    };
    let mut queries = operation.parameters.iter().filter(|parameter| parameter.location == Location::Query);
    queries.any(|parameter| own(&parameter.name))
}

/// Required parameters that no call had, though some were accepted.
fn missing<'a>(operation: &'a Operation, stats: &'a EndpointStats) -> impl Iterator<Item = String> + 'a {
    let certain = !stats.query.more() && Evidence::of(stats).accepted;
    let required = operation
        .parameters
        .iter()
        .filter(|parameter| parameter.required && parameter.location == Location::Query);
    let has = |name: &str| {
        stats.query.names().iter().any(|seen| seen == name || seen.starts_with(&format!("{name}[")))
    };
    required
        .filter(move |parameter| certain && !has(&parameter.name))
        .map(|parameter| format!("no query {}", parameter.name))
}

fn media(operation: &Operation, stats: &EndpointStats) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(request) = operation.request.as_ref().filter(|request| !request.0.is_empty()) {
        let strange = stats.request_types.names().iter().filter(|media| !request.allows(media));
        found.extend(strange.map(|media| format!("request {media}")));
    }
    let carrying =
        |response: &&Response| response.content.as_ref().is_some_and(|content| !content.0.is_empty());
    let documented: Vec<&Response> = operation.responses.iter().filter(carrying).collect();
    if documented.is_empty() {
        return found;
    }
    let pages = stats.statuses.iter().any(|(status, _)| ANYBODYS.contains(&status));
    let allowed = |media: &str| {
        (pages && PAGES.contains(&media))
            || documented.iter().any(|response| response.content.iter().any(|content| content.allows(media)))
    };
    let strange = stats.response_types.names().iter().filter(|media| !allowed(media));
    found.extend(strange.map(|media| format!("answer {media}")));
    found
}

/// Every call was without credentials, and some were accepted.
fn is_anonymous(operation: &Operation, stats: &EndpointStats) -> bool {
    let schemes = [
        AuthScheme::Basic,
        AuthScheme::Bearer,
        AuthScheme::Jwt,
        AuthScheme::ApiKey,
        AuthScheme::Cookie,
        AuthScheme::Other,
        AuthScheme::Unread,
    ];
    operation.secured
        && stats.auth.contains(AuthScheme::None)
        && !schemes.into_iter().any(|scheme| stats.auth.contains(scheme))
        && Evidence::of(stats).accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call};
    use crate::spec::{Documents, read};
    use apisec_proto::call::Call;
    use serde_json::json;
    use std::sync::Arc;

    fn check(change: impl Fn(&mut Call), expected: &[&str]) {
        let spec = read(&Documents::new(
            "a",
            json!({
                "openapi": "3.1.0", "security": [{"key": []}],
                "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "api_key"}}},
                "paths": {"/a": {"post": {
                    "parameters": [{"name": "page", "in": "query"}, {"name": "filter", "in": "query", "required": true}],
                    "requestBody": {"content": {"application/json": {}}},
                    "responses": {"200": {"content": {"application/json": {}}}, "4XX": {}}}}}
            }),
        ));
        let mut call = call(&CallSpec { method: "POST", ..CallSpec::default() });
        (call.auth, call.query) =
            (AuthScheme::Jwt, ["page".into(), "filter[a]".into()].into_iter().collect());
        change(&mut call);
        let mut stats = EndpointStats::default();
        stats.add(&call, &[]);
        stats.load.add(&call);
        let documented = Documented { operation: Some(0), ..Documented::of(Arc::from("/a")) };
        assert_eq!(differences(&spec, &spec.operations[0], &documented, &stats), expected);
    }

    #[test]
    fn what_is_as_documented_is_no_difference() {
        check(|_| {}, &[]);
        check(|call| call.status = Some(404), &[]);
        check(|call| (call.status, call.response_type) = (Some(502), "text/html".into()), &[]);
        check(|call| call.query.push("api_key".into()), &[]);
    }

    #[test]
    fn every_difference_is_named() {
        check(|call| call.status = Some(500), &["status 500"]);
        check(|call| call.query.push("debug".into()), &["query debug"]);
        check(|call| call.query.truncate(1), &["no query filter"]);
        check(|call| call.request_type = "text/plain".into(), &["request text/plain"]);
        check(|call| call.response_type = "text/html".into(), &["answer text/html"]);
        check(|call| call.auth = AuthScheme::None, &["accepted without authentication"]);
    }
}
