//! Products: browse, search, pictures, recommendations, prices.
//!
//! Insecure on purpose: the page size is whatever the client asks for, the first search version still answers
//! beside the second, and a picture is fetched from wherever the client says.

use super::Service;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::random::mix;
use crate::seed;
use crate::table::Table;
use crate::token::Claims;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The role.
pub(crate) const SERVICE: Service = Service { name: "catalog", calls: &[], router };

/// Products on a page when the client does not say.
const PAGE: usize = 20;
/// Size of a product picture in bytes: large enough to leave in many segments.
const PICTURE_SIZE: u64 = 256 * 1024;
/// The picture of every product. Not a real one: bytes that do not compress, as a picture's do not.
static PICTURE: LazyLock<Bytes> =
    LazyLock::new(|| (0..PICTURE_SIZE / 8).flat_map(|n| mix(n).to_le_bytes()).collect());
/// Recommendations are slow: this long at least, and up to twice as long.
const THINKING: Duration = Duration::from_millis(120);

#[derive(Clone, Deserialize, Serialize)]
struct Product {
    sku: String,
    title: String,
    category: String,
    price_cents: u64,
    stock: u64,
}

#[derive(Deserialize)]
struct Listing {
    category: Option<String>,
    page: Option<usize>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

#[derive(Deserialize)]
struct Price {
    price_cents: u64,
}

#[derive(Deserialize)]
struct From {
    url: String,
}

type Products = State<Arc<Table<String, Product>>>;

fn router(peers: Arc<Peers>) -> Router {
    let products = Table::new((1..=seed::PRODUCTS).map(|n| (seed::sku(n), seeded(n))));
    Router::new()
        .route("/api/products", get(list))
        .route("/api/products/{sku}", get(product))
        .route("/api/products/{sku}/reviews", get(reviews))
        .route("/api/products/{sku}/picture", get(picture))
        .route("/api/products/{sku}/picture/import", post(import_picture))
        .route("/api/recommendations", get(recommendations))
        .route("/api/v1/search", get(search_v1))
        .route("/api/v2/search", get(search_v2))
        .route("/api/admin/products/import", post(import))
        .route("/api/admin/products/{sku}/price", put(set_price))
        .with_state(Arc::new(products))
        .layer(Extension(peers))
}

fn seeded(n: u64) -> Product {
    Product {
        sku: seed::sku(n),
        title: seed::title(n),
        category: seed::category(n).into(),
        price_cents: seed::price(n),
        stock: 1 + mix(n) % 500,
    }
}

async fn list(State(products): Products, Query(asked): Query<Listing>) -> Json<Vec<Product>> {
    let in_category =
        |product: &Product| asked.category.as_ref().is_none_or(|wanted| product.category == *wanted);
    let limit = asked.limit.unwrap_or(PAGE);
    let skipped = asked.page.unwrap_or(1).saturating_sub(1).saturating_mul(limit);
    Json(products.select(in_category).into_iter().skip(skipped).take(limit).collect())
}

async fn product(State(products): Products, Path(sku): Path<String>) -> Result<Json<Product>, Problem> {
    existing(&products, &sku).map(Json)
}

async fn reviews(State(products): Products, Path(sku): Path<String>) -> Result<Json<Vec<Value>>, Problem> {
    let product = existing(&products, &sku)?;
    let count = product.stock % 5;
    let review =
        |n| json!({"stars": 1 + mix(product.stock ^ n) % 5, "by": seed::name(n), "text": "As described."});
    Ok(Json((0..count).map(review).collect()))
}

async fn picture(
    State(products): Products,
    Path(sku): Path<String>,
) -> Result<([(HeaderName, &'static str); 1], Bytes), Problem> {
    existing(&products, &sku)?;
    Ok(([(header::CONTENT_TYPE, "image/webp")], PICTURE.clone()))
}

/// Fetches from whatever the URL names, inside or outside, and says what came.
async fn import_picture(
    State(products): Products,
    Extension(peers): Extension<Arc<Peers>>,
    _: Claims,
    Path(sku): Path<String>,
    Json(from): Json<From>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    existing(&products, &sku)?;
    let picture = peers.fetch(Method::GET, &from.url, Body::empty()).await?;
    let begins = String::from_utf8_lossy(picture.body.get(..64).unwrap_or(&picture.body)).into_owned();
    let said = json!({"bytes": picture.body.len(), "status": picture.status.as_u16(), "begins": begins});
    Ok((StatusCode::CREATED, Json(said)))
}

async fn recommendations(State(products): Products, claims: Claims) -> Json<Vec<Product>> {
    let extra = Duration::from_millis(mix(claims.user()) % 120);
    tokio::time::sleep(THINKING + extra).await;
    let start = mix(claims.user()) % seed::PRODUCTS;
    Json((0..5).filter_map(|n| products.get(&seed::sku(1 + (start + n) % seed::PRODUCTS))).collect())
}

async fn search_v1(State(products): Products, Query(asked): Query<Search>) -> Json<Vec<String>> {
    Json(matches(&products, &asked.q).into_iter().map(|product| product.sku).collect())
}

async fn search_v2(State(products): Products, Query(asked): Query<Search>) -> Json<Value> {
    let hits = matches(&products, &asked.q);
    Json(json!({"total": hits.len(), "hits": hits}))
}

async fn import(
    State(products): Products,
    claims: Claims,
    Json(imported): Json<Vec<Product>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    claims.require_admin()?;
    let count = imported.len();
    for product in imported {
        products.put(product.sku.clone(), product);
    }
    Ok((StatusCode::ACCEPTED, Json(json!({"imported": count}))))
}

async fn set_price(
    State(products): Products,
    claims: Claims,
    Path(sku): Path<String>,
    Json(asked): Json<Price>,
) -> Result<Json<Product>, Problem> {
    claims.require_admin()?;
    let changed = products.change(&sku, |product| {
        product.price_cents = asked.price_cents;
        Json(product.clone())
    });
    changed.ok_or_else(|| Problem::not_found("product"))
}

fn matches(products: &Table<String, Product>, query: &str) -> Vec<Product> {
    products.select(|product| product.title.contains(query))
}

fn existing(products: &Table<String, Product>, sku: &str) -> Result<Product, Problem> {
    products.get(&sku.to_owned()).ok_or_else(|| Problem::not_found("product"))
}
