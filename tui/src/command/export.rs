//! `export`: what was observed, in the formats of others.

use crate::cli::{RunOptions, Span};
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::export::{self, Format};
use crate::session::{self, Origin};
use crate::settings::Settings;
use apisec_engine::snapshot::Snapshot;
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

/// Hand on what was observed.
#[derive(Args)]
pub(super) struct Export {
    /// What
    #[arg(value_name = "WHAT", value_parser = export::parser())]
    what: &'static export::Export,

    /// Sessions (.apisec), pcap or pcapng files; without any, what the state folder holds
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// In which format [default: the first that WHAT names]
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,

    /// Make files in this folder instead of printing; of `openapi` one per service
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// Watch this node for so long instead, as `live` does
    #[arg(long, value_name = "TIME", conflicts_with = "files")]
    live: Option<Span>,

    /// Only what matches, such as `dst:orders`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,

    /// Specifications, as for `live`: states and differences rest on them
    #[arg(long, value_name = "[SERVICE=]PATH")]
    spec: Vec<String>,

    /// Count a documented operation as a zombie when it was idle for so long [default: 744h, a month]
    #[arg(long, value_name = "TIME")]
    zombie_after: Option<Span>,

    /// The state folder [default: /var/lib/apisec-top as root, else ~/.local/state/apisec-top]
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true)]
    state: Option<PathBuf>,
}

impl Job for Export {
    const NAME: &'static str = "export";
    const ABOUT: &'static str =
        "Hand on what was observed: report, openapi, inventory, graph, sensitive, har";
    const LONG_ABOUT: &'static str = "\
Prints what was observed in a format of others, or makes files of it. Reads recordings and captures, or the \
inventory in the state folder; nothing there is changed. No token, cookie, body or personal value is in any of \
them, because none is kept.

  report      html, md           findings, policies and changes in order, the graph, drift, sensitive data
  openapi     json, overlay      OpenAPI 3.1 of each service; or what the specification given with --spec lacks
  inventory   csv, json          every endpoint
  graph       dot, mermaid, json who calls whom
  sensitive   csv, json          which endpoints and edges carry which classes, protected how
  har         har                every call (masked), of a recording or --live only";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top export report > report.html         from the state folder
  apisec-top export report incident.apisec --format md
  apisec-top export graph dump.pcap --format dot | dot -Tsvg > graph.svg
  apisec-top export openapi dump.pcap --into specs    one document per service
  apisec-top export openapi dump.pcap --spec users.yaml --format overlay
  sudo apisec-top export inventory --live 30s --format csv";

    fn run(self) -> Outcome {
        let Some(format) = self.what.format(self.format.as_deref()) else {
            let known: Vec<&str> = self.what.formats.iter().map(|format| format.report.name).collect();
            return Err(Failure::usage(
                format!("{} has no format {}", self.what.name, self.format.unwrap_or_default()),
                format!("there are: {}", known.join(", ")),
            ));
        };
        let options = RunOptions {
            state: self.state,
            spec: self.spec,
            zombie_after: self.zombie_after,
            filter: self.filter,
            duration: self.live,
            ..RunOptions::default()
        };
        let snapshot = if self.live.is_some() {
            session::snapshot(&Origin::Live, &options)?
        } else if self.files.is_empty() {
            if format.report.name == "har" {
                let remedy = "name a recording or a capture, or watch with --live 30s";
                return Err(Failure::usage("a state folder keeps no calls", remedy));
            }
            session::stored(&Settings::of(&options)?, &options)?
        } else {
            session::snapshot(&Origin::Files(self.files), &options)?
        };
        match &self.into {
            Some(folder) => into(folder, self.what, format, &snapshot),
            None => session::print(&format.report, &snapshot),
        }
    }
}

fn into(folder: &std::path::Path, what: &export::Export, format: &Format, snapshot: &Snapshot) -> Outcome {
    let failed = |error: io::Error| {
        Failure::new(
            format!("{} cannot be written: {error}", folder.display()),
            "name a folder that can be written",
        )
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for path in export::write(what, format, snapshot, folder).map_err(failed)? {
        let _closed = writeln!(io::stdout(), "{}", path.display());
    }
    Ok(Exit::Done)
}
