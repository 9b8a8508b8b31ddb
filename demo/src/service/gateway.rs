//! The reverse proxy in front: sends `/api/*` on to the servers, names requests, continues traces.
//!
//! Insecure on purpose: every foreign origin may call with credentials, TRACE shows what the proxies added, nothing
//! is rate-limited, and it does not ask who is calling.

use super::Service;
use crate::hop::{Hop, REQUEST_ID};
use crate::peers::Peers;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::sync::Arc;

/// The role.
pub(crate) const SERVICE: Service = Service {
    name: "gateway",
    calls: &["users", "catalog", "cart", "orders", "payments", "notifications", "storefront", "assistant"],
    router,
};

/// Which role answers for a path; the longest prefix wins.
const ROUTES: &[(&str, &str)] = &[
    ("/api/login", "users"),
    ("/api/signup", "users"),
    ("/api/users", "users"),
    ("/api/admin/users", "users"),
    ("/api/products", "catalog"),
    ("/api/recommendations", "catalog"),
    ("/api/v1/search", "catalog"),
    ("/api/v2/search", "catalog"),
    ("/api/admin/products", "catalog"),
    ("/api/cart", "cart"),
    ("/api/orders", "orders"),
    ("/api/admin/orders", "orders"),
    ("/api/admin/reports", "orders"),
    ("/api/payments", "payments"),
    ("/api/notifications", "notifications"),
    ("/graphql", "storefront"),
    ("/mcp", "assistant"),
];

/// Fields that belong to one connection only (RFC 9110 §7.6.1).
const HOP_BY_HOP: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Where the shop's own scripts come from.
const OWN_ORIGIN: &str = "https://www.shop.example";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fn router(peers: Arc<Peers>) -> Router {
    Router::new()
        .route("/health/all", get(health_of_all))
        .route("/api/{*path}", any(forward))
        .route("/graphql", any(forward))
        .route("/mcp", any(forward))
        .with_state(peers)
}

/// Asks every server for its health.
async fn health_of_all(State(peers): State<Arc<Peers>>, hop: Hop) -> (StatusCode, Json<Value>) {
    let mut all = Map::new();
    for role in peers.roles() {
        let healthy = peers.call(&hop, role, Method::GET, "/health", None).await.is_ok();
        all.insert(role.to_owned(), healthy.into());
    }
    let healthy = all.values().all(|healthy| *healthy == Value::Bool(true));
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Value::Object(all)))
}

async fn forward(
    State(peers): State<Arc<Peers>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    hop: Hop,
    mut request: Request,
) -> Result<Response, Problem> {
    let role = role_of(request.uri().path()).ok_or_else(|| Problem::not_found("route"))?;
    if request.method() == Method::OPTIONS {
        return Ok(preflight(request.headers()));
    }
    if request.method() == Method::TRACE {
        return Ok(echo(request.headers()));
    }
    let origin = foreign_origin(request.headers());
    strip(request.headers_mut());
    request.headers_mut().remove(header::HOST);
    hop.write(request.headers_mut());
    if let Ok(client) = HeaderValue::from_str(&client.ip().to_string()) {
        request.headers_mut().append(FORWARDED_FOR, client);
    }
    let mut response = peers.forward(role, request).await?.map(Body::new);
    strip(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, hop.request_id().clone());
    if let Some(origin) = origin {
        response.headers_mut().extend(welcome(origin));
    }
    Ok(response)
}

/// The role that answers for `path`.
fn role_of(path: &str) -> Option<&'static str> {
    let covers =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let matching = ROUTES.iter().filter(|(prefix, _)| covers(prefix));
    matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, role)| *role)
}

/// The origin of a script that is not the shop's own.
fn foreign_origin(asked: &HeaderMap) -> Option<HeaderValue> {
    asked.get(header::ORIGIN).filter(|origin| *origin != OWN_ORIGIN).cloned()
}

/// Lets an origin do everything with the customer's credentials (CORS).
fn welcome(origin: HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
    ]
}

fn preflight(asked: &HeaderMap) -> Response {
    const VERBS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
    let allowed = [(header::ACCESS_CONTROL_ALLOW_METHODS, VERBS), (header::ALLOW, VERBS)];
    match foreign_origin(asked) {
        Some(origin) => (StatusCode::NO_CONTENT, allowed, welcome(origin)).into_response(),
        None => (StatusCode::NO_CONTENT, allowed).into_response(),
    }
}

/// Answers TRACE (RFC 9110 §9.3.8) with everything that came, credentials included.
fn echo(asked: &HeaderMap) -> Response {
    let lines = asked
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    ([(header::CONTENT_TYPE, "message/http")], format!("TRACE\r\n{}", lines.collect::<String>()))
        .into_response()
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_to_its_role() {
        assert_eq!(role_of("/api/users/1007/addresses"), Some("users"));
        assert_eq!(role_of("/api/admin/users"), Some("users"));
        assert_eq!(role_of("/api/admin/products/BK-1/price"), Some("catalog"));
        assert_eq!(role_of("/api/orders"), Some("orders"));
        assert_eq!(role_of("/api/ordersandmore"), None);
        assert_eq!(role_of("/api/admin"), None);
    }

    #[test]
    fn every_route_leads_to_a_peer() {
        for (prefix, role) in ROUTES {
            assert!(SERVICE.calls.contains(role), "{prefix}");
        }
    }
}
