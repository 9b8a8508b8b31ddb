//! The load: simulated customers who go about their business at a steady rate.

pub(crate) mod journey;

use crate::network::{Directory, Network};
use crate::peers::Peer;
use crate::process;
use crate::seed;
use crate::shopper::{Halt, Shopper, Tally};
use crate::stop::{StopSignal, Stopping, stopping};
use crate::turnstile::{Budget, Turnstile};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// Options of `load`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The gateway.
    #[arg(long, value_name = "ADDR")]
    gateway: SocketAddr,
    #[command(flatten)]
    volume: Volume,
    /// Die with this parent process.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

/// How much load there is.
#[derive(Clone, clap::Args)]
pub(crate) struct Volume {
    /// Requests per second, of all customers together; 0 sends none.
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    pub(crate) rate: f64,
    /// Stop after exactly this many requests.
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<u64>,
    /// Customers who are in the shop at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) shoppers: u16,
}

/// Runs until the requests are spent, or SIGINT or SIGTERM, and prints what came back as one JSON line.
///
/// # Errors
/// When the rate makes no sense or the result cannot be printed.
pub(crate) async fn run(options: Options) -> Result<()> {
    process::die_with(options.parent)?;
    process::set_name("load")?;
    let volume = &options.volume;
    ensure!(volume.rate.is_finite() && volume.rate > 0.0, "the rate must be above 0");
    let mut signal = StopSignal::new()?;
    let (stopper, stopping) = stopping();
    let gateway = Peer { role: "gateway".into(), address: options.gateway };
    let directory = Directory::new(Network::Sockets(None), [gateway]);
    let mut shoppers = send_in(&directory, volume, &stopping, journey::JOURNEYS);
    let mut total = Tally::default();
    loop {
        tokio::select! {
            () = signal.wait() => stopper.stop(),
            left = shoppers.join_next() => match left {
                Some(tally) => total.add(&tally.context("a customer crashed")?),
                None => break,
            },
        }
    }
    writeln!(std::io::stdout(), "{}", json!({"load": total})).context("cannot print the result")
}

/// Every customer takes turns with the others: the same rate, evenly shifted.
pub(crate) fn send_in(
    directory: &Directory,
    volume: &Volume,
    stopping: &Stopping,
    journeys: &'static [journey::Journey],
) -> JoinSet<Tally> {
    let count = f64::from(volume.shoppers);
    let budget = Budget::new(volume.requests);
    let mut shoppers = JoinSet::new();
    for number in 0..volume.shoppers {
        let offset = f64::from(number) / count;
        let turnstile = Turnstile::new(volume.rate / count, offset, budget.clone(), stopping.clone());
        let user = seed::WHOLESALER + 1 + u64::from(number) % (seed::USERS - 2);
        let mut shopper = Shopper::new(user, directory.clone(), turnstile.like_a_person(user));
        shopper.move_to(number.wrapping_add(1) as u8);
        shoppers.spawn(stroll(shopper, number, journeys));
    }
    shoppers
}

/// One journey after the other, until no more requests may be sent.
async fn stroll(mut shopper: Shopper, number: u16, journeys: &'static [journey::Journey]) -> Tally {
    // The first journeys differ, so that a short run has seen every kind.
    let mut next = journeys.get(usize::from(number) % journeys.len().max(1));
    while let Some(journey) = next {
        if let Err(Halt::Closed) = (journey.go)(&mut shopper).await {
            break;
        }
        next = journey::draw(journeys, &mut shopper.random);
    }
    shopper.tally().clone()
}
