//! `cargo run --release -p apisec-probe --example rehearsal -- FOLDER [NODES [ENDPOINTS [PERCENT]]]`: agents that make up
//! what they report, each at a socket `FOLDER/nN`. `bench/run cluster` tries the tool with them.

use apisec_probe::cluster::rehearsal::{Cast, play};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("a folder for the sockets");
        return ExitCode::FAILURE;
    };
    let mut number = |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let cast = Cast { nodes: number(500), endpoints: number(2_000), active: number(5) };
    match play(&folder, cast) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
