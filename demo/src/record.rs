//! `record`: a scenario as a capture file, made without sockets, rights or waiting.
//!
//! Every server and customer runs in this process over a [`Wire`] whose bytes are written down with the time of a
//! clock that passes only while everybody waits. Minutes take seconds, and come out the same each time. What is on
//! the tape was said by the real servers; addresses and TCP headers are made up.

mod tape;
mod wire;

pub(crate) use wire::{Tap, Wire};

use crate::access_log::AccessLog;
use crate::clock;
use crate::flaw;
use crate::load::{self, Volume, journey};
use crate::network::{Directory, Network};
use crate::peers::{Peer, Peers};
use crate::random::mix;
use crate::scenario::{self, History, Scenario};
use crate::serve;
use crate::service::{SERVICES, Service};
use crate::stop::{Stopping, stopping};
use crate::turnstile::{Budget, Turnstile};
use anyhow::{Context as _, Result, ensure};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use wire::Accepted;

/// The port of every server of the shop.
const PORT: u16 = 8080;
/// Where the others are: the courier and suppliers, whoever takes what they are sent, and the cloud's metadata.
const OUTSIDE: [Ipv4Addr; 3] =
    [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 66), Ipv4Addr::new(169, 254, 169, 254)];
/// After the last request of the scenario, so that what it leads to is on the tape too.
const AFTERMATH: Duration = Duration::from_secs(5);

/// Options of `record`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which scenario; `none` records the customers only.
    name: String,
    /// The honest twin instead of the attack.
    #[arg(long)]
    twin: bool,
    /// Where to write the capture file; `-` is standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Seconds of the customers alone before the scenario begins, other than it needs.
    #[arg(long, value_name = "N")]
    before: Option<u64>,
    /// Requests of the customers per second, other than the scenario needs.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
}

/// Plays the scenario and writes the file.
///
/// # Errors
/// When there is no such scenario, the shop does not answer, or the file cannot be written.
pub(crate) async fn run(options: Options) -> Result<()> {
    let scenario = (options.name != "none").then(|| scenario::find(&options.name)).transpose()?;
    let history = scenario.map_or(History::default(), |scenario| scenario.history);
    let rate = options.rate.unwrap_or(history.rate);
    ensure!(rate.is_finite() && rate > 0.0, "the rate must be above 0");
    clock::begin_recording();
    let attacked = scenario.filter(|_| !options.twin);
    flaw::close_all_but(attacked.map_or(&[], |scenario| scenario.flaws));
    let wire = Arc::new(Wire::new([
        ("pictures.supplier.example", OUTSIDE[0].into()),
        ("drop.example", OUTSIDE[1].into()),
    ]));
    let (stopper, stopping) = stopping();
    let mut shop = open(&wire, &stopping)?;
    let customers = Network::Wire(Arc::clone(&wire), Ipv4Addr::LOCALHOST.into());
    let directory = Directory::new(customers, SERVICES.iter().zip(0..).map(|(service, n)| peer(service, n)));
    let volume = Volume { rate, requests: None, shoppers: history.shoppers };
    let mut shoppers = load::send_in(&directory, &volume, &stopping, journey::CLEAN_JOURNEYS);
    tokio::time::sleep(Duration::from_secs(options.before.unwrap_or(history.recorded))).await;
    if let Some(scenario) = scenario {
        play(scenario, directory, &stopping, options.twin).await?;
    }
    tokio::time::sleep(AFTERMATH).await;
    // In which order everybody goes home differs from time to time: that is not on the tape.
    let tape = wire.take_tape();
    stopper.stop();
    while shoppers.join_next().await.is_some() {}
    while shop.join_next().await.is_some() {}
    write(&options.out, &tape)
}

/// One side of the scenario, told on standard error: standard output may be the file.
async fn play(scenario: &Scenario, directory: Directory, stopping: &Stopping, twin: bool) -> Result<()> {
    let budget = Budget::new(Some(scenario.requests));
    let turnstile = Turnstile::new(scenario.rate, 0.0, budget, stopping.clone());
    let mut shopper = scenario.visitor(directory, turnstile, twin);
    let started = clock::now();
    let ended = scenario.play(twin, &mut shopper).await;
    let truth = json!({
        "scenario": scenario.name, "owasp": scenario.owasp, "raises": scenario.raises,
        "side": if twin { "twin" } else { "attack" }, "started": started.as_micros() as u64,
        "ended": clock::now().as_micros() as u64, "result": shopper.tally(),
    });
    writeln!(std::io::stderr(), "{truth}").context("cannot print the result")?;
    ensure!(!matches!(ended, Err(crate::shopper::Halt::Failed)), "the shop did not answer: {truth}");
    Ok(())
}

/// Every server, answering.
fn open(wire: &Arc<Wire>, stopping: &Stopping) -> Result<JoinSet<()>> {
    let mut shop = JoinSet::new();
    for (service, n) in SERVICES.iter().zip(0..) {
        let ours = peer(service, n);
        let network = Network::Wire(Arc::clone(wire), ours.address.ip());
        let peers = SERVICES.iter().zip(0..).map(|(service, n)| peer(service, n));
        let peers = peers.filter(|peer| service.calls.contains(&peer.role.as_str())).collect();
        let log = Arc::new(AccessLog::create(None)?);
        let app = serve::app(service, Peers::new(&network, peers), &log);
        for address in addresses(&ours) {
            let accepted = wire.listen(address);
            shop.spawn(serve(accepted, app.clone(), Arc::clone(&log), stopping.clone()));
        }
    }
    Ok(shop)
}

/// Answers what comes in, each connection a moment after it was opened.
async fn serve(
    mut accepted: tokio::sync::mpsc::UnboundedReceiver<Accepted>,
    app: axum::Router,
    log: Arc<AccessLog>,
    mut stopping: Stopping,
) {
    let app = TowerToHyperService::new(app.layer(axum::middleware::from_fn(take_time)));
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => break,
            connection = accepted.recv() => {
                let Some((tap, peer)) = connection else { break };
                let (app, log) = (app.clone(), Arc::clone(&log));
                open.spawn(serve::answer(TokioIo::new(tap), peer, app, log, stopping.clone()));
            }
        }
    }
    while open.join_next().await.is_some() {}
}

/// Nothing takes no time: a few milliseconds, by what was asked.
async fn take_time(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let length = request.uri().path().len() as u64;
    tokio::time::sleep(Duration::from_micros(900 + mix(length) % 4_000)).await;
    next.run(request).await
}

/// Where the `n`th service is.
fn peer(service: &Service, n: u8) -> Peer {
    let ours = Ipv4Addr::new(10, 20, 0, 10_u8.saturating_add(n));
    let address = if service.name == "outside" { (OUTSIDE[0], 80) } else { (ours, PORT) };
    Peer { role: service.name.to_owned(), address: SocketAddr::new(IpAddr::V4(address.0), address.1) }
}

/// Everything that a server is known as.
fn addresses(peer: &Peer) -> Vec<SocketAddr> {
    if peer.role == "outside" {
        OUTSIDE.iter().map(|ip| SocketAddr::from((*ip, 80))).collect()
    } else {
        vec![peer.address]
    }
}

fn write(out: &std::path::Path, file: &[u8]) -> Result<()> {
    if out.as_os_str() == "-" {
        return std::io::stdout().write_all(file).context("cannot write to standard output");
    }
    std::fs::write(out, file).with_context(|| format!("cannot write {}", out.display()))
}
