//! gRPC: where a parcel is, for the app; and, for whoever asks, which services there are.

use crate::rpc;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Everything that is a call of gRPC: two services, and nothing of any other.
pub(super) async fn call(Path((service, method)): Path<(String, String)>) -> Response<Body> {
    match (service.as_str(), method.as_str()) {
        ("shop.Parcels", "Where") => said("depot 4"),
        ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo") => said("shop.Parcels"),
        // UNIMPLEMENTED.
        _ => ended("12"),
    }
}

/// A message, and that all went well.
fn said(text: &str) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let message = Full::new(Bytes::from(rpc::message(text)));
    let body = message.with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, rpc::CONTENT_TYPE);
    response
}

/// No message: the head says how it ended.
fn ended(status: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, rpc::CONTENT_TYPE);
    fields.insert(STATUS, HeaderValue::from_static(status));
    response
}
