//! What the program can be asked to do: one file and one line per command.

mod agent;
mod baseline;
mod cluster;
mod demo;
mod doctor;
mod export;
mod inventory;
pub(crate) mod kube;
mod live;
mod panic;
mod policy;
mod print;
mod reap;
mod replay;

use crate::exit::Outcome;
use clap::{ArgMatches, Args, FromArgMatches};

/// The commands, in the order of the help.
pub const COMMANDS: &[Entry] = &[
    Entry::of::<live::Live>(),
    Entry::of::<replay::Replay>(),
    Entry::of::<demo::Demo>(),
    Entry::of::<cluster::Cluster>(),
    Entry::of::<kube::Kube>(),
    Entry::of::<agent::Agent>(),
    Entry::of::<inventory::Inventory>(),
    Entry::of::<baseline::Baseline>(),
    Entry::of::<export::Export>(),
    Entry::of::<policy::Policy>(),
    Entry::of::<panic::Panic>(),
    Entry::of::<doctor::Doctor>(),
    Entry::of::<print::Print>(),
    Entry::of::<reap::Reap>(),
];

/// What happens when no command is given.
pub const DEFAULT: Entry = Entry::of::<live::Live>();

/// What the program is under the name `kubectl-apisec`.
pub const CLUSTER: Entry = Entry::of::<kube::Kube>();

/// A command: its arguments, its help and its work.
pub trait Job: Args + FromArgMatches {
    /// The word that calls it.
    const NAME: &'static str;
    /// One line for the list of commands.
    const ABOUT: &'static str;
    /// A few sentences: what it needs, what it prints, when it ends.
    const LONG_ABOUT: &'static str;
    /// Command lines that are worth copying, starting with `Examples:`.
    const EXAMPLES: &'static str;
    /// Only this program itself calls it.
    const HIDDEN: bool = false;

    /// Does it.
    ///
    /// # Errors
    /// The job cannot be done; the failure says what to do next.
    fn run(self) -> Outcome;
}

/// A command in the list.
pub struct Entry {
    /// The word that calls it.
    pub name: &'static str,
    /// Adds its arguments to a clap command.
    pub augment: fn(clap::Command) -> clap::Command,
    /// Does it.
    pub run: fn(&ArgMatches) -> Outcome,
    describe: fn(clap::Command) -> clap::Command,
}

impl Entry {
    /// The entry of the job `J`.
    #[must_use]
    pub const fn of<J: Job>() -> Self {
        Self { name: J::NAME, augment: J::augment_args, run: run::<J>, describe: describe::<J> }
    }

    /// As clap knows it.
    #[must_use]
    pub fn clap(&self) -> clap::Command {
        (self.describe)((self.augment)(clap::Command::new(self.name)))
    }
}

fn describe<J: Job>(command: clap::Command) -> clap::Command {
    command.about(J::ABOUT).long_about(J::LONG_ABOUT).after_help(J::EXAMPLES).hide(J::HIDDEN)
}

fn run<J: Job>(matches: &ArgMatches) -> Outcome {
    match J::from_arg_matches(matches) {
        Ok(job) => job.run(),
        Err(error) => error.exit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_registered_command() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/command");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let listed: BTreeSet<String> = COMMANDS.iter().map(|entry| entry.name.to_owned()).collect();
        assert_eq!(files, listed);
    }
}
