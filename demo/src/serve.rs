//! One server: its role's routes, health and metrics, behind the access log, on one socket.

use crate::access_log::{self, AccessLog};
use crate::clock;
use crate::network::Network;
use crate::peers::{Peer, Peers};
use crate::process;
use crate::service::{self, Service};
use crate::stop::{StopSignal, Stopping, stopping};
use anyhow::{Context as _, Result, ensure};
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long open requests may take to end after the wish to stop; idle connections are closed at once.
const GRACE: Duration = Duration::from_secs(2);
/// How long nobody is accepted after that failed.
const RELIEF: Duration = Duration::from_millis(100);

/// Options of `serve`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to serve.
    #[arg(value_parser = service::find)]
    role: &'static Service,
    /// Where to listen; port 0 picks a free one, printed as one JSON line.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The servers that this one calls.
    #[arg(long, value_name = "ROLE=ADDR", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Write one JSON line per request to this file, which is started anew.
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Die with this parent process.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When a peer that the role needs is missing, the address cannot be listened on, or the log not be created.
pub(crate) async fn run(options: Options) -> Result<()> {
    process::die_with(options.parent)?;
    let role = options.role;
    process::set_name(role.name)?;
    let mut stop = StopSignal::new()?;
    for needed in role.calls {
        ensure!(
            options.peers.iter().any(|peer| peer.role == *needed),
            "{} needs --peers {needed}=ADDR",
            role.name
        );
    }
    let log = Arc::new(AccessLog::create(options.access_log.as_deref())?);
    let app = app(role, Peers::new(&Network::Sockets(None), options.peers), &log);
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    announce(role.name, listener.local_addr()?)?;

    let (stopper, stopping) = stopping();
    let mut connections =
        Connections { app: TowerToHyperService::new(app), log, stopping, open: JoinSet::new() };
    tokio::select! {
        () = connections.accept(&listener) => (),
        () = stop.wait() => stopper.stop(),
    }
    drop(listener);
    connections.close().await.with_context(|| format!("{} did not stop in time", role.name))
}

/// Who is connected.
struct Connections {
    app: TowerToHyperService<Router>,
    log: Arc<AccessLog>,
    stopping: Stopping,
    open: JoinSet<()>,
}

impl Connections {
    /// Accepts clients for ever.
    async fn accept(&mut self, listener: &TcpListener) {
        loop {
            let client = tokio::select! {
                client = listener.accept() => client,
                Some(_ended) = self.open.join_next() => continue,
            };
            match client {
                Ok((stream, peer)) => {
                    without_delay(&stream);
                    let (app, log, stopping) =
                        (self.app.clone(), Arc::clone(&self.log), self.stopping.clone());
                    self.open.spawn(answer(TokioIo::new(stream), peer, app, log, stopping));
                }
                Err(error) => {
                    process::complain(&format!("a client cannot be accepted: {error}"));
                    // Out of descriptors: nothing gets better before some of them are closed.
                    tokio::time::sleep(RELIEF).await;
                }
            }
        }
    }

    /// Waits until the requests under way are answered.
    async fn close(mut self) -> Result<()> {
        let all = async { while self.open.join_next().await.is_some() {} };
        tokio::time::timeout(GRACE, all).await.context("there are still open requests")
    }
}

/// Answers everything that comes over one connection, until either end wants no more.
pub(crate) async fn answer(
    io: impl Read + Write + Unpin + Send + 'static,
    peer: SocketAddr,
    app: TowerToHyperService<Router>,
    log: Arc<AccessLog>,
    mut stopping: Stopping,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        access_log::observe(Arc::clone(&log), app.clone(), request)
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    // A recording has a time of its own, which the HTTP layer does not know.
    http.http1().auto_date_header(!clock::is_recorded());
    http.http2().auto_date_header(!clock::is_recorded());
    let mut connection = pin!(http.serve_connection_with_upgrades(io, service));
    // How a connection ends is the client's business, and what was answered is in the log.
    let _broken = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopping.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

/// The routes of a role, behind its log.
pub(crate) fn app(role: &'static Service, peers: Peers, log: &Arc<AccessLog>) -> Router {
    let metrics = Arc::clone(log);
    (role.router)(Arc::new(peers))
        .route("/health", get(async || Json(json!({"status": "ok", "service": role.name}))))
        .route(
            "/metrics",
            get(async move || {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.metrics(role.name))
            }),
        )
}

/// Says where the server listens, which also says that it does.
fn announce(role: &str, address: SocketAddr) -> Result<()> {
    let line = json!({"listening": address.to_string(), "service": role});
    writeln!(std::io::stdout(), "{line}").context("cannot say where the server listens")
}

fn without_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        process::complain(&format!("answers may be late: {error}"));
    }
}
