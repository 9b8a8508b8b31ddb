//! The WebSocket: every message of the client is answered with where the parcel is.

use crate::frame::{self, Side};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tungstenite::handshake::derive_accept_key;

/// Accepts everybody.
pub(super) async fn upgrade(mut request: Request) -> Result<Response<Body>, Problem> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let key = key.map(|key| derive_accept_key(key.as_bytes()));
    let key = key.ok_or_else(|| Problem::new(StatusCode::UPGRADE_REQUIRED, "a WebSocket is expected"))?;
    let upgrade = hyper::upgrade::on(&mut request);
    drop(tokio::spawn(follow(upgrade)));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(
        header::SEC_WEBSOCKET_ACCEPT,
        HeaderValue::try_from(key).unwrap_or(HeaderValue::from_static("")),
    );
    Ok(response)
}

/// Answers until the client has gone.
async fn follow(upgrade: OnUpgrade) {
    let Ok(io) = upgrade.await else { return };
    let mut io = TokioIo::new(io);
    while let Ok(Some(asked)) = frame::receive(&mut io).await {
        let place = asked.len() % 7;
        let said = format!("{{\"type\":\"parcel\",\"depot\":{place},\"km\":{}}}", place * 11);
        if frame::send(&mut io, Side::Server, &said).await.is_err() {
            return;
        }
    }
    let _gone = frame::close(&mut io, Side::Server).await;
}
