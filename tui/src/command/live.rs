//! `live`: this node's calls, from the kernel.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::Outcome;
use crate::session::{self, Origin};
use clap::Args;

/// Watch this node.
#[derive(Args, Debug)]
pub(super) struct Live {
    #[command(flatten)]
    options: RunOptions,
}

impl Job for Live {
    const NAME: &'static str = "live";
    const ABOUT: &'static str = "Watch this node (the default)";
    const LONG_ABOUT: &'static str = "\
Watches this node with eBPF programs at the root of the cgroup2 tree. Needs root (or CAP_BPF, CAP_NET_ADMIN, \
CAP_PERFMON and CAP_SYS_PTRACE) and a kernel from 5.10 on; `apisec-top doctor` tells. Connections that were \
open before it started are seen as well.

Headless it runs until --duration is over, or until Ctrl-C or SIGTERM when none is given; then it prints its \
result and everything it put into the kernel is gone.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top
  sudo apisec-top live --duration 30s                 30 seconds in the terminal
  sudo apisec-top live --headless --duration 10s      a summary of 10 seconds
  sudo apisec-top live --output json --duration 1m > minute.json
  sudo apisec-top live --output ndjson --filter 'status>=500'";

    fn run(self) -> Outcome {
        session::run(&Origin::Live, &self.options)
    }
}
