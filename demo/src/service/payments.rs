//! Charges and refunds, for the other servers; customers may look at a charge.
//!
//! Insecure on purpose: the first version still answers beside the second, and needs no key.

use super::Service;
use crate::hop;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::seed;
use crate::table::Table;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The role.
pub(crate) const SERVICE: Service = Service { name: "payments", calls: &[], router };

/// The key that the second version wants in `x-api-key`; a demonstration value.
pub(crate) const API_KEY: &str = "shop-internal-5d41402abc4b2a76";
/// Amounts that are declined: every one whose cents are a multiple of this.
const DECLINED: u64 = 19;

#[derive(Clone, Serialize)]
struct Charge {
    charge: String,
    user: u64,
    amount_cents: u64,
    state: &'static str,
}

#[derive(Deserialize)]
struct Asked {
    user: u64,
    amount_cents: u64,
}

struct Payments {
    charges: Table<String, Charge>,
    created: AtomicU64,
}

type Shared = State<Arc<Payments>>;

fn router(_: Arc<Peers>) -> Router {
    let payments = Payments { charges: Table::new([]), created: AtomicU64::new(1) };
    Router::new()
        .route("/v1/charges", post(charge_v1))
        .route("/v2/charges", post(charge_v2))
        .route("/v2/charges/{charge}/refunds", post(refund))
        .route("/api/payments/{charge}", get(show))
        .with_state(Arc::new(payments))
}

async fn charge_v1(State(payments): Shared, Json(asked): Json<Asked>) -> Result<Json<Value>, Problem> {
    let charge = payments.charge(&asked)?;
    Ok(Json(json!({"id": charge.charge, "ok": true})))
}

async fn charge_v2(
    State(payments): Shared,
    headers: HeaderMap,
    Json(asked): Json<Asked>,
) -> Result<(StatusCode, Json<Charge>), Problem> {
    require_key(&headers)?;
    Ok((StatusCode::CREATED, Json(payments.charge(&asked)?)))
}

async fn refund(
    State(payments): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Charge>, Problem> {
    require_key(&headers)?;
    let refunded = payments.charges.change(&id, |charge| {
        charge.state = "refunded";
        Json(charge.clone())
    });
    refunded.ok_or_else(|| Problem::not_found("charge"))
}

async fn show(State(payments): Shared, Path(id): Path<String>) -> Result<Json<Charge>, Problem> {
    payments.charges.get(&id).map(Json).ok_or_else(|| Problem::not_found("charge"))
}

impl Payments {
    fn charge(&self, asked: &Asked) -> Result<Charge, Problem> {
        if asked.amount_cents == 0 {
            return Err(Problem::unprocessable("amount_cents must be at least 1"));
        }
        if asked.amount_cents.is_multiple_of(DECLINED) {
            return Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "the card was declined"));
        }
        let id = seed::ulid(self.created.fetch_add(1, Ordering::Relaxed));
        let Asked { user, amount_cents } = *asked;
        let charge = Charge { charge: id.clone(), user, amount_cents, state: "captured" };
        self.charges.put(id, charge.clone());
        Ok(charge)
    }
}

fn require_key(headers: &HeaderMap) -> Result<(), Problem> {
    let key = headers.get(hop::API_KEY).and_then(|key| key.to_str().ok());
    if key == Some(API_KEY) { Ok(()) } else { Err(Problem::unauthorized("x-api-key is missing or wrong")) }
}
