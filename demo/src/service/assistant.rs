//! An assistant for customers: tools behind the Model Context Protocol, and a language model that somebody else runs.
//!
//! Insecure on purpose: every tool is for everybody who is logged in, one of them takes the whole customer file,
//! and another sends text wherever it is told to.

use super::Service;
use crate::hop::Hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::seed;
use crate::token::Claims;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, header};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// The role.
pub(crate) const SERVICE: Service =
    Service { name: "assistant", calls: &["catalog", "orders", "users", "outside"], router };

/// Whose model is asked. The name is only ever sent to the shop's own stand-in.
const MODEL_HOST: HeaderValue = HeaderValue::from_static("api.openai.com");
const TOOLS: [&str; 4] = ["search_products", "get_order", "export_customers", "send_text"];

fn router(peers: Arc<Peers>) -> Router {
    Router::new().route("/mcp", post(answer)).with_state(peers)
}

/// JSON-RPC 2.0, without batches and without a session.
async fn answer(
    State(peers): State<Arc<Peers>>,
    claims: Claims,
    hop: Hop,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Problem> {
    let parameters = asked.get("params").cloned().unwrap_or_default();
    let result = match asked.get("method").and_then(Value::as_str) {
        Some("initialize") => {
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "shop"}})
        }
        Some("tools/list") => {
            let tools = TOOLS.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
            json!({"tools": tools})
        }
        Some("tools/call") => {
            let text = call(&peers, &hop, &claims, &parameters).await?;
            json!({"content": [{"type": "text", "text": text}]})
        }
        _ => {
            return Ok(Json(
                json!({"jsonrpc": "2.0", "id": asked.get("id"), "error": {"code": -32601, "message": "Method not found"}}),
            ));
        }
    };
    Ok(Json(json!({"jsonrpc": "2.0", "id": asked.get("id"), "result": result})))
}

/// Runs one tool and gives its result as text.
async fn call(peers: &Peers, hop: &Hop, claims: &Claims, parameters: &Value) -> Result<String, Problem> {
    let name = parameters.get("name").and_then(Value::as_str).unwrap_or_default();
    let argument =
        |name: &str| parameters.pointer(&format!("/arguments/{name}")).cloned().unwrap_or_default();
    match name {
        "search_products" => {
            think(peers).await?;
            let word =
                argument("q").as_str().unwrap_or("lamp").replace(|c: char| !c.is_ascii_alphabetic(), "");
            let path = format!("/api/v2/search?q={word}");
            Ok(peers.call(hop, "catalog", Method::GET, &path, None).await?.json().to_string())
        }
        "get_order" => {
            let path = format!("/api/orders/{}", argument("order").as_u64().unwrap_or(seed::FIRST_ORDER));
            Ok(peers.call(hop, "orders", Method::GET, &path, None).await?.json().to_string())
        }
        "export_customers" => {
            let mut customers = Vec::new();
            for user in seed::users().filter(|user| *user != claims.user()) {
                let path = format!("/api/users/{user}");
                customers.push(peers.call(hop, "users", Method::GET, &path, None).await?.json());
            }
            Ok(Value::from(customers).to_string())
        }
        "send_text" => {
            let url = argument("url").as_str().unwrap_or_default().to_owned();
            let sent = peers.fetch(Method::POST, &url, Body::from(argument("text").to_string())).await?;
            Ok(format!("sent, {}", sent.status))
        }
        _ => Err(Problem::not_found("tool")),
    }
}

/// Asks the model what to do, which is always the same.
async fn think(peers: &Peers) -> Result<(), Problem> {
    let asked = json!({"model": "small", "messages": [{"role": "user", "content": "Which tool?"}]});
    let mut request = Request::new(Body::from(asked.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = axum::http::Uri::from_static("/v1/chat/completions");
    request.headers_mut().insert(header::HOST, MODEL_HOST);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    peers.ask("outside", request).await.map(drop)
}
