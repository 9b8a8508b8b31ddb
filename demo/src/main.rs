//! `apisec-shop`: an insecure web shop made of real HTTP/1.1 servers, one process per role, that call
//! each other, with the customers that use it and the attackers that abuse it.
//!
//! It exists to be watched and tested against. It keeps nothing on disk but access logs, listens on
//! loopback unless told otherwise, and is wrong on purpose (see `README.md`): never expose it.

mod access_log;
mod client;
mod clock;
mod flaw;
mod frame;
mod hop;
mod load;
mod network;
mod peers;
mod problem;
mod process;
mod random;
mod record;
mod rpc;
mod scenario;
mod seed;
mod serve;
mod service;
mod shopper;
mod stop;
mod table;
mod token;
mod turnstile;
mod up;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The insecure shop: real servers that call each other, and the load that drives them.
#[derive(Parser)]
#[command(name = "apisec-shop", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start every server and the load, until interrupted.
    Up(up::Options),
    /// Run one server.
    Serve(serve::Options),
    /// Run simulated customers against a gateway.
    Load(load::Options),
    /// Run an attack, or its benign twin, against a gateway; `list` names them.
    Scenario(scenario::Options),
    /// Write what an attack, or its benign twin, looks like on the wire to a capture file. The same each time.
    Record(record::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One thread per process, so that a process is what its main thread is called.
fn run(cli: Cli) -> Result<()> {
    // In a recording, time passes only while everybody waits.
    let recording = matches!(cli.command, Command::Record(_));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(recording)
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Up(options) => up::run(options).await,
            Command::Serve(options) => serve::run(options).await,
            Command::Load(options) => load::run(options).await,
            Command::Scenario(options) => scenario::run(options).await,
            Command::Record(options) => record::run(options).await,
        }
    })
}
