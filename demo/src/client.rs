//! HTTP connections to others, kept open between requests, and whole answers read from them.

use crate::network::{Dialer, Network};
use anyhow::{Context as _, Result, anyhow};
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;

/// Largest answer that is read whole; the shop's largest own answer (the export) stays below.
const MAX_ANSWER: usize = 8 << 20;
/// The slowest operation takes under a second; ten times that is a failure, not slowness.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of keep-alive connections.
pub(crate) type Pool = Client<Dialer, Body>;

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An empty pool of connections through `network`.
pub(crate) fn pool(network: &Network) -> Pool {
    Client::builder(TokioExecutor::new()).build(Dialer::new(network.clone()))
}

/// The same for servers that speak HTTP/2 without asking for it, as gRPC does.
pub(crate) fn pool_of_http2(network: &Network) -> Pool {
    Client::builder(TokioExecutor::new()).http2_only(true).build(Dialer::new(network.clone()))
}

/// Sends a request and returns the head of the response, its body still on the way.
///
/// # Errors
/// When there is no connection, no response in [`TIMEOUT`], or not HTTP.
pub(crate) async fn send(pool: &Pool, request: Request<Body>) -> Result<Response<Incoming>> {
    let answer = tokio::time::timeout(TIMEOUT, pool.request(request)).await;
    answer.map_err(|_late| anyhow!("no response in {} s", TIMEOUT.as_secs()))?.context("no response")
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// As [`send`], and when the body breaks off, is too slow or larger than [`MAX_ANSWER`].
pub(crate) async fn ask(pool: &Pool, request: Request<Body>) -> Result<Answer> {
    let response = send(pool, request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
    let body = tokio::time::timeout(TIMEOUT, body).await.context("the body of the response is too slow")?;
    let body = body.map_err(|error| anyhow!("the body of the response broke off: {error}"))?;
    Ok(Answer { status, body: body.to_bytes() })
}
