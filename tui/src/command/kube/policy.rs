//! `kube policy`: policies as objects of the cluster: applied, listed, taken back.

use super::access::{AccessOptions, name};
use super::watch::{STATIC_IMAGE, by};
use crate::command::policy::read;
use crate::exit::{Exit, Failure, Outcome};
use apisec_engine::policy::Ttl;
use apisec_probe::kubernetes::fleet::Fleet;
use apisec_probe::kubernetes::policy::{Edit, Hand, Plan, Standing, list, plan, take_back};
use apisec_probe::kubernetes::wait;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::PathBuf;

pub(super) const LONG_ABOUT: &str = "\
A policy file whose `backend` is networkpolicy, cilium, istio or kubearmor becomes an object of that kind. Names stand for \
services and controllers: NAMESPACE/NAME, or service:, deployment:, statefulset:, daemonset: in front of it; addresses stand \
for themselves. What would change is found by dry run and shown first, with what the object means beyond the policy's words \
and whether anybody here enforces it.

Fields that others manage are never taken over. A job owns the object and ends it with the policy's time, without this \
program. Taking back puts back what was there before; what others changed of it is reported, and goes only with --force.";

pub(super) const EXAMPLES: &str = "\
Examples:
  kubectl apisec policy apply stop.yaml -n shop
  kubectl apisec policy apply stop.yaml --dry-run
  kubectl apisec policy list
  kubectl apisec policy rollback stop-cart -n shop";

/// Policies as objects of the cluster.
#[derive(Args, Debug)]
pub(super) struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Put a policy into force
    Apply {
        /// The policy; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
        /// Apply it although nobody may enforce it here
        #[arg(long)]
        force: bool,
        /// A stock image with `sleep`, for the job that ends the policy
        #[arg(long, value_name = "IMAGE", default_value = STATIC_IMAGE)]
        image: String,
        #[command(flatten)]
        place: Place,
    },
    /// Say which policies of ours the cluster holds
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take a policy back
    Rollback {
        /// Its name
        #[arg(value_name = "NAME")]
        policy: String,
        /// What others changed of it goes as well
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args, Debug)]
struct Place {
    /// The namespace of names that have none [default: the context's]
    #[arg(long, short, value_name = "NAME", value_parser = name)]
    namespace: Option<String>,

    #[command(flatten)]
    access: AccessOptions,
}

impl Policy {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Apply { file, dry_run, yes, force, image, place } => {
                let policy = read(&file)?;
                let access = place.access.access(place.namespace);
                let hand = |namespace: &str| Hand {
                    namespace: namespace.into(),
                    run: Fleet::number(),
                    by: by(),
                    image,
                };
                let plan = wait(async {
                    let cluster = access.open().await?;
                    plan(&cluster, &policy, &hand(&cluster.namespace)).await
                })?;
                say(&shown(&plan, policy.spec.ttl));
                if dry_run {
                    return Ok(Exit::Done);
                }
                if let ([first, ..], false) = (plan.doubts.as_slice(), force) {
                    return Err(Failure::new(
                        format!("it may have no effect: {first}"),
                        "backend: ebpf works through agents on the nodes; or --force",
                    ));
                }
                agree(yes)?;
                let standing = wait(async { plan.apply(&access.open().await?).await })?;
                say(&format!(
                    "{} apisec-{} in {} is in force.\n",
                    standing.kind, standing.policy, standing.namespace
                ));
                Ok(Exit::Done)
            }
            What::List { place } => {
                let access = place.access.access(None);
                let (found, unseen) =
                    wait(async { Ok(list(&access.open().await?, place.namespace.as_deref()).await) })?;
                say(&table(&found, &unseen));
                Ok(if unseen.is_empty() { Exit::Done } else { Exit::Failed })
            }
            What::Rollback { policy, force, place } => {
                let access = place.access.access(place.namespace);
                let done = wait(async {
                    let cluster = access.open().await?;
                    take_back(&cluster, &policy, &cluster.namespace, force).await
                })?;
                for one in done {
                    let what = if one.restored { "is what it was before" } else { "is gone" };
                    say(&format!("{} {what}{}\n", one.path, changed(&one.edits)));
                }
                Ok(Exit::Done)
            }
        }
    }
}

fn say(text: &str) {
    // A closed standard output is the reader's choice; the exit code says it as well.
    let _closed = io::stdout().write_all(text.as_bytes());
}

fn shown(plan: &Plan, ttl: Ttl) -> String {
    let mut text = String::new();
    let word = |pointer| plan.object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    // Writing to a string does not fail.
    let _ok = writeln!(
        text,
        "{} {} in {} for {ttl}: {}",
        plan.backend.kind,
        word("/metadata/name"),
        word("/metadata/namespace"),
        word("/metadata/annotations/apisec-top~1stops")
    );
    if plan.changes.is_empty() {
        text.push_str("  nothing changes of its specification\n");
    }
    for line in &plan.changes {
        let _ok = writeln!(text, "  {line}");
    }
    for note in &plan.notes {
        let _ok = writeln!(text, "note: {note}");
    }
    for doubt in &plan.doubts {
        let _ok = writeln!(text, "NOT ENFORCED? {doubt}");
    }
    text
}

fn table(found: &[Standing], unseen: &[String]) -> String {
    let mut text = String::new();
    for one in found {
        let until = if one.timer.is_empty() {
            "until it is taken back".into()
        } else {
            format!("until {} ends", one.timer)
        };
        let _ok = writeln!(
            text,
            "{} {}/{}: {}, by {}, {until}{}",
            one.kind,
            one.namespace,
            one.policy,
            one.stops,
            one.by,
            changed(&one.edits)
        );
    }
    for unseen in unseen {
        let _ok = writeln!(text, "not looked for: {unseen}");
    }
    if found.is_empty() && unseen.is_empty() {
        text.push_str("There is none.\n");
    }
    text
}

fn changed(edits: &[Edit]) -> String {
    let said: Vec<String> =
        edits.iter().map(|edit| format!("; {} changed {}", edit.manager, edit.fields.join(", "))).collect();
    said.concat()
}

fn agree(yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("it is applied only when somebody agrees", "--yes"));
    }
    say("Put it into force? [y/N] ");
    let _closed = io::stdout().flush();
    let mut answer = String::new();
    let _closed = io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new("nothing was changed", ""))
    }
}
