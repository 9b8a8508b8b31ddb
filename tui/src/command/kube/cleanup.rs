//! `kube cleanup`: what earlier runs left in a cluster, shown and taken away.

use super::access::{AccessOptions, name};
use crate::exit::{Exit, Failure, Outcome};
use apisec_probe::clock;
use apisec_probe::kubernetes::sweep::{Found, Leftover, clean, find};
use apisec_probe::kubernetes::{rbac, wait};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};

/// Objects that are listed of a run.
const LISTED: usize = 20;

pub(super) const LONG_ABOUT: &str = "\
Looks in the whole cluster for what bears our label: agents and policies of runs that were killed before they could \
take them away (agents end by themselves within a minute, and go with their jobs; this does not wait for that). Shows \
it by run, with who started it, and asks before it takes it away: another run may be somebody's who is looking right \
now. Kinds that could not be listed are named, and then it does not say that nothing is left. Ends with exit code 1 \
when something is left or unknown.";

pub(super) const EXAMPLES: &str = "\
Examples:
  kubectl apisec cleanup                              show it, and ask
  kubectl apisec cleanup --yes
  kubectl apisec cleanup --run 0a1b2c3d --yes         only that run's";

/// Take away what is left.
#[derive(Args, Debug)]
pub(super) struct Cleanup {
    /// Only what this run made
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,

    /// The namespace that is looked into where one may not look everywhere
    #[arg(long, value_name = "NAME", default_value = rbac::AGENTS, value_parser = name)]
    agent_namespace: String,

    #[command(flatten)]
    access: AccessOptions,
}

impl Cleanup {
    pub(super) fn run(self) -> Outcome {
        let access = self.access.access(None);
        let mut found = wait(async { Ok(find(&access.open().await?, &self.agent_namespace).await) })?;
        if let Some(run) = &self.run {
            found.objects.retain(|object| object.run == *run);
        }
        say(&list(&found, clock::now() / 1_000_000_000));
        if found.objects.is_empty() {
            return Ok(conclude(&found));
        }
        if !self.yes && !agreed()? {
            return Err(Failure::new("nothing was taken away", ""));
        }
        wait(async { clean(&access.open().await?, &found.objects).await })?;
        say("It is gone.\n");
        Ok(conclude(&found))
    }
}

fn say(text: &str) {
    // A closed standard output is the reader's choice; the exit code says it as well.
    let _closed = io::stdout().write_all(text.as_bytes());
}

/// What is unknown is no success.
fn conclude(found: &Found) -> Exit {
    if found.unseen.is_empty() { Exit::Done } else { Exit::Failed }
}

fn list(found: &Found, now: u64) -> String {
    let mut text = String::new();
    let mut runs: BTreeMap<&str, Vec<&Leftover>> = BTreeMap::new();
    found.objects.iter().for_each(|object| runs.entry(&object.run).or_default().push(object));
    for (run, objects) in runs {
        let by = objects
            .iter()
            .map(|object| object.by.as_str())
            .find(|by| !by.is_empty())
            .unwrap_or("nobody known");
        let made = objects.iter().map(|object| object.made).filter(|made| *made > 0).min();
        let age = made.map(|made| now.saturating_sub(made.unsigned_abs()) / 60);
        let age = age.map_or_else(String::new, |minutes| format!(", {minutes} minutes ago"));
        let run = if run.is_empty() { "no run" } else { run };
        // Writing to a string does not fail.
        let _ok = writeln!(text, "{run}, by {by}{age}:");
        for object in objects.iter().take(LISTED) {
            let node =
                if object.node.is_empty() { String::new() } else { format!(" (node {})", object.node) };
            let _ok = writeln!(text, "  {}{node}", object.path());
        }
        if objects.len() > LISTED {
            let _ok = writeln!(text, "  and {} more", objects.len() - LISTED);
        }
    }
    for unseen in &found.unseen {
        let _ok = writeln!(text, "not looked for: {unseen}");
    }
    if found.objects.is_empty() {
        let _ok = match found.unseen.is_empty() {
            true => writeln!(text, "Nothing is left."),
            false => writeln!(text, "Nothing was found of what could be looked for; the rest is unknown."),
        };
    }
    text
}

fn agreed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "it is taken away only when somebody agrees",
            "--yes, perhaps with --run ID",
        ));
    }
    say("Take it away? [y/N] ");
    let _closed = io::stdout().flush();
    let mut answer = String::new();
    let _closed = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_listed_is_never_nothing() {
        let unseen = Found { unseen: vec!["jobs outside the namespace x".into()], ..Found::default() };
        let text = list(&unseen, 0);
        assert!(text.contains("jobs outside") && !text.contains("Nothing is left"), "{text}");
        assert_eq!(conclude(&unseen), Exit::Failed);
        assert_eq!(list(&Found::default(), 0), "Nothing is left.\n");
    }
}
