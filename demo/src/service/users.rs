//! Accounts: log in, profile, address book, administration.
//!
//! Insecure on purpose: log-in has no rate limit, profiles show fields nobody asked for and take any field
//! back, and every customer reads every profile and address book.

use super::Service;
use crate::flaw::Flaw;
use crate::peers::Peers;
use crate::problem::Problem;
use crate::random::mix;
use crate::seed;
use crate::table::Table;
use crate::token::{Claims, Role, issue};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The role.
pub(crate) const SERVICE: Service = Service { name: "users", calls: &[], router };

/// Addresses that one account may keep.
const MAX_ADDRESSES: usize = 20;

#[derive(Clone, Serialize)]
struct User {
    id: u64,
    uuid: String,
    email: String,
    name: String,
    role: Role,
    date_of_birth: String,
    password_hash: String,
    #[serde(skip)]
    password: String,
    #[serde(skip)]
    addresses: Vec<Address>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Address {
    street: String,
    city: String,
    postcode: String,
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct View {
    view: Option<String>,
}

/// The fields that a profile takes; `role` should not be among them.
#[derive(Deserialize)]
struct Profile {
    name: Option<String>,
    role: Option<Role>,
}

type Users = State<Arc<Table<u64, User>>>;

fn router(_: Arc<Peers>) -> Router {
    let users = Table::new(seed::users().map(|id| (id, seeded(id))));
    Router::new()
        .route("/api/login", post(login))
        .route("/api/signup", post(sign_up))
        .route("/api/users/me", get(me))
        .route("/api/users/{user}", get(profile).put(update))
        .route("/api/users/{user}/addresses", get(addresses).post(add_address))
        .route("/api/users/{user}/addresses/{n}", delete(remove_address))
        .route("/api/admin/users", get(everyone))
        .with_state(Arc::new(users))
}

fn seeded(id: u64) -> User {
    let home = Address {
        street: format!("{} Analytical Street", id % 90 + 1),
        city: "Byteford".into(),
        postcode: format!("BF{} 4ML", id % 20 + 1),
    };
    User {
        id,
        uuid: seed::user_uuid(id),
        email: seed::email(id),
        name: seed::name(id).into(),
        role: if id == seed::ADMIN { Role::Admin } else { Role::Customer },
        date_of_birth: format!("19{:02}-{:02}-{:02}", 50 + id % 50, id % 12 + 1, id % 28 + 1),
        password_hash: format!("{:016x}{:016x}", mix(id ^ 1), mix(id ^ 2)),
        password: seed::password(id),
        addresses: vec![home],
    }
}

async fn login(State(users): Users, Json(asked): Json<Credentials>) -> Result<Json<Value>, Problem> {
    if !asked.email.contains('@') {
        return Err(Problem::unprocessable("email must be an e-mail address"));
    }
    let user = users
        .find(|user| user.email == asked.email && user.password == asked.password)
        .ok_or_else(|| Problem::unauthorized("wrong e-mail address or password"))?;
    let token = issue(&Claims::new(user.id, user.role))?;
    Ok(Json(json!({"token": token, "token_type": "Bearer", "user": user.id, "uuid": user.uuid})))
}

/// Anybody may open an account, as often as they like; nobody checks the address.
async fn sign_up(
    State(users): Users,
    Json(asked): Json<Credentials>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !asked.email.contains('@') {
        return Err(Problem::unprocessable("email must be an e-mail address"));
    }
    let id = seed::FIRST_NEWCOMER + users.select(|user| user.id >= seed::FIRST_NEWCOMER).len() as u64;
    users.put(id, User { email: asked.email, password: asked.password, ..seeded(id) });
    Ok((StatusCode::CREATED, Json(json!({"user": id}))))
}

async fn me(State(users): Users, claims: Claims) -> Result<Json<Value>, Problem> {
    let user = users.get(&claims.user()).ok_or_else(|| Problem::not_found("user"))?;
    Ok(Json(shown(&user, Flaw::FatProfile.is_open())))
}

async fn profile(
    State(users): Users,
    _: Claims,
    Path(id): Path<u64>,
    Query(asked): Query<View>,
) -> Result<Json<Value>, Problem> {
    let user = users.get(&id).ok_or_else(|| Problem::not_found("user"))?;
    let mut shown = shown(&user, Flaw::FatProfile.is_open());
    if asked.view.as_deref() == Some("support") {
        // What the support desk sees; whoever finds the parameter sees it too.
        let card = format!("4{:014}", mix(id) % 100_000_000_000_000);
        let check = luhn(&card);
        merge(&mut shown, json!({"password_hash": user.password_hash, "card": format!("{card}{check}")}));
    }
    Ok(Json(shown))
}

/// The account as its owner sees it; `fat` leaves nothing out.
fn shown(user: &User, fat: bool) -> Value {
    let mut shown = serde_json::to_value(user).unwrap_or_default();
    if let (Some(fields), false) = (shown.as_object_mut(), fat) {
        fields.remove("password_hash");
        fields.remove("date_of_birth");
    }
    shown
}

fn merge(shown: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
        fields.extend(more);
    }
}

/// The digit that makes a number of a payment card valid (ISO/IEC 7812-1).
fn luhn(digits: &str) -> u32 {
    let sum = digits.bytes().rev().enumerate().fold(0, |sum, (place, digit)| {
        let digit = u32::from(digit.saturating_sub(b'0'));
        let doubled = if place % 2 == 0 { digit * 2 } else { digit };
        sum + doubled / 10 + doubled % 10
    });
    (10 - sum % 10) % 10
}

async fn update(
    State(users): Users,
    _: Claims,
    Path(id): Path<u64>,
    Json(asked): Json<Profile>,
) -> Result<Json<Value>, Problem> {
    users
        .change(&id, |user| {
            user.name = asked.name.unwrap_or_else(|| user.name.clone());
            user.role = asked.role.unwrap_or(user.role);
            Json(shown(user, Flaw::FatProfile.is_open()))
        })
        .ok_or_else(|| Problem::not_found("user"))
}

async fn addresses(
    State(users): Users,
    _: Claims,
    Path(uuid): Path<String>,
) -> Result<Json<Vec<Address>>, Problem> {
    Ok(Json(by_uuid(&users, &uuid)?.addresses))
}

async fn add_address(
    State(users): Users,
    _: Claims,
    Path(uuid): Path<String>,
    Json(address): Json<Address>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = by_uuid(&users, &uuid)?.id;
    let added = users.change(&id, |user| {
        user.addresses.push(address);
        user.addresses.len()
    });
    let count = added.ok_or_else(|| Problem::not_found("user"))?;
    // The oldest goes, so that a customer who never tidies up does not fill the memory.
    users.change(&id, |user| user.addresses.drain(..count.saturating_sub(MAX_ADDRESSES)).count());
    Ok((StatusCode::CREATED, Json(json!({"address": count.min(MAX_ADDRESSES)}))))
}

async fn remove_address(
    State(users): Users,
    _: Claims,
    Path((uuid, n)): Path<(String, usize)>,
) -> Result<StatusCode, Problem> {
    let id = by_uuid(&users, &uuid)?.id;
    let removed = users.change(&id, |user| {
        let index = n.checked_sub(1).filter(|index| *index < user.addresses.len())?;
        Some(user.addresses.remove(index))
    });
    removed.flatten().map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::not_found("address"))
}

async fn everyone(State(users): Users, claims: Claims) -> Result<Json<Vec<Value>>, Problem> {
    claims.require_admin()?;
    let fat = Flaw::FatProfile.is_open();
    Ok(Json(users.select(|_| true).iter().map(|user| shown(user, fat)).collect()))
}

fn by_uuid(users: &Table<u64, User>, uuid: &str) -> Result<User, Problem> {
    users.find(|user| user.uuid == uuid).ok_or_else(|| Problem::not_found("user"))
}
