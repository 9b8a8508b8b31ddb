//! Orders: place, look up, ship, export, cancel, report. Calls the cart, users, payments, notifications and
//! the courier, who is not ours.
//!
//! Insecure on purpose: an order is shown to whoever is logged in (broken object level authorization),
//! the reports and the export are open to every customer, and a bad date is answered with a stack trace.

mod checkout;
mod courier;
mod export;

use super::Service;
use crate::hop::Hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::random::mix;
use crate::seed;
use crate::service::payments;
use crate::table::Table;
use crate::token::Claims;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The role.
pub(crate) const SERVICE: Service =
    Service { name: "orders", calls: &["cart", "users", "payments", "notifications", "outside"], router };

/// Orders on one page of a listing, newest first.
const SHOWN: usize = 50;

#[derive(Clone, Serialize)]
struct Order {
    order: u64,
    user: u64,
    total_cents: u64,
    state: &'static str,
    /// Empty for orders that are older than the shop.
    charge: String,
}

#[derive(Deserialize)]
struct Listing {
    page: Option<usize>,
}

#[derive(Deserialize)]
struct Way {
    service: Option<String>,
}

struct Orders {
    peers: Arc<Peers>,
    orders: Table<u64, Order>,
    next: AtomicU64,
}

type Shared = State<Arc<Orders>>;

fn router(peers: Arc<Peers>) -> Router {
    let old = (0..seed::ORDERS).map(|n| seed::FIRST_ORDER + n).map(|order| (order, seeded(order)));
    let orders =
        Orders { peers, orders: Table::new(old), next: AtomicU64::new(seed::FIRST_ORDER + seed::ORDERS) };
    Router::new()
        .route("/api/orders", get(mine).post(checkout::place))
        .route("/api/orders/export", get(export_all))
        .route("/api/orders/{order}", get(show).delete(cancel))
        .route("/api/orders/{order}/shipping", get(shipping))
        .route("/api/orders/{order}/invoice", get(invoice))
        .route("/api/admin/orders/statistics", get(statistics))
        .route("/api/admin/reports/{date}", get(report))
        .with_state(Arc::new(orders))
}

fn seeded(order: u64) -> Order {
    let total_cents = 500 + mix(order ^ 0x70a1) % 20_000;
    Order { order, user: seed::order_owner(order), total_cents, state: "delivered", charge: String::new() }
}

impl Orders {
    /// Keeps a new order and returns it with its number.
    fn add(&self, user: u64, total_cents: u64, charge: String) -> Order {
        let order = self.next.fetch_add(1, Ordering::Relaxed);
        let order = Order { order, user, total_cents, state: "paid", charge };
        self.orders.put(order.order, order.clone());
        order
    }
}

async fn mine(State(shop): Shared, claims: Claims, Query(asked): Query<Listing>) -> Json<Vec<Order>> {
    let user = claims.user();
    let skipped = asked.page.unwrap_or(1).saturating_sub(1).saturating_mul(SHOWN);
    let orders = shop.orders.select(|order| order.user == user);
    Json(orders.into_iter().rev().skip(skipped).take(SHOWN).collect())
}

/// Does not ask whose order it is.
async fn show(State(shop): Shared, _: Claims, Path(order): Path<u64>) -> Result<Json<Order>, Problem> {
    shop.orders.get(&order).map(Json).ok_or_else(|| Problem::not_found("order"))
}

/// Hands on whatever the courier says.
async fn shipping(
    State(shop): Shared,
    _: Claims,
    Path(order): Path<u64>,
    Query(asked): Query<Way>,
) -> Result<Json<Value>, Problem> {
    shop.orders.get(&order).ok_or_else(|| Problem::not_found("order"))?;
    let service = asked.service.unwrap_or_else(|| "standard".into());
    let said = courier::rate(&shop.peers, order, &service).await?;
    Ok(Json(json!({"order": order, "shipping": said})))
}

/// Documented, and used by no customer so far.
async fn invoice(
    State(shop): Shared,
    claims: Claims,
    Path(order): Path<u64>,
) -> Result<Json<Value>, Problem> {
    let order = shop.orders.get(&order).filter(|order| order.user == claims.user());
    let order = order.ok_or_else(|| Problem::not_found("order"))?;
    let vat = order.total_cents / 6;
    Ok(Json(
        json!({"invoice": format!("INV-{}", order.order), "total_cents": order.total_cents, "vat_cents": vat}),
    ))
}

async fn cancel(
    State(shop): Shared,
    claims: Claims,
    hop: Hop,
    Path(order): Path<u64>,
) -> Result<StatusCode, Problem> {
    let found = shop.orders.get(&order).filter(|order| order.user == claims.user());
    let found = found.ok_or_else(|| Problem::not_found("order"))?;
    if !found.charge.is_empty() {
        let path = format!("/v2/charges/{}/refunds", found.charge);
        let hop = hop.with_api_key(payments::API_KEY);
        let refund = shop.peers.call(&hop, "payments", Method::POST, &path, None).await?;
        if !refund.status.is_success() {
            return Err(Problem::new(StatusCode::BAD_GATEWAY, "the refund was refused"));
        }
    }
    shop.orders.remove(&order);
    Ok(StatusCode::NO_CONTENT)
}

async fn export_all(State(shop): Shared, _: Claims) -> ([(HeaderName, &'static str); 1], Body) {
    let orders = shop.orders.select(|_| true);
    ([(header::CONTENT_TYPE, "text/csv")], Body::new(export::Export::new(orders)))
}

async fn statistics(State(shop): Shared, claims: Claims) -> Result<Json<Value>, Problem> {
    claims.require_admin()?;
    let orders = shop.orders.select(|_| true);
    let turnover = orders.iter().fold(0_u64, |sum, order| sum.saturating_add(order.total_cents));
    Ok(Json(json!({"orders": orders.len(), "turnover_cents": turnover})))
}

async fn report(_: Claims, Path(date): Path<String>) -> Result<Json<Value>, Problem> {
    let day = day_of(&date).ok_or_else(|| {
        Problem::internal(
            "java.time.format.DateTimeParseException: Text could not be parsed\n\
             \tat shop.reports.ReportController.daily(ReportController.java:42)",
        )
    })?;
    Ok(Json(json!({"date": date, "orders": mix(day) % 90, "turnover_cents": mix(day ^ 1) % 900_000})))
}

/// `YYYY-MM-DD` as a number; `None` when it is not of that form.
fn day_of(date: &str) -> Option<u64> {
    let parts = date.split('-').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let [year, month @ 1..=12, day @ 1..=31] = parts.as_slice() else { return None };
    (date.len() == 10).then(|| year.saturating_mul(372).saturating_add(month * 31 + day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_are_dates() {
        assert!(day_of("2026-11-22").is_some());
        for other in ["yesterday", "2026-13-01", "2026-1-1", "", "2026-11", "99999999999999999999-1-1"] {
            assert_eq!(day_of(other), None, "{other}");
        }
    }
}
