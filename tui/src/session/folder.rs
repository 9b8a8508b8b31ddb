//! A state folder that somebody else filled, opened to look at it: nothing in it is changed, nothing is captured.

use super::stored::{print, stored};
use super::{environment, headless_report};
use crate::cli::RunOptions;
use crate::exit::{Exit, Failure, Outcome};
use crate::gate::Gate;
use crate::run;
use crate::settings::Settings;
use std::path::Path;
use tokio::sync::watch;

/// Shows what the inventory in `folder` holds, in the terminal or as a report.
pub(super) fn open(folder: &Path, options: &RunOptions) -> Outcome {
    let options = RunOptions { state: Some(folder.to_owned()), no_state: false, ..options.clone() };
    let settings = Settings::of(&options)?;
    let snapshot = stored(&settings, &options)?;
    if let Some(report) = headless_report(&options) {
        let printed = print(report, &snapshot)?;
        return Ok(Gate::of(&options.fail_on).judge(&snapshot).unwrap_or(printed));
    }
    let (publish, snapshots) = watch::channel(snapshot);
    // Nothing new will come.
    drop(publish);
    let Settings { theme, plain, ascii, keys, interval, .. } = settings;
    let looks = run::Options {
        title: format!("STORED {}", folder.display()),
        theme: theme.unwrap_or_default(),
        keys,
        read_only: true,
        plain,
        ascii,
        environment: environment(),
        interval,
        duration: options.duration.map(|span| span.0),
        ..run::Options::default()
    };
    run::show(snapshots, drop, looks)
        .map_err(|error| Failure::new(format!("{error:#}"), "without a terminal: --headless"))?;
    Ok(Exit::Done)
}
