//! The truth that observers are compared with: one JSON line for every request that a server answered.
//!
//! A line is written when the last byte of the body was handed to the connection, or when the connection
//! gave the response up. Requests that are too broken for the HTTP parser (hyper answers them 400) get
//! none. The query is left out, for it may hold secrets.

use crate::problem::Problem;
use crate::process::complain;
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Largest request body that a server reads; larger ones are answered 413.
const MAX_REQUEST_BODY: usize = 4 << 20;

/// One request, as it is written.
#[derive(Serialize)]
struct Line<'a> {
    /// When the head of the request had arrived, Unix microseconds.
    ts: u64,
    /// The client's end of the connection.
    peer: Option<SocketAddr>,
    method: &'a str,
    path: &'a str,
    /// 0: the client went away before there was an answer.
    status: u16,
    /// Bytes of the body, without chunk framing.
    request_bytes: u64,
    /// Bytes of the body, without chunk framing.
    response_bytes: u64,
    /// From the head of the request to the last byte of the response, microseconds.
    duration_us: u64,
    /// Whether the response was sent to its end.
    complete: bool,
}

/// Where the lines go, and how many responses of each class there were.
pub(crate) struct AccessLog {
    file: Option<Mutex<File>>,
    /// By the first digit of the status, 0 for no answer.
    classes: [AtomicU64; 6],
}

impl AccessLog {
    /// Starts the file anew; `None` only counts.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(crate) fn create(path: Option<&Path>) -> Result<Self> {
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
        Ok(Self { file: path.map(create).transpose()?.map(Mutex::new), classes: Default::default() })
    }

    /// Responses by class, in the Prometheus text format.
    pub(crate) fn metrics(&self, service: &str) -> String {
        let mut text = String::from("# TYPE http_requests_total counter\n");
        for (class, count) in self.classes.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            text.push_str(&format!(
                "http_requests_total{{service=\"{service}\",class=\"{class}xx\"}} {count}\n"
            ));
        }
        text
    }

    fn write(&self, line: &Line<'_>) {
        if let Some(count) = self.classes.get(usize::from(line.status / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
        });
        if let Err(error) = written {
            complain(&format!("a line of the access log is lost: {error}"));
        }
    }
}

/// A request that is being answered. Writes its line when it is dropped, however that comes.
struct Entry {
    log: Arc<AccessLog>,
    at: SystemTime,
    started: Instant,
    peer: Option<SocketAddr>,
    method: Method,
    path: String,
    status: u16,
    request_bytes: u64,
    response_bytes: u64,
    complete: bool,
}

impl Entry {
    fn new(log: Arc<AccessLog>, request: &Request<Incoming>) -> Self {
        Self {
            log,
            at: SystemTime::now(),
            started: Instant::now(),
            peer: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            complete: false,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let since_epoch = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.log.write(&Line {
            ts: since_epoch.as_micros() as u64,
            peer: self.peer,
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            duration_us: self.started.elapsed().as_micros() as u64,
            complete: self.complete,
        });
    }
}

/// Answers `request` with `app` and logs it.
///
/// The entry begins here and not in the future: the HTTP layer drops a future that it never polled when
/// the client has closed by the time its request is read, and that request was on the wire all the same.
pub(crate) fn observe(
    log: Arc<AccessLog>,
    app: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> {
    let entry = Entry::new(log, &request);
    answer(entry, app, request)
}

/// Reads the request body whole first, as buffering proxies do: a handler that ignores a body would
/// otherwise leave it uncounted.
async fn answer(
    mut entry: Entry,
    app: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let response = match axum::body::to_bytes(Body::new(body), MAX_REQUEST_BODY).await {
        Ok(body) => {
            entry.request_bytes = body.len() as u64;
            app.call(Request::from_parts(head, Body::from(body))).await?
        }
        Err(_) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off").into_response()
        }
    };
    entry.status = response.status().as_u16();
    Ok(response.map(|body| Body::new(Counted { body, entry })))
}

/// A response body that counts its bytes for the log.
struct Counted {
    body: Body,
    entry: Entry,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            this.entry.response_bytes += data.len() as u64;
        }
        this.entry.complete = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Nobody polls a body to its end that is known to be at its end, nor the body of an answer to HEAD.
        self.entry.complete |= self.body.is_end_stream() || self.entry.method == Method::HEAD;
    }
}
