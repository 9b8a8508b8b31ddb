//! One server: its role's routes, health and metrics, behind the access log, on one socket.

use crate::access_log::{self, AccessLog};
use crate::peers::{Peer, Peers};
use crate::process;
use crate::service::{self, Service};
use crate::stop::StopSignal;
use anyhow::{Context as _, Result, bail, ensure};
use axum::http::header;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router, middleware};
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long open requests may take to end after the wish to stop; idle connections are closed at once.
const GRACE: Duration = Duration::from_secs(2);

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
    let app = app(role, Peers::new(options.peers), log);
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    announce(role.name, listener.local_addr()?)?;

    let listener = listener.tap_io(without_delay);
    let (stopped, stopping) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stopping.await.unwrap_or_default() })
        .into_future();
    let server = tokio::spawn(server);
    stop.wait().await;
    let _already_stopped = stopped.send(());
    match tokio::time::timeout(GRACE, server).await {
        Ok(ended) => ended?.context("the server failed"),
        Err(_elapsed) => {
            bail!("{} still had open requests {} s after the signal", role.name, GRACE.as_secs())
        }
    }
}

fn app(role: &'static Service, peers: Peers, log: Arc<AccessLog>) -> Router {
    let metrics = Arc::clone(&log);
    (role.router)(Arc::new(peers))
        .route("/health", get(async || Json(json!({"status": "ok", "service": role.name}))))
        .route(
            "/metrics",
            get(async move || {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.metrics(role.name))
            }),
        )
        .layer(middleware::from_fn_with_state(log, access_log::observe))
}

/// Says where the server listens, which also says that it does.
fn announce(role: &str, address: SocketAddr) -> Result<()> {
    let line = json!({"listening": address.to_string(), "service": role});
    writeln!(std::io::stdout(), "{line}").context("cannot say where the server listens")
}

fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        process::complain(&format!("answers may be late: {error}"));
    }
}
