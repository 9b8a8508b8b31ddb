//! `demo`: an insecure shop to look at, live where that is possible.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::Outcome;
use crate::session::{self, Origin};
use clap::Args;

/// Look at the shop.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Also play this attack, once (the names: `apisec-top print scenarios`)
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,

    #[command(flatten)]
    options: RunOptions,
}

impl Job for Demo {
    const NAME: &'static str = "demo";
    const ABOUT: &'static str = "Look at an insecure shop: real servers that call each other, with customers";
    const LONG_ABOUT: &'static str = "\
Starts a small shop on loopback, ten real HTTP servers that call each other and the customers that use them, \
and watches it as `live` does. The shop ends with it. Where live capture is not possible (no root, no eBPF) it \
replays a recording of the shop instead, and says REPLAY before anything else.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top demo
  sudo apisec-top demo --headless --duration 10s
  sudo apisec-top demo --scenario enumeration         with somebody who reads other people's orders
  apisec-top demo                                     without root: a recording";

    fn run(self) -> Outcome {
        session::run(&Origin::Demo { scenario: self.scenario }, &self.options)
    }
}
