//! `print`: the vocabulary of the program, for people and for other programs.

mod completions;
mod config;
mod detectors;
mod keys;
mod man;
mod rbac;
mod scenarios;
mod schema;
mod suppressions;
mod themes;

use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use clap::{Args, Subcommand};
use std::io::{self, ErrorKind, Write};

/// Print what the program knows.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(super) struct Print {
    #[command(subcommand)]
    topic: Topic,
}

#[derive(Subcommand, Debug)]
enum Topic {
    /// What the keys do, by context, as it may stand in the settings file
    Keys(keys::Keys),
    /// Names of the themes, or the roles and colours of one
    Themes(themes::Themes),
    /// Detectors: what each finds, why, on what ground, what to do, what can be set
    Detectors,
    /// Attacks that the demo shop can play, with their honest twins
    Scenarios,
    /// The settings file with every default, commented
    Config,
    /// The file of suppressions to start from, commented
    Suppressions,
    /// JSON schema of what --output prints
    Schema(schema::Schema),
    /// Rights that `kubectl apisec` needs, as YAML, least privilege
    Rbac(rbac::Rbac),
    /// Completions for a shell
    Completions(completions::Completions),
    /// The manual, as roff
    Man(man::Man),
}

impl Job for Print {
    const NAME: &'static str = "print";
    const ABOUT: &'static str = "Print keys, themes, settings, schemas, completions and the manual";
    const LONG_ABOUT: &'static str = "\
Prints the vocabulary of the program on standard output: what the keys do, how the settings file looks, what \
the JSON means. Needs no rights and touches nothing.";
    const EXAMPLES: &'static str = "\
Examples:
  apisec-top print keys                               your own ones included
  apisec-top print themes dark > mine.toml            a theme to change; use it with --theme mine.toml
  apisec-top print config > ~/.config/apisec-top/config.toml
  apisec-top print schema > apisec-top.schema.json
  apisec-top print schema ndjson                      the schema of one line
  apisec-top print rbac --role watch                  roles that only look, for an administrator to apply
  apisec-top print completions bash > /etc/bash_completion.d/apisec-top
  apisec-top print man | man -l -";

    fn run(self) -> Outcome {
        let mut text = Vec::new();
        self.topic.write(&mut text)?;
        match io::stdout().write_all(&text).and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("standard output: {error}"), "check where it leads"))
            }
            _ => Ok(Exit::Done),
        }
    }
}

impl Topic {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Keys(keys) => keys.write(out)?,
            Self::Themes(themes) => themes.write(out)?,
            Self::Detectors => detectors::write(out),
            Self::Scenarios => scenarios::write(out)?,
            Self::Config => config::write(out),
            Self::Suppressions => suppressions::write(out),
            Self::Schema(schema) => schema.write(out)?,
            Self::Rbac(rbac) => rbac.write(out),
            Self::Completions(completions) => completions.write(out),
            Self::Man(man) => man.write(out)?,
        }
        Ok(())
    }
}
