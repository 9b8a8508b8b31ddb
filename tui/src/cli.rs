//! The command line: the tree of commands, and the way from `argv` to an exit code.
//!
//! What a command does is in its file under `command/`; this file only finds it.

mod completion;
mod duration;
mod options;

pub use duration::Span;
pub(crate) use options::severity;
pub use options::{Looks, RunOptions};

use crate::command::{self, COMMANDS, Entry};
use crate::exit::{Exit, Failure, Outcome};
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Name of the program, as installed.
pub const NAME: &str = "apisec-top";

/// Name under which `kubectl apisec` calls the program.
const PLUGIN: &str = "kubectl-apisec";
/// Name under which `kubectl` asks for completions.
const COMPLETER: &str = "kubectl_complete-apisec";
/// Commands that make sense under that name too.
const PLUGIN_COMMANDS: [&str; 1] = ["print"];

const ABOUT: &str = "The k9s of API security: who calls whom on this node, live, from the kernel";

const LONG_ABOUT: &str = "\
Shows every plaintext HTTP/1.x call between any processes of this Linux node, live and without \
configuration: who called whom, which endpoint, what came back, how fast. Nothing has to be restarted, \
proxied or instrumented; the kernel is asked with eBPF.

Without a command it is `live`. With a terminal it is interactive; with --headless, --output, or without a \
terminal on standard output, it prints. Tokens, cookies and bodies are never shown, kept or exported.";

const EXAMPLES: &str = "\
Examples:
  sudo apisec-top                                     this node, in the terminal
  sudo apisec-top --duration 10s --output json        10 seconds as one JSON object
  sudo apisec-top --output ndjson | jq .path          every call as it happens
  sudo apisec-top --record incident.apisec            watch, and keep the calls (redacted)
  apisec-top replay incident.apisec                   look at a recording or a pcap, without root
  apisec-top demo                                     an insecure shop to look at
  sudo apisec-top doctor                              what works on this machine, and why not";

/// The whole tree of commands, as clap knows it.
#[must_use]
pub fn tree() -> clap::Command {
    let root = clap::Command::new(NAME);
    let root = (command::DEFAULT.augment)(root)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        .after_long_help(format!("{EXAMPLES}\n\n{}", Exit::section()))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .max_term_width(110);
    root.subcommands(COMMANDS.iter().map(Entry::clap))
}

/// Runs the program with its arguments and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let outcome = match arguments.first() {
        Some(program) if called_as(program, PLUGIN) => parse_plugin(arguments),
        Some(program) if called_as(program, COMPLETER) => {
            let text = completion::complete(plugin(), arguments.get(1..).unwrap_or_default());
            let _closed = write!(std::io::stdout(), "{text}");
            Ok(Exit::Done)
        }
        _ => parse(arguments),
    };
    outcome.unwrap_or_else(|failure| complain(&failure)).into()
}

fn parse(arguments: Vec<OsString>) -> Outcome {
    match tree().try_get_matches_from(arguments) {
        Ok(matches) => dispatch(&matches),
        Err(error) => Ok(misunderstood(&error)),
    }
}

fn misunderstood(error: &clap::Error) -> Exit {
    // A closed standard output is the reader's choice, not an error of ours.
    let _closed = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// The command `kube` as a program of its own, with what else a cluster's operator asks for.
fn plugin() -> clap::Command {
    let extras = COMMANDS.iter().filter(|entry| PLUGIN_COMMANDS.contains(&entry.name));
    command::CLUSTER
        .clap()
        .name("kubectl-apisec")
        .bin_name("kubectl apisec")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .max_term_width(110)
        .subcommands(extras.map(Entry::clap))
}

fn parse_plugin(arguments: Vec<OsString>) -> Outcome {
    let matches = match plugin().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return Ok(misunderstood(&error)),
    };
    let extra = matches.subcommand_name().filter(|name| PLUGIN_COMMANDS.contains(name));
    if extra.is_some() { dispatch(&matches) } else { (command::CLUSTER.run)(&matches) }
}

fn dispatch(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        None => (command::DEFAULT.run)(matches),
        Some((name, matches)) => match COMMANDS.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.run)(matches),
            None => Err(Failure::usage(format!("there is no command {name}"), "apisec-top --help")),
        },
    }
}

fn complain(failure: &Failure) -> Exit {
    let _closed = writeln!(std::io::stderr(), "{NAME}: {failure}");
    failure.exit
}

fn called_as(program: &OsStr, name: &str) -> bool {
    Path::new(program).file_stem().is_some_and(|stem| stem == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        tree().debug_assert();
        plugin().debug_assert();
    }

    #[test]
    fn every_command_has_long_help_with_examples() {
        let mut tree = tree();
        tree.build();
        for command in tree.get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} shows no example", command.get_name());
            assert!(command.get_long_about().is_some(), "{} has no long help", command.get_name());
        }
    }

    #[test]
    fn the_plugin_name_is_recognised_wherever_it_is_installed() {
        assert!(called_as(OsStr::new("/usr/local/bin/kubectl-apisec"), PLUGIN));
        assert!(called_as(OsStr::new("kubectl-apisec"), PLUGIN));
        assert!(!called_as(OsStr::new("/usr/bin/apisec-top"), PLUGIN));
    }
}
