//! An API server for tests of what asks one: every answer is the test's.

use super::access::Cluster;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// An API server that answers what `answer` says to method, path with query, and body.
pub(super) fn server(answer: impl Fn(&str, &str, &Value) -> (u16, Value) + Send + 'static) -> Cluster {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        while let Some((request, respond)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let body: Value =
                serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
            let (status, value) = answer(parts.method.as_str(), &parts.uri.to_string(), &body);
            let bytes = serde_json::to_vec(&value).unwrap();
            respond.send_response(Response::builder().status(status).body(Body::from(bytes)).unwrap());
        }
    });
    Cluster {
        client: Client::new(service, "default"),
        server: "https://x".into(),
        namespace: "default".into(),
    }
}

/// What an API server says when it refuses.
pub(super) fn refusal(code: u16, message: &str) -> (u16, Value) {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message});
    (code, status)
}

/// A list of objects.
pub(super) fn list(items: &[Value]) -> (u16, Value) {
    (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
}
