//! `inventory`: what earlier runs observed, and what becomes of it.

use crate::cli::{RunOptions, Span};
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;
use crate::widget::escape::escape;
use apisec_engine::json;
use apisec_engine::load::SECOND;
use apisec_engine::moment::rfc3339;
use apisec_probe::clock;
use apisec_probe::store::inventory::{Inventory as Kept, InventoryError, Listed};
use clap::{Args, Subcommand};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Look at the stored inventory.
#[derive(Args, Debug)]
pub(super) struct Inventory {
    /// The state folder [default: /var/lib/apisec-top as root, else ~/.local/state/apisec-top]
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true, global = true)]
    state: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print every endpoint that was ever observed
    List {
        /// One JSON object per endpoint instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Forget endpoints that were not called for so long
    Prune {
        /// How long, such as 2160h
        #[arg(long, value_name = "TIME")]
        idle: Span,
    },
    /// Take over what another state folder observed, a colleague's or another node's
    Merge {
        /// That folder; it is only read
        #[arg(value_name = "DIR")]
        other: PathBuf,
    },
}

impl Job for Inventory {
    const NAME: &'static str = "inventory";
    const ABOUT: &'static str = "List, prune and merge what earlier runs observed";
    const LONG_ABOUT: &'static str = "\
Live runs keep every endpoint in the state folder (inventory.sqlite): first and last call, counts, statuses, \
callers, authentication schemes, hosts, query names, media types, keys and types of bodies, TLS and sensitive classes; \
never a value. `merge` can be repeated: what was taken from the same store before is replaced. The file is plain SQLite, \
described in doc/inventory.md: sqlite3 inventory.sqlite 'SELECT * FROM operation'.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top inventory list
  apisec-top inventory list --state ./incident --json
  sudo apisec-top inventory prune --idle 2160h        forget what was not called for 90 days
  sudo apisec-top inventory merge /mnt/other/apisec-top";

    fn run(self) -> Outcome {
        let settings = Settings::of(&RunOptions { state: self.state, ..RunOptions::default() })?;
        let Some(folder) = settings.state else {
            return Err(Failure::usage("there is no state folder", "name one with --state DIR"));
        };
        let failed = |error: InventoryError| unusable(&folder, &error);
        match self.what {
            What::List { json } => {
                let rows = Kept::read(&folder).and_then(|kept| kept.list()).map_err(failed)?;
                // A closed standard output is the reader's choice.
                let _closed = list(&rows, json, &mut BufWriter::new(io::stdout().lock()));
            }
            What::Prune { idle } => {
                let idle = u64::try_from(idle.0.as_nanos()).unwrap_or(u64::MAX);
                let before = clock::now().saturating_sub(idle);
                let gone = Kept::write(&folder).and_then(|mut kept| kept.prune(before)).map_err(failed)?;
                let _closed = writeln!(io::stdout(), "{gone} endpoints forgotten");
            }
            What::Merge { other } => {
                let mut kept = Kept::write(&folder).map_err(failed)?;
                let taken = kept.merge(&other).map_err(|error| unusable(&other, &error))?;
                let _closed = writeln!(io::stdout(), "{taken} endpoints taken from {}", other.display());
            }
        }
        Ok(Exit::Done)
    }
}

fn list(rows: &[Listed], as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        if as_json {
            json::write(row, &mut *out)?;
            writeln!(out)?;
            continue;
        }
        let Listed { service, method, path, operation, calls, errors, first_seen, last_seen, .. } = row;
        let day = |at: &u64| rfc3339(at / SECOND * SECOND);
        let name = format!("{method} {path} {operation}");
        let (service, name) = (escape(service), escape(name.trim_end()));
        writeln!(
            out,
            "{service:<32} {name:<56} {calls:>9} {errors:>7}  {}  {}",
            day(first_seen),
            day(last_seen)
        )?;
    }
    out.flush()
}

pub(super) fn unusable(folder: &Path, error: &InventoryError) -> Failure {
    let remedy = match error {
        InventoryError::Taken(_) => "end it first: one program writes at a time",
        _ => "a live run makes one: sudo apisec-top\nname its folder with --state DIR",
    };
    Failure::new(format!("the inventory in {} cannot be used: {error}", folder.display()), remedy)
}
