//! From parsed options to a running pipeline and what is done with it: the one place where they meet.

use crate::cli::RunOptions;
use crate::exit::{Failure, Outcome};
use crate::settings::Settings;
use std::path::PathBuf;

/// Where the calls come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// This node's kernel.
    Live,
    /// Files, one after the other.
    Files(Vec<PathBuf>),
}

/// Runs a session to its end.
///
/// # Errors
/// It cannot start or go on.
pub fn run(_origin: &Origin, options: &RunOptions) -> Outcome {
    let _settings = Settings::of(options)?;
    Err(Failure::new("no source of calls is in this build yet", ""))
}
