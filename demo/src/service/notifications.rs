//! Messages to customers: accepted, kept, never sent.
//!
//! Insecure on purpose: anyone reads anyone's messages, the e-mail address is in the path, and a forgotten door
//! for maintenance sends whatever accounts one names to whatever address one names; another charges any card.

use super::{Service, payments};
use crate::hop::Hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::table::Table;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The role.
pub(crate) const SERVICE: Service =
    Service { name: "notifications", calls: &["users", "payments", "outside"], router };

/// Messages that one listing shows, newest last.
const SHOWN: usize = 20;

#[derive(Clone, Deserialize, Serialize)]
struct Message {
    to: String,
    template: String,
    order: u64,
}

/// Whose accounts go where.
#[derive(Deserialize)]
struct Digest {
    users: Vec<u64>,
    /// Nowhere, when it is empty.
    #[serde(default)]
    to: String,
}

struct Outbox {
    messages: Table<u64, Message>,
    accepted: AtomicU64,
}

fn router(peers: Arc<Peers>) -> Router {
    let outbox = Outbox { messages: Table::new([]), accepted: AtomicU64::new(0) };
    Router::new()
        .route("/api/notifications", post(accept))
        .route("/maintenance/digest", post(digest))
        .route("/maintenance/charge", post(charge))
        .route("/api/notifications/{email}", get(list).delete(clear))
        .with_state(Arc::new(outbox))
        .layer(Extension(peers))
}

async fn accept(
    State(outbox): State<Arc<Outbox>>,
    Json(message): Json<Message>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !message.to.contains('@') {
        return Err(Problem::unprocessable("to must be an e-mail address"));
    }
    let id = outbox.accepted.fetch_add(1, Ordering::Relaxed);
    outbox.messages.put(id, message);
    Ok((StatusCode::ACCEPTED, Json(json!({"message": id}))))
}

async fn list(State(outbox): State<Arc<Outbox>>, Path(email): Path<String>) -> Json<Vec<Message>> {
    let messages = outbox.messages.select(|message| message.to == email);
    Json(messages.into_iter().rev().take(SHOWN).rev().collect())
}

/// Reads accounts with whatever credential the request has, and sends them away.
async fn digest(
    Extension(peers): Extension<Arc<Peers>>,
    hop: Hop,
    Json(asked): Json<Digest>,
) -> Result<Json<Value>, Problem> {
    let mut accounts = Vec::new();
    for user in asked.users {
        let path = format!("/api/users/{user}?view=support");
        accounts.push(peers.call(&hop, "users", Method::GET, &path, None).await?.json());
    }
    let count = accounts.len();
    if !asked.to.is_empty() {
        peers.fetch(Method::POST, &asked.to, Body::from(Value::from(accounts).to_string())).await?;
    }
    Ok(Json(json!({"accounts": count})))
}

/// Charges a customer, as orders does.
async fn charge(
    Extension(peers): Extension<Arc<Peers>>,
    hop: Hop,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Problem> {
    let hop = hop.with_api_key(payments::API_KEY);
    Ok(Json(peers.call(&hop, "payments", Method::POST, "/v2/charges", Some(&asked)).await?.json()))
}

/// Documented, and used by nobody so far.
async fn clear(State(outbox): State<Arc<Outbox>>, Path(email): Path<String>) -> StatusCode {
    outbox.messages.retain(|message| message.to != email);
    StatusCode::NO_CONTENT
}
