//! The app's own back end: one GraphQL endpoint, and a WebSocket and gRPC that tell where a parcel is.
//!
//! Insecure on purpose: the schema is shown to everyone, no query is too deep or too broad, passwords may be tried
//! as often as fits into one query, gRPC lists its services, and the socket asks neither for a credential nor where a script comes from.

mod live;
mod query;
mod rpc;

use super::Service;
use crate::peers::Peers;
use crate::problem::Problem;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// The role.
pub(crate) const SERVICE: Service = Service { name: "storefront", calls: &[], router };

fn router(_: Arc<Peers>) -> Router {
    Router::new()
        .route("/graphql", post(graphql))
        .route("/live", get(live::upgrade))
        .route("/{service}/{method}", post(rpc::call))
}

/// One operation, or many in one request.
async fn graphql(Json(asked): Json<Value>) -> Result<Json<Value>, Problem> {
    match asked {
        Value::Array(batch) => {
            batch.iter().map(operation).collect::<Result<Vec<_>, _>>().map(|all| Json(all.into()))
        }
        one => operation(&one).map(Json),
    }
}

fn operation(asked: &Value) -> Result<Value, Problem> {
    let document = asked.get("query").and_then(Value::as_str);
    let document = document.ok_or_else(|| Problem::unprocessable("a query is needed"))?;
    Ok(match query::answer(document) {
        Some(data) => json!({"data": data}),
        None => json!({"errors": [{"message": "Syntax Error"}]}),
    })
}
