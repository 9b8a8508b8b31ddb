//! `policy`: puts policies into force and takes them back, without a terminal.

mod look;
mod text;

use crate::cli::{RunOptions, Span};
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;
use apisec_engine::json;
use apisec_engine::policy::draft::recommend;
use apisec_engine::policy::preview::Preview;
use apisec_engine::policy::{Policy as Document, Selector};
use apisec_probe::clock;
use apisec_probe::enforce::Lifetime;
use apisec_probe::journal::{Ending, Journal};
use apisec_probe::policy::ledger::Ledger;
use apisec_probe::policy::{file, journal_path, keeper, reaper, tally, verify, wards};
use clap::{Args, Subcommand};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Policies of this node.
#[derive(Args, Debug)]
pub(super) struct Policy {
    /// State folder, where the journal is [default: /var/lib/apisec-top as root, else ~/.local/state/apisec-top]
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true, global = true)]
    state: Option<PathBuf>,

    /// Keep the journal in /run/apisec-top only
    #[arg(long, global = true)]
    no_state: bool,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Put a policy into force, after its preview
    Apply {
        /// Its file, YAML or JSON; `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Cut even what is protected: the policy's name, typed
        #[arg(long, value_name = "NAME")]
        force: Option<String>,
        /// How long to look at live traffic for the preview
        #[arg(long, value_name = "TIME")]
        watch: Option<Span>,
    },
    /// Show what a policy would do, and do nothing
    Preview {
        /// Its file, YAML or JSON; `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// How long to look at live traffic
        #[arg(long, value_name = "TIME")]
        watch: Option<Span>,
    },
    /// Take a policy back, exactly
    Rollback {
        /// Its number or name
        #[arg(value_name = "ID", required_unless_present = "all")]
        id: Option<String>,
        /// Everything
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print the policies and what they did
    List {
        /// table or json
        #[arg(long, short, value_name = "FORMAT", value_parser = ["table", "json"], default_value = "table")]
        output: String,
    },
    /// Print who did what, when and why
    History {
        /// table or ndjson
        #[arg(long, short, value_name = "FORMAT", value_parser = ["table", "ndjson"], default_value = "table")]
        output: String,
    },
    /// Write least-privilege allow-lists from what is observed
    Recommend {
        /// For this workload only
        #[arg(value_name = "WORKLOAD")]
        workload: Option<String>,
        /// How long to look at live traffic [default: 10s]
        #[arg(long, value_name = "TIME")]
        watch: Option<Span>,
    },
}

impl Job for Policy {
    const NAME: &'static str = "policy";
    const ABOUT: &'static str = "Put policies into force, take them back exactly, and see what they did";
    const LONG_ABOUT: &'static str = "\
A policy stops an edge, an endpoint, an identity, a rate or a whole workload for a time (15 minutes unless it says \
otherwise). The kernel ends it at its deadline, whatever becomes of this program. Before it is put into force its \
preview is shown: what it would have cut, the exact rules, and what cannot be enforced. Everything is in a journal \
before it is done. The format is in `apisec-top print schema policy`.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top policy apply stop.yaml
  sudo apisec-top policy apply - --yes < stop.yaml
  sudo apisec-top policy list --output json
  sudo apisec-top policy rollback stop-enumeration
  sudo apisec-top policy rollback --all --yes
  sudo apisec-top policy recommend orders > allow.yaml";

    fn run(self) -> Outcome {
        let options = RunOptions { state: self.state, no_state: self.no_state, ..RunOptions::default() };
        let settings = Settings::of(&options)?;
        let journal = journal_path(settings.state.as_deref());
        match self.what {
            What::Apply { file, yes, force, watch } => {
                writable(&settings)?;
                apply(&journal, &read(&file)?, yes, force.as_deref(), watch)
            }
            What::Preview { file, json, watch } => preview(&read(&file)?, json, watch),
            What::Rollback { id, yes, .. } => {
                writable(&settings)?;
                rollback(&journal, id.as_deref(), yes)
            }
            What::List { output } => list(&journal, &output),
            What::History { output } => history(&journal, &output),
            What::Recommend { workload, watch } => offer(workload.as_deref(), watch),
        }
    }
}

fn writable(settings: &Settings) -> Result<(), Failure> {
    if settings.read_only {
        return Err(Failure::new("read-only: nothing is changed", "drop read_only from the settings"));
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Document, Failure> {
    let mut text = String::new();
    let limit = file::MAX_BYTES as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failure::usage(format!("{} cannot be read: {error}", path.display()), "name a policy file")
    })?;
    file::parse(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()), "apisec-top print schema policy")
    })
}

fn open(journal: &Path) -> Result<Ledger, Failure> {
    let opened = keeper::open(journal, Lifetime::Deadline, "command");
    let (ledger, differences) = opened.map_err(|why| {
        Failure::new(
            format!("policies cannot be kept here: {why}"),
            "run as root\nname a state folder with --state DIR",
        )
    })?;
    for difference in differences {
        let _closed = writeln!(io::stderr(), "note: {}", text::line(&difference));
    }
    if ledger.outlives_us() {
        reap(journal);
    }
    Ok(ledger)
}

/// Has somebody remove policies at their deadline, when this program is gone.
fn reap(journal: &Path) {
    if let Err(why) = reaper::ensure(journal) {
        let what =
            "nobody removes this policy's pins at its deadline; it refuses nothing past it all the same";
        let _closed = writeln!(io::stderr(), "warning: {what}: {why}");
    }
}

