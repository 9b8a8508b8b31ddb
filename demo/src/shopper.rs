//! A customer of the shop, or someone who pretends to be one: sends requests through the gateway and
//! counts what comes back.

use crate::client::{self, Answer, Pool};
use crate::frame::{self, Side};
use crate::network::{Directory, Network};
use crate::random::Random;
use crate::rpc;
use crate::seed;
use crate::turnstile::{Closed, Turnstile};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::Pin;

/// What shoppers call themselves.
const USER_AGENT: HeaderValue = HeaderValue::from_static("shop-web/1.0");

/// What the proxy in front of the shop, which ends TLS, adds.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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
    /// Fields that every request has.
    fields: HeaderMap,
    token: Option<HeaderValue>,
    pool: Pool,
    /// Connections for gRPC.
    calls: Pool,
    directory: Directory,
    turnstile: Turnstile,
    tally: Tally,
    /// How often it began afresh.
    visits: u8,
}

/// What a request has that came through the proxy in front.
fn fields() -> HeaderMap {
    let host = HeaderValue::from_static("api.shop.example");
    HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_static("https")), (header::HOST, host)])
}

impl Shopper {
    /// Someone who uses the account `user` and sends as `turnstile` lets them.
    pub(crate) fn new(user: u64, directory: Directory, turnstile: Turnstile) -> Self {
        let network = &directory.network;
        let (pool, calls) = (client::pool(network), client::pool_of_http2(network));
        let (random, fields, tally) = (Random::new(user), fields(), Tally::default());
        Self { user, random, fields, token: None, pool, calls, directory, turnstile, tally, visits: 0 }
    }

    /// Goes on from another machine, with connections of its own and whatever credential there is.
    pub(crate) fn move_to(&mut self, machine: u8) {
        let address = Ipv4Addr::new(198, 51, 100, machine);
        self.directory.network = self.directory.network.at(address, self.directory.address("gateway"));
        self.pool = client::pool(&self.directory.network);
        self.calls = client::pool_of_http2(&self.directory.network);
    }

    /// Adds a field to every request from now on, or takes it out.
    pub(crate) fn set_field(&mut self, name: &'static str, value: Option<&str>) {
        let name = HeaderName::from_static(name);
        match value.and_then(|value| HeaderValue::from_str(value).ok()) {
            Some(value) => drop(self.fields.insert(name, value)),
            None => drop(self.fields.remove(name)),
        }
    }

    /// Shows this token from now on, right or wrong.
    pub(crate) fn present(&mut self, token: &str) {
        self.token = HeaderValue::try_from(format!("Bearer {token}")).ok();
    }

    /// A URL of somebody who is not the shop.
    pub(crate) fn elsewhere(&self, host: &str, path: &str) -> String {
        match self.directory.network {
            Network::Wire(..) => format!("http://{host}{path}"),
            Network::Sockets(_) => format!("http://{}{path}", self.directory.address("outside")),
        }
    }

    /// A URL of one of the shop's own servers, as they know each other.
    pub(crate) fn inside(&self, role: &str, path: &str) -> String {
        format!("http://{}{path}", self.directory.address(role))
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

    /// Sends POST to one of the servers behind the gateway.
    pub(crate) async fn post_behind(&mut self, role: &str, path: &str, body: &Value) -> Outcome<Answer> {
        let url = self.inside(role, path);
        let mut request = self.request(Method::POST, path, Some(body))?;
        *request.uri_mut() = url.parse().map_err(|_bad_path| Halt::Failed)?;
        self.send(request).await
    }

    /// Calls a method of the storefront's gRPC with one text.
    pub(crate) async fn call(&mut self, method: &str, text: &str) -> Outcome<Answer> {
        let url = self.inside("storefront", method);
        let mut request = self.request(Method::POST, method, None)?;
        *request.uri_mut() = url.parse().map_err(|_bad_path| Halt::Failed)?;
        *request.body_mut() = Body::from(rpc::message(text));
        let fields = request.headers_mut();
        // HTTP/2 names the host in a field of its own.
        fields.remove(header::HOST);
        fields.insert(header::CONTENT_TYPE, rpc::CONTENT_TYPE);
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
        let pool = self.calls.clone();
        self.send_over(&pool, request).await
    }

    /// Has the assistant use one of its tools.
    pub(crate) async fn tool(&mut self, name: &str, arguments: &Value) -> Outcome<Answer> {
        let parameters = json!({"name": name, "arguments": arguments});
        let id = self.tally.sent;
        let asked = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": parameters});
        let mut request = self.request(Method::POST, "/mcp", Some(&asked))?;
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(header::ACCEPT, accepted);
        self.send(request).await
    }

    /// Lets one turn pass.
    pub(crate) async fn pause(&mut self) -> Outcome {
        self.turnstile.pass().await.map_err(|Closed| Halt::Closed)
    }

    /// Forgets who it was and what it said about itself, and is a new visitor on a new machine.
    pub(crate) fn start_afresh(&mut self) {
        self.token = None;
        self.fields = fields();
        self.visits = self.visits.wrapping_add(1);
        self.move_to(160 + self.visits % 40);
    }

    /// Opens the WebSocket of the storefront and says `messages`, each when its turn has come.
    pub(crate) async fn talk(&mut self, messages: &[String]) -> Outcome {
        self.talk_slowly(messages, 0).await
    }

    /// The same, with as many turns in between as `pauses`.
    pub(crate) async fn talk_slowly(&mut self, messages: &[String], pauses: usize) -> Outcome {
        let mut request = self.request(Method::GET, "/live", None)?;
        *request.uri_mut() = self.inside("storefront", "/live").parse().map_err(|_bad_path| Halt::Failed)?;
        let fields = request.headers_mut();
        fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        fields.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // The nonce of RFC 6455 §1.3: nothing here depends on its being one.
        fields.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        self.turnstile.pass().await.map_err(|Closed| Halt::Closed)?;
        let answer = client::send(&self.pool, request).await;
        self.tally.count(answer.as_ref().ok().map(|answer| answer.status()));
        let answer = answer.map_err(|_counted| Halt::Failed)?;
        let mut io = TokioIo::new(hyper::upgrade::on(answer).await.map_err(|_refused| Halt::Failed)?);
        for message in messages {
            for _ in 0..pauses {
                self.pause().await?;
            }
            self.turnstile.pass().await.map_err(|Closed| Halt::Closed)?;
            frame::send(&mut io, Side::Client, message).await.map_err(|_gone| Halt::Failed)?;
            frame::receive(&mut io).await.map_err(|_gone| Halt::Failed)?;
        }
        frame::close(&mut io, Side::Client).await.map_err(|_gone| Halt::Failed)
    }

    /// Sends GET on a connection that closes after it, as monitoring probes do.
    pub(crate) async fn probe(&mut self, path: &str) -> Outcome<Answer> {
        let mut request = self.request(Method::GET, path, None)?;
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Body>) -> Outcome<Answer> {
        let pool = self.pool.clone();
        self.send_over(&pool, request).await
    }

    async fn send_over(&mut self, pool: &Pool, request: Request<Body>) -> Outcome<Answer> {
        self.turnstile.pass().await.map_err(|Closed| Halt::Closed)?;
        let answer = client::ask(pool, request).await;
        self.tally.count(answer.as_ref().ok().map(|answer| answer.status));
        answer.map_err(|_counted| Halt::Failed)
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Request<Body>> {
        let uri: Uri = format!("http://{}{path}", self.directory.address("gateway"))
            .parse()
            .map_err(|_bad_path| Halt::Failed)?;
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.extend(self.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = &self.token {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        Ok(request)
    }
}
