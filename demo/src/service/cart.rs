//! Shopping carts. Whoever knows the number of a cart owns it.
//!
//! Insecure on purpose: an item may bring a price of its own and a quantity below nothing, and vouchers may be
//! guessed without end.

use super::Service;
use crate::hop::Hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::seed;
use crate::table::Table;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The role.
pub(crate) const SERVICE: Service = Service { name: "cart", calls: &["catalog"], router };

/// Different items in one cart.
const MAX_ITEMS: usize = 50;

#[derive(Clone, Default)]
struct Cart {
    items: BTreeMap<u64, Item>,
}

#[derive(Clone, Serialize)]
struct Item {
    sku: String,
    quantity: i64,
    price_cents: u64,
}

#[derive(Deserialize)]
struct Wanted {
    sku: String,
    quantity: i64,
    /// Should not be here: the catalogue knows.
    price_cents: Option<u64>,
}

#[derive(Deserialize)]
struct Voucher {
    code: String,
}

struct Carts {
    peers: Arc<Peers>,
    carts: Table<String, Cart>,
    created: AtomicU64,
}

fn router(peers: Arc<Peers>) -> Router {
    let carts = Carts { peers, carts: Table::new([]), created: AtomicU64::new(1) };
    Router::new()
        .route("/api/cart", post(create))
        .route("/api/cart/{cart}", axum::routing::get(show).delete(remove))
        .route("/api/cart/{cart}/voucher", post(redeem))
        .route("/api/cart/{cart}/items/{n}", put(put_item).delete(remove_item))
        .with_state(Arc::new(carts))
}

async fn create(State(carts): State<Arc<Carts>>) -> (StatusCode, Json<Value>) {
    let id = seed::object_id(carts.created.fetch_add(1, Ordering::Relaxed));
    carts.carts.put(id.clone(), Cart::default());
    (StatusCode::CREATED, Json(json!({"cart": id})))
}

async fn show(State(carts): State<Arc<Carts>>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let cart = carts.carts.get(&id).ok_or_else(|| Problem::not_found("cart"))?;
    let total = cart.items.values().fold(0_i64, |sum, item| sum.saturating_add(cost(item)));
    let items = cart.items.iter().map(|(n, item)| json!({"n": n, "item": item})).collect::<Vec<_>>();
    Ok(Json(json!({"cart": id, "items": items, "total_cents": total})))
}

async fn remove(State(carts): State<Arc<Carts>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    carts.carts.remove(&id).map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::not_found("cart"))
}

async fn put_item(
    State(carts): State<Arc<Carts>>,
    hop: Hop,
    Path((id, n)): Path<(String, u64)>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Item>, Problem> {
    if wanted.quantity == 0 {
        return Err(Problem::unprocessable("quantity must not be 0"));
    }
    let listed = price(&carts.peers, &hop, &wanted.sku).await?;
    let price_cents = wanted.price_cents.unwrap_or(listed);
    let item = Item { sku: wanted.sku, quantity: wanted.quantity, price_cents };
    let added = carts.carts.change(&id, |cart| {
        let fits = cart.items.len() < MAX_ITEMS || cart.items.contains_key(&n);
        fits.then(|| cart.items.insert(n, item.clone()))
    });
    match added {
        Some(Some(_)) => Ok(Json(item)),
        Some(None) => Err(Problem::unprocessable("the cart is full")),
        None => Err(Problem::not_found("cart")),
    }
}

/// Four digits, and nobody counts the tries.
async fn redeem(
    State(carts): State<Arc<Carts>>,
    Path(id): Path<String>,
    Json(voucher): Json<Voucher>,
) -> Result<Json<Value>, Problem> {
    carts.carts.get(&id).ok_or_else(|| Problem::not_found("cart"))?;
    let worth = seed::voucher(&voucher.code).ok_or_else(|| Problem::not_found("voucher"))?;
    Ok(Json(json!({"cart": id, "voucher_cents": worth})))
}

async fn remove_item(
    State(carts): State<Arc<Carts>>,
    Path((id, n)): Path<(String, u64)>,
) -> Result<StatusCode, Problem> {
    let removed = carts.carts.change(&id, |cart| cart.items.remove(&n)).flatten();
    removed.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::not_found("item"))
}

/// What the catalogue asks for an article, in cents.
async fn price(peers: &Peers, hop: &Hop, sku: &str) -> Result<u64, Problem> {
    if !sku.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Problem::unprocessable("that is no article number"));
    }
    let answer = peers.call(hop, "catalog", Method::GET, &format!("/api/products/{sku}"), None).await?;
    let price = answer.json().get("price_cents").and_then(Value::as_u64);
    price.ok_or_else(|| Problem::unprocessable("no such product"))
}

fn cost(item: &Item) -> i64 {
    i64::try_from(item.price_cents).unwrap_or(i64::MAX).saturating_mul(item.quantity)
}
