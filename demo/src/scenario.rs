//! Attacks on the shop, each beside the honest use that looks like it: one file and one line in
//! [`SCENARIOS`] each. What a run did is printed, so that a detector can be held against the truth.

mod brute_force;
mod enumeration;
mod privilege;

use crate::process;
use crate::seed;
use crate::shopper::{Halt, Journey, Shopper};
use crate::stop::{StopSignal, stopping};
use crate::turnstile::{Budget, Turnstile};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// One kind of abuse.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The entry of the OWASP API Security Top 10 that it belongs to.
    pub(crate) owasp: &'static str,
    /// Requests that either side sends at most.
    requests: u64,
    /// Requests per second of either side.
    rate: f64,
    /// The abuse.
    attack: Act,
    /// Honest use of the same operations, about as often: no detector should raise it.
    twin: Act,
}

/// What one side does.
struct Act {
    /// In a sentence.
    story: &'static str,
    /// Does it, until it is done or no more requests may be sent.
    play: for<'a> fn(&'a mut Shopper) -> Journey<'a>,
}

/// Every scenario.
pub(crate) const SCENARIOS: &[&Scenario] =
    &[&enumeration::SCENARIO, &brute_force::SCENARIO, &privilege::SCENARIO];

/// Options of `scenario`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which one; `list` names them.
    name: String,
    /// The gateway.
    #[arg(long, value_name = "ADDR")]
    gateway: Option<SocketAddr>,
    /// Play the honest twin instead of the attack.
    #[arg(long)]
    twin: bool,
    /// Requests per second, other than the scenario's own.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Requests at most, other than the scenario's own.
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Die with this parent process.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

/// Plays one side of a scenario, or lists them all.
///
/// # Errors
/// When there is no such scenario, no gateway is given, or the gateway does not answer.
pub(crate) async fn run(options: Options) -> Result<()> {
    process::die_with(options.parent)?;
    if options.name == "list" {
        return list();
    }
    let scenario = find(&options.name)?;
    let gateway = options.gateway.context("--gateway ADDR is needed: `apisec-shop up` prints it")?;
    process::set_name("shopper")?;
    play(scenario, gateway, &options).await
}

async fn play(scenario: &Scenario, gateway: SocketAddr, options: &Options) -> Result<()> {
    let rate = options.rate.unwrap_or(scenario.rate);
    ensure!(rate.is_finite() && rate > 0.0, "the rate must be above 0");
    let (stopper, stopping) = stopping();
    let budget = Budget::new(Some(options.requests.unwrap_or(scenario.requests)));
    let mut shopper = Shopper::new(seed::WHOLESALER, gateway, Turnstile::new(rate, 0.0, budget, stopping));
    let act = if options.twin { &scenario.twin } else { &scenario.attack };
    let started = now_us();
    let mut signal = StopSignal::new()?;
    let outcome = {
        let mut playing = (act.play)(&mut shopper);
        tokio::select! {
            outcome = &mut playing => outcome,
            () = signal.wait() => {
                stopper.stop();
                playing.await
            }
        }
    };
    let truth = json!({
        "scenario": scenario.name, "owasp": scenario.owasp, "side": if options.twin { "twin" } else { "attack" },
        "user": shopper.user, "started": started, "ended": now_us(), "result": shopper.tally(),
    });
    writeln!(std::io::stdout(), "{truth}").context("cannot print the result")?;
    if let Err(Halt::Failed) = outcome {
        bail!("{gateway} did not answer")
    }
    Ok(())
}

/// The scenario called `name`.
pub(crate) fn find(name: &str) -> Result<&'static Scenario> {
    let names = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    let found = SCENARIOS.iter().copied().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario {name}; there are {}", names()))
}

fn list() -> Result<()> {
    let mut out = std::io::stdout();
    for scenario in SCENARIOS {
        writeln!(out, "{} ({})", scenario.name, scenario.owasp)?;
        writeln!(out, "  attack  {}", scenario.attack.story)?;
        writeln!(out, "  twin    {}", scenario.twin.story)?;
    }
    Ok(())
}

/// Unix microseconds.
fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scenario");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .collect::<BTreeSet<_>>();
        let registered = SCENARIOS.iter().map(|scenario| scenario.name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(files, registered);
    }

    #[test]
    fn list_is_not_a_scenario() {
        assert!(find("list").is_err());
        assert!(SCENARIOS.iter().all(|scenario| find(scenario.name).is_ok()));
    }
}
