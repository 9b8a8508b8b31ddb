//! `replay`: calls out of files, as if they happened now.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::Outcome;
use crate::session::{self, Origin};
use clap::Args;
use std::path::PathBuf;

/// Look at recordings and captures.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// Sessions (.apisec), pcap or pcapng files, read one after the other; or one state folder, to look at its inventory
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    options: RunOptions,
}

impl Job for Replay {
    const NAME: &'static str = "replay";
    const ABOUT: &'static str = "Look at recordings (.apisec) and captures (pcap, pcapng)";
    const LONG_ABOUT: &'static str = "\
Reads sessions that were recorded with --record, and pcap or pcapng files of any tool, through the same \
pipeline as live traffic. Needs no rights. A file is read as fast as it can be; headless it ends with the last \
file. The kind of a file is told from its content, not from its name.

A state folder (a copy of a colleague's, or one that a live run is writing) is opened read-only: its inventory is shown, \
nothing in it is changed.";
    const EXAMPLES: &'static str = "\
Examples:
  apisec-top replay incident.apisec                   in the terminal
  apisec-top replay dump.pcap --output json           one JSON object
  apisec-top replay ./incident-state --spec specs     what a state folder holds, read-only
  apisec-top replay a.pcapng b.pcapng --output ndjson every call of both
  apisec-top replay dump.pcap --record dump.apisec    keep the calls without the secrets
  tcpdump -i any -w - port 8080 > dump.pcap           how to get one";

    fn run(self) -> Outcome {
        session::run(&Origin::Files(self.files), &self.options)
    }
}
