//! `reap`: the process that ends policies when nobody else does. Started by this program, not by people.

use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use apisec_probe::policy::reaper;
use clap::Args;
use std::path::PathBuf;

/// Ends policies at their time.
#[derive(Args, Debug)]
pub(super) struct Reap {
    /// The journal of policies
    #[arg(value_name = "FILE")]
    journal: PathBuf,
}

impl Job for Reap {
    const NAME: &'static str = reaper::COMMAND;
    const ABOUT: &'static str = "Remove policies from the kernel when their time is over";
    const LONG_ABOUT: &'static str = "\
Started with the first policy. Ends when nothing of ours is in the kernel any more. Policies refuse nothing past their \
deadline without it; it removes what is left of them.";
    const EXAMPLES: &'static str = "";
    const HIDDEN: bool = true;

    fn run(self) -> Outcome {
        reaper::run(&self.journal)
            .map_err(|why| Failure::new(format!("policies cannot be ended here: {why}"), "run as root"))?;
        Ok(Exit::Done)
    }
}
