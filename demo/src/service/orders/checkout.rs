//! Placing an order: the one request that calls four other servers.

use super::{Order, Shared};
use crate::hop::Hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::service::payments;
use crate::token::Claims;
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the customer asks for.
#[derive(Deserialize)]
pub(super) struct Checkout {
    cart: String,
    #[serde(default)]
    payment: Payment,
}

/// How the customer pays. Gift cards still go through the first version of payments.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Payment {
    #[default]
    Card,
    Giftcard,
}

/// Charges the customer for the cart, keeps the order, says so, and empties the cart.
pub(super) async fn place(
    State(shop): Shared,
    claims: Claims,
    hop: Hop,
    Json(asked): Json<Checkout>,
) -> Result<(StatusCode, Json<Order>), Problem> {
    let total = total_of_cart(&shop.peers, &hop, &asked.cart).await?;
    let email = email_of(&shop.peers, &hop, claims.user()).await?;
    let charge = charge(&shop.peers, &hop, asked.payment, claims.user(), total).await?;
    let order = shop.add(claims.user(), total, charge);
    let message = json!({"to": email, "template": "order-confirmed", "order": order.order});
    // The order stands even if the message or the empty cart fails.
    let _message =
        shop.peers.call(&hop, "notifications", Method::POST, "/api/notifications", Some(&message)).await;
    let _cart =
        shop.peers.call(&hop, "cart", Method::DELETE, &format!("/api/cart/{}", asked.cart), None).await;
    Ok((StatusCode::CREATED, Json(order)))
}

async fn total_of_cart(peers: &Peers, hop: &Hop, cart: &str) -> Result<u64, Problem> {
    if !cart.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Problem::unprocessable("that is no cart"));
    }
    let answer = peers.call(hop, "cart", Method::GET, &format!("/api/cart/{cart}"), None).await?;
    let total = answer.json().get("total_cents").and_then(Value::as_u64).filter(|total| *total > 0);
    total.ok_or_else(|| Problem::unprocessable("no such cart, or it is empty"))
}

async fn email_of(peers: &Peers, hop: &Hop, user: u64) -> Result<String, Problem> {
    let answer = peers.call(hop, "users", Method::GET, &format!("/api/users/{user}"), None).await?;
    let email = answer.json().get("email").and_then(Value::as_str).map(str::to_owned);
    email.ok_or_else(|| Problem::unprocessable("no such customer"))
}

async fn charge(
    peers: &Peers,
    hop: &Hop,
    by: Payment,
    user: u64,
    amount_cents: u64,
) -> Result<String, Problem> {
    let hop = hop.with_api_key(payments::API_KEY);
    let (path, name) = if by == Payment::Card { ("/v2/charges", "charge") } else { ("/v1/charges", "id") };
    let asked = json!({"user": user, "amount_cents": amount_cents});
    let answer = peers.call(&hop, "payments", Method::POST, path, Some(&asked)).await?;
    if !answer.status.is_success() {
        return Err(Problem::new(answer.status, "the payment was refused"));
    }
    let charge = answer.json().get(name).and_then(Value::as_str).map(str::to_owned);
    charge.ok_or_else(|| Problem::new(StatusCode::BAD_GATEWAY, "payments answered without a charge"))
}
