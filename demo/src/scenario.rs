//! Attacks on the shop, each beside the honest use that looks like it: one file and one line in
//! [`SCENARIOS`] each. What a run did is printed, so that a detector can be held against the truth.

mod agent_loop;
mod agent_scope;
mod brute_force;
mod endless_token;
mod enumeration;
mod exfiltration;
mod exhaustion;
mod expired_token;
mod foreign_charge;
mod forged_request;
mod forged_token;
mod graphql_batching;
mod graphql_introspection;
mod grpc_mapping;
mod lateral_reading;
mod misconfiguration;
mod mixed;
mod old_version;
mod open_mailbox;
mod overexposure;
mod overposting;
mod ownership;
mod poisoned_supply;
mod privilege;
mod scalping;
mod scraping;
mod signup_farm;
mod skipped_steps;
mod socket_flood;
mod socket_hijack;
mod stuffing;
mod tampering;
mod token_in_url;
mod token_replay;
mod voucher_guessing;
mod weak_secret;

use crate::flaw::Flaw;
use crate::network::{Directory, Network};
use crate::peers::Peer;
use crate::process;
use crate::seed;
use crate::shopper::{Halt, Journey, Shopper};
use crate::stop::{StopSignal, stopping};
use crate::turnstile::{Budget, Turnstile};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// One kind of abuse.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The entry of the OWASP API Security Top 10 that it belongs to.
    pub(crate) owasp: &'static str,
    /// Ids of the detectors that must notice the attack, and that must not notice the twin.
    pub(crate) raises: &'static [&'static str],
    /// Flaws of the shop that the attack needs, and that would show without it.
    pub(crate) flaws: &'static [Flaw],
    /// What must be known of honest use before the attack can be told from it.
    pub(crate) history: History,
    /// Requests that either side sends at most.
    pub(crate) requests: u64,
    /// Requests per second of either side.
    pub(crate) rate: f64,
    /// The abuse.
    attack: Act,
    /// Honest use of the same operations, about as often: no detector should raise it.
    twin: Act,
}

impl Scenario {
    /// Whoever plays one of the sides: a program, or, as the twin, somebody with thoughts of their own.
    pub(crate) fn visitor(&self, directory: Directory, turnstile: Turnstile, twin: bool) -> Shopper {
        let turnstile = if twin { turnstile.like_a_person(seed::WHOLESALER) } else { turnstile };
        let mut shopper = Shopper::new(seed::WHOLESALER, directory, turnstile);
        shopper.move_to(VISITOR);
        shopper
    }

    /// Plays one of the sides.
    pub(crate) fn play<'a>(&self, twin: bool, shopper: &'a mut Shopper) -> Journey<'a> {
        let act = if twin { &self.twin } else { &self.attack };
        (act.play)(shopper)
    }
}

/// Honest use before a scenario.
#[derive(Clone, Copy)]
pub(crate) struct History {
    /// Seconds of it in a recording.
    pub(crate) recorded: u64,
    /// Requests of all customers in each of these seconds.
    pub(crate) rate: f64,
    /// Seconds of it in a shop that runs: there are more requests in each.
    pub(crate) live: u64,
    /// How many customers there are.
    pub(crate) shoppers: u16,
}

/// What is wrong shows by itself.
const SHORT: History = History { recorded: 60, rate: 12.0, live: 0, shoppers: 12 };
impl Default for History {
    fn default() -> Self {
        SHORT
    }
}

/// What is wrong is only that it never happened before.
const LONG: History = History { recorded: 720, rate: 6.0, live: 75, shoppers: 36 };

/// The machine that visitors come from, unless they say otherwise; customers have lower numbers.
const VISITOR: u8 = 200;

/// What one side does.
struct Act {
    /// In a sentence.
    story: &'static str,
    /// Does it, until it is done or no more requests may be sent.
    play: for<'a> fn(&'a mut Shopper) -> Journey<'a>,
}

