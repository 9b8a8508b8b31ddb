//! `panic`: removes everything of ours from the kernel, whatever the journal looks like.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;
use apisec_probe::clock;
use apisec_probe::enforce::{BACKENDS, Lifetime};
use apisec_probe::journal::{Event, Journal};
use apisec_probe::policy::{journal_path, who};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

/// Everything out, now.
#[derive(Args, Debug)]
pub(super) struct Panic {
    /// State folder, where the journal is; it need not be readable
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true)]
    state: Option<PathBuf>,
}

impl Job for Panic {
    const NAME: &'static str = "panic";
    const ABOUT: &'static str = "Take every policy back at once, even with a damaged journal";
    const LONG_ABOUT: &'static str = "\
Removes every program, map, link and pin of ours that enforces something, without asking and without needing the \
journal. What belongs to others is left alone. Afterwards it is journalled, if that is possible.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top panic";

    fn run(self) -> Outcome {
        let (mut policies, mut pins, mut left) = (0, 0, Vec::new());
        for kind in BACKENDS {
            let removed = (kind.open)(Lifetime::Deadline).and_then(|mut backend| backend.remove_all());
            match removed {
                Ok(removed) => (policies, pins) = (policies + removed.policies, pins + removed.pins),
                Err(error) => left.push(format!("{}: {error}", kind.id)),
            }
        }
        let left = left.join("; ");
        let written = journal(self.state, Event::Cleared { policies, pins, left: left.clone() });
        if let Err(why) = written {
            let _closed = writeln!(io::stderr(), "note: it could not be journalled: {why}");
        }
        if !left.is_empty() {
            return Err(Failure::new(
                format!("something is still there: {left}"),
                "run as root\nls /sys/fs/bpf shows what is pinned; a restart of the machine ends it all",
            ));
        }
        let _closed = writeln!(
            io::stdout(),
            "{policies} policies and {pins} pins removed; nothing of ours is in force"
        );
        Ok(Exit::Done)
    }
}

fn journal(state: Option<PathBuf>, event: Event) -> Result<(), String> {
    let settings =
        Settings::of(&RunOptions { state, ..RunOptions::default() }).map_err(|why| why.to_string())?;
    let path = journal_path(settings.state.as_deref());
    let mut journal = Journal::open(&path).map_err(|why| why.to_string())?;
    let _alone = journal.alone().map_err(|why| why.to_string())?;
    journal.append(clock::now(), &who::operator("command"), event).map_err(|why| why.to_string())?;
    Ok(())
}