fn apply(journal: &Path, policy: &Document, yes: bool, force: Option<&str>, watch: Option<Span>) -> Outcome {
    let snapshot = look::node(watch.map_or(look::USUAL, |span| span.0))?;
    let wards = wards::wards();
    let name = policy.metadata.name.as_str();
    let forced = match force {
        Some(typed) if typed == name => true,
        Some(typed) => {
            return Err(Failure::usage(
                format!("`{typed}` is not the policy's name"),
                format!("type it to cut what is protected: --force {name}"),
            ));
        }
        None => false,
    };
    let plan = keeper::plan(policy, &snapshot, &wards, forced).map_err(|why| {
        let remedy = if why.starts_with("refused") { format!("--force {name}") } else { String::new() };
        Failure::new(why, remedy)
    })?;
    let preview = Preview::of(policy, &snapshot, &wards);
    let _closed = text::preview(policy, &preview, &plan.plan, &mut io::stderr());
    agree(yes, "Put it into force?")?;
    let asked = clock::monotonic();
    let mut ledger = open(journal)?;
    let took = || clock::monotonic().saturating_sub(asked) / 1_000;
    let id = ledger
        .apply(plan, clock::now(), took)
        .map_err(|error| Failure::new(error.to_string(), "apisec-top policy list\napisec-top doctor"))?;
    reap(journal);
    let _closed = writeln!(io::stdout(), "policy {id} {name} is in force for {}", policy.spec.ttl);
    Ok(Exit::Done)
}

fn preview(policy: &Document, as_json: bool, watch: Option<Span>) -> Outcome {
    let snapshot = look::node(watch.map_or(look::USUAL, |span| span.0))?;
    let wards = wards::wards();
    let preview = Preview::of(policy, &snapshot, &wards);
    let mut out = io::stdout().lock();
    if as_json {
        let _closed = json::write(&preview, &mut out).and_then(|()| writeln!(out));
        return Ok(Exit::Done);
    }
    let rules = keeper::plan(policy, &snapshot, &wards, true);
    let plan = rules
        .as_ref()
        .map_or_else(|why| vec![format!("cannot be enforced: {why}")], |plan| plan.plan.clone());
    let _closed = text::preview(policy, &preview, &plan, &mut out);
    Ok(Exit::Done)
}

fn rollback(journal: &Path, id: Option<&str>, yes: bool) -> Outcome {
    let mut ledger = open(journal)?;
    let now = clock::now();
    let Some(id) = id else {
        agree(yes, &format!("Take back {} policies?", ledger.open_ids().len()))?;
        let told = keeper::undo_all(&mut ledger, now)
            .map_err(|why| Failure::new(why, "apisec-top panic removes all that is ours from the kernel"))?;
        let _closed = writeln!(io::stdout(), "{told}");
        return Ok(Exit::Done);
    };
    let found = ledger.find(id).map_err(|error| Failure::new(error.to_string(), "apisec-top policy list"))?;
    agree(yes, &format!("Take back policy {found}?"))?;
    ledger.undo(found, Ending::Undone, now).map_err(|error| {
        Failure::new(error.to_string(), "apisec-top panic removes all that is ours from the kernel")
    })?;
    let _closed = writeln!(io::stdout(), "policy {found} was taken back");
    Ok(Exit::Done)
}

fn list(journal: &Path, output: &str) -> Outcome {
    let mut ledger = open(journal)?;
    ledger.expire(clock::now());
    let (views, _alarms) = verify::views(&ledger, &tally::gather());
    let mut out = io::stdout().lock();
    // A closed standard output is the reader's choice.
    let _closed = match output {
        "json" => json::write(&views, &mut out).and_then(|()| writeln!(out)),
        _ => text::table(&views, clock::now(), &mut out),
    };
    Ok(Exit::Done)
}

fn history(journal: &Path, output: &str) -> Outcome {
    let kept = Journal::read(journal).map_err(|error| Failure::new(error.to_string(), "run as root"))?;
    let mut out = io::stdout().lock();
    for entry in kept.entries() {
        let written = match output {
            "ndjson" => json::write(entry, &mut out).and_then(|()| writeln!(out)),
            _ => text::entry(entry, &mut out),
        };
        if written.is_err() {
            break;
        }
    }
    let damage = kept.damage().lines;
    if damage > 0 {
        let _closed = writeln!(io::stderr(), "note: {damage} damaged lines were left out");
    }
    Ok(Exit::Done)
}

fn offer(workload: Option<&str>, watch: Option<Span>) -> Outcome {
    let of = workload.map(Selector::parse).transpose();
    let of = of.map_err(|error| Failure::usage(error.to_string(), ""))?;
    let snapshot = look::node(watch.map_or(Duration::from_secs(10), |span| span.0))?;
    let offered = recommend(&snapshot, of.as_ref());
    if offered.is_empty() {
        return Err(Failure::new(
            "no workload of this node was seen talking",
            "look longer: --watch 5m\nname a workload that has traffic",
        ));
    }
    let mut out = io::stdout().lock();
    for one in &offered {
        let _closed = writeln!(out, "---\n# {}\n{}", one.preview.sentence(), file::write(&one.policy));
    }
    Ok(Exit::Done)
}

/// Asks, unless that is answered already. Whoever cannot be asked must say `--yes`.
fn agree(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here", "say --yes"));
    }
    let _closed = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let _unread = io::stdin().lock().take(16).read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new("nothing was changed", ""))
}