/// Every scenario.
pub(crate) static SCENARIOS: &[&Scenario] = &[
    &enumeration::SCENARIO,
    &ownership::SCENARIO,
    &brute_force::SCENARIO,
    &stuffing::SCENARIO,
    &forged_token::SCENARIO,
    &token_replay::SCENARIO,
    &weak_secret::SCENARIO,
    &expired_token::SCENARIO,
    &endless_token::SCENARIO,
    &token_in_url::SCENARIO,
    &open_mailbox::SCENARIO,
    &overposting::SCENARIO,
    &overexposure::SCENARIO,
    &exhaustion::SCENARIO,
    &privilege::SCENARIO,
    &foreign_charge::SCENARIO,
    &scalping::SCENARIO,
    &signup_farm::SCENARIO,
    &forged_request::SCENARIO,
    &misconfiguration::SCENARIO,
    &old_version::SCENARIO,
    &poisoned_supply::SCENARIO,
    &graphql_introspection::SCENARIO,
    &graphql_batching::SCENARIO,
    &grpc_mapping::SCENARIO,
    &socket_hijack::SCENARIO,
    &socket_flood::SCENARIO,
    &agent_scope::SCENARIO,
    &agent_loop::SCENARIO,
    &tampering::SCENARIO,
    &voucher_guessing::SCENARIO,
    &scraping::SCENARIO,
    &skipped_steps::SCENARIO,
    &lateral_reading::SCENARIO,
    &exfiltration::SCENARIO,
    &mixed::SCENARIO,
];

/// Options of `scenario`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which one; `list` names them, `table` does so in Markdown, with the twins.
    name: String,
    /// The gateway.
    #[arg(long, value_name = "ADDR")]
    gateway: Option<SocketAddr>,
    /// The servers behind the gateway; some scenarios go past it.
    #[arg(long, value_name = "ROLE=ADDR", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Play the honest twin instead of the attack.
    #[arg(long)]
    twin: bool,
    /// Requests per second, other than the scenario's own.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Requests at most, other than the scenario's own.
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Begin after so many seconds.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
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
    match options.name.as_str() {
        "list" => return list(),
        "table" => return table(),
        _ => {}
    }
    let scenario = find(&options.name)?;
    let gateway = options.gateway.context("--gateway ADDR is needed: `apisec-shop up` prints it")?;
    process::set_name("shopper")?;
    let gateway = Peer { role: "gateway".into(), address: gateway };
    let directory = Directory::new(Network::Sockets(None), options.peers.iter().cloned().chain([gateway]));
    play(scenario, directory, &options).await
}

async fn play(scenario: &Scenario, directory: Directory, options: &Options) -> Result<()> {
    let gateway = directory.address("gateway");
    let rate = options.rate.unwrap_or(scenario.rate);
    ensure!(rate.is_finite() && rate > 0.0, "the rate must be above 0");
    let (stopper, stopping) = stopping();
    let budget = Budget::new(Some(options.requests.unwrap_or(scenario.requests)));
    let mut signal = StopSignal::new()?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(options.after)) => (),
        () = signal.wait() => return Ok(()),
    }
    let turnstile = Turnstile::new(rate, 0.0, budget, stopping);
    let mut shopper = scenario.visitor(directory, turnstile, options.twin);
    let started = now_us();
    let outcome = {
        let mut playing = scenario.play(options.twin, &mut shopper);
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
        let raises = scenario.raises.join(",");
        writeln!(out, "{:<18} {:<11} {raises:<45} {}", scenario.name, scenario.owasp, scenario.attack.story)?;
    }
    Ok(())
}

/// As the README has it.
fn table() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "| name | | must be noticed by | attack | twin |\n| --- | --- | --- | --- | --- |")?;
    for Scenario { name, owasp, raises, attack, twin, .. } in SCENARIOS {
        writeln!(out, "| {name} | {owasp} | {} | {} | {} |", raises.join(", "), attack.story, twin.story)?;
    }
    Ok(())
}

/// Unix microseconds.
fn now_us() -> u64 {
    crate::clock::now().as_micros() as u64
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
        assert!(find("list").is_err() && find("table").is_err());
        assert!(SCENARIOS.iter().all(|scenario| find(scenario.name).is_ok()));
    }
}
