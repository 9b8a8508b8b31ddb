//! What the courier asks for a parcel: an interface of somebody else, in plain text over the network.
//!
//! Insecure on purpose: the answer is not looked at, and a redirect is followed wherever it leads.

use crate::peers::Peers;
use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, header};
use serde_json::Value;

/// The courier's name.
const HOST: HeaderValue = HeaderValue::from_static("rates.courier.example");

/// Asks the courier.
///
/// # Errors
/// When the courier does not answer.
pub(super) async fn rate(peers: &Peers, order: u64, service: &str) -> Result<Value, Problem> {
    let service: String = service.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut request = Request::new(Body::empty());
    let target = format!("/v1/rates?order={order}&service={service}");
    *request.uri_mut() = target.parse().map_err(|_invalid| Problem::unprocessable("no such service"))?;
    request.headers_mut().insert(header::HOST, HOST);
    let answer = peers.ask("outside", request).await?;
    match answer.json().get("moved").and_then(Value::as_str) {
        Some(elsewhere) => Ok(peers.fetch(Method::GET, elsewhere, Body::empty()).await?.json()),
        None => Ok(answer.json()),
    }
}
