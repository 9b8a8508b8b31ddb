//! `print completions`: for the shells that clap knows.

use crate::cli;
use clap::Args;
use clap_complete::Shell;

/// For which shell.
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// The script.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        clap_complete::generate(self.shell, &mut cli::tree(), cli::NAME, out);
    }
}
