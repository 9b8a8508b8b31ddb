//! A customer of the shop, or someone who pretends to be one: sends requests through the gateway and
//! counts what comes back.

use crate::client::{self, Answer, Pool};
use crate::random::Random;
use crate::seed;
use crate::turnstile::{Closed, Turnstile};
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;

/// What shoppers call themselves.
const USER_AGENT: HeaderValue = HeaderValue::from_static("shop-web/1.0");

/// Why a journey ends early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// No more requests may be sent.
    Closed,
    /// This one went wrong; it is in the tally.
    Failed,
}

/// What a step of a journey comes to.
pub(crate) type Outcome<T = ()> = Result<T, Halt>;

/// A journey under way.
pub(crate) type Journey<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What was sent and what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Requests sent.
    pub(crate) sent: u64,
    /// Requests without a whole answer.
    pub(crate) failed: u64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

impl Tally {
    /// Adds what another one counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.failed += other.failed;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }

    fn count(&mut self, status: Option<StatusCode>) {
        self.sent += 1;
        match status {
            Some(status) => *self.statuses.entry(status.as_u16()).or_default() += 1,
            None => self.failed += 1,
        }
    }
}

/// One of them, with connections of its own.
pub(crate) struct Shopper {
    /// The account that it uses.
    pub(crate) user: u64,
    /// Decides what it does.
    pub(crate) random: Random,
    token: Option<HeaderValue>,
    pool: Pool,
    gateway: SocketAddr,
    turnstile: Turnstile,
    tally: Tally,
}

impl Shopper {
    /// Someone who uses the account `user` and sends to `gateway` as `turnstile` lets them.
    pub(crate) fn new(user: u64, gateway: SocketAddr, turnstile: Turnstile) -> Self {
        let random = Random::new(user);
        Self { user, random, token: None, pool: client::pool(), gateway, turnstile, tally: Tally::default() }
    }

    /// What was counted so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Changes to another account, or the same one afresh, and logs in with its password.
    pub(crate) async fn log_in(&mut self, user: u64) -> Outcome {
        self.user = user;
        self.token = None;
        self.try_password(&seed::password(user)).await.map(|_| ())
    }

    /// Tries to log in and keeps the token if it worked.
    pub(crate) async fn try_password(&mut self, password: &str) -> Outcome<Answer> {
        let credentials = json!({"email": seed::email(self.user), "password": password});
        let answer = self.post("/api/login", &credentials).await?;
        if let Some(token) = answer.json().get("token").and_then(Value::as_str) {
            self.token = HeaderValue::try_from(format!("Bearer {token}")).ok();
        }
        Ok(answer)
    }

    /// Forgets the token.
    pub(crate) fn log_out(&mut self) {
        self.token = None;
    }

    /// Whether there is a token.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.token.is_some()
    }

    /// Sends GET.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends POST with a JSON body.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Outcome<Answer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Sends PUT with a JSON body.
    pub(crate) async fn put(&mut self, path: &str, body: &Value) -> Outcome<Answer> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// Sends DELETE.
    pub(crate) async fn delete(&mut self, path: &str) -> Outcome<Answer> {
        self.ask(Method::DELETE, path, None).await
    }

    /// Sends any request when its turn has come, on a connection that stays open.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Answer> {
        let request = self.request(method, path, body)?;
        self.send(request).await
    }

    /// Sends GET on a connection that closes after it, as monitoring probes do.
    pub(crate) async fn probe(&mut self, path: &str) -> Outcome<Answer> {
        let mut request = self.request(Method::GET, path, None)?;
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Body>) -> Outcome<Answer> {
        self.turnstile.pass().await.map_err(|Closed| Halt::Closed)?;
        let answer = client::ask(&self.pool, request).await;
        self.tally.count(answer.as_ref().ok().map(|answer| answer.status));
        answer.map_err(|_counted| Halt::Failed)
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Request<Body>> {
        let uri: Uri = format!("http://{}{path}", self.gateway).parse().map_err(|_bad_path| Halt::Failed)?;
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, USER_AGENT);
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = &self.token {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        Ok(request)
    }
}
