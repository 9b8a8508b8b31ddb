//! `print man`: a manual page per command, from the same tree as the help.

use crate::cli;
use crate::config::nearest;
use crate::exit::Failure;
use clap::Args;
use clap_mangen::Man as Page;

/// Which page.
#[derive(Args, Debug)]
pub(super) struct Man {
    /// A command, such as `replay`; the program itself if absent
    command: Option<String>,
}

impl Man {
    /// The page as roff.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let command = match &self.command {
            None => cli::tree(),
            Some(name) => subcommand(name)?,
        };
        Page::new(command).render(out).map_err(|error| Failure::new(error.to_string(), ""))
    }
}

fn subcommand(name: &str) -> Result<clap::Command, Failure> {
    let mut tree = cli::tree();
    tree.build();
    match tree.find_subcommand(name) {
        Some(found) => Ok(found.clone()),
        None => {
            let names: Vec<&str> = tree.get_subcommands().map(clap::Command::get_name).collect();
            let remedy = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", names.join(", ")),
            };
            Err(Failure::usage(format!("there is no command `{name}`"), remedy))
        }
    }
}
