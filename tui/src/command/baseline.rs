//! `baseline`: what is usual, as it was learnt, and carried from one environment to another.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;
use crate::widget::escape::escape;
use apisec_engine::baseline::{Baseline as Learnt, Document, DocumentError, Norm, NormKey};
use apisec_engine::endpoint::Id;
use apisec_probe::clock;
use apisec_probe::store::inventory::{Inventory as Kept, InventoryError};
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Largest document that is read: all norms that can be kept, each with full sets of names.
const MAX_BYTES: u64 = 64 << 20;

/// Look at what is usual.
#[derive(Args, Debug)]
pub(super) struct Baseline {
    /// The state folder [default: /var/lib/apisec-top as root, else ~/.local/state/apisec-top]
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true, global = true)]
    state: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print what is usual, per operation and per edge
    List,
    /// Write it as a JSON document
    Export {
        /// The file [default: standard output]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Add what was learnt elsewhere to what is known here
    Import {
        /// The document, - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A service that has another name here; can be repeated
        #[arg(long = "as", value_name = "THERE=HERE", value_parser = pair)]
        names: Vec<(String, String)>,
        /// Forget first what was learnt here
        #[arg(long)]
        replace: bool,
    },
    /// Forget what was learnt, of one service or all of it
    Forget {
        /// The service [default: all]
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
    },
}

impl Job for Baseline {
    const NAME: &'static str = "baseline";
    const ABOUT: &'static str = "List, export, import and forget what is usual";
    const LONG_ABOUT: &'static str = "\
Live runs learn what is usual of every operation and every edge: calls, bytes and objects of one caller in a minute, \
latency, kinds of callers, properties of answers, and the operations that come before. A minute counts five minutes later, \
and only of callers of whom nothing was found. After half an hour of samples detectors go by it. What is not usual any more \
counts half after a week. It stands in the inventory of the state folder, without any value of the wire; a document of \
`export` can be carried from a healthy environment to another one.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top baseline list
  sudo apisec-top baseline export healthy.json
  sudo apisec-top baseline import healthy.json --as process:shop:8080=process:shop:80
  sudo apisec-top baseline forget process:shop:80";

    fn run(self) -> Outcome {
        let settings = Settings::of(&RunOptions { state: self.state, ..RunOptions::default() })?;
        let Some(folder) = settings.state else {
            return Err(Failure::usage("there is no state folder", "name one with --state DIR"));
        };
        let failed = |error: InventoryError| super::inventory::unusable(&folder, &error);
        let read = || Kept::read(&folder).and_then(|kept| kept.norms()).map(learnt).map_err(failed);
        match self.what {
            // A closed standard output is the reader's choice.
            What::List => drop(list(&read()?, &mut BufWriter::new(io::stdout().lock()))),
            What::Export { file } => export(&Document::of(&read()?, clock::now()), file.as_deref())?,
            What::Import { file, names, replace } => {
                let norms = import(&file, &names)?;
                let taken = norms.len();
                let mut kept = Kept::write(&folder).map_err(failed)?;
                let known = if replace { Vec::new() } else { kept.norms().map_err(failed)? };
                let all = learnt(known.into_iter().chain(norms));
                kept.keep_norms(all.iter()).map_err(failed)?;
                let _closed = writeln!(io::stdout(), "{taken} norms taken from {}", file.display());
            }
            What::Forget { service } => {
                let mut kept = Kept::write(&folder).map_err(failed)?;
                let known = kept.norms().map_err(failed)?;
                let before = known.len();
                let goes = |key: &NormKey| service.as_ref().is_none_or(|service| *key.service == **service);
                let stays = learnt(known.into_iter().filter(|(key, _)| !goes(key)));
                kept.keep_norms(stays.iter()).map_err(failed)?;
                let _closed = writeln!(io::stdout(), "{} norms forgotten", before - stays.iter().len());
            }
        }
        Ok(Exit::Done)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (there, here) = text.split_once('=').ok_or("it has the form THERE=HERE")?;
    Ok((there.to_owned(), here.to_owned()))
}

fn learnt(norms: impl IntoIterator<Item = (NormKey, Norm)>) -> Learnt {
    let mut learnt = Learnt::default();
    norms.into_iter().for_each(|(key, norm)| learnt.add(&key, &norm));
    learnt
}

fn list(baseline: &Learnt, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>7} {:>7} {:>9} {:>8} {:>9}  {:<28} WHAT",
        "MINUTES", "CALLS", "KB", "OBJECTS", "MS", "SERVICE"
    )?;
    for (key, norm) in baseline.iter() {
        let what = if key.caller.is_empty() { key.step() } else { format!("everything of {}", key.caller) };
        let ripe = if norm.is_ripe() { "" } else { " (not enough yet)" };
        writeln!(
            out,
            "{:>7} {:>7} {:>9.1} {:>8} {:>9.1}  {:<28} {}{ripe}",
            norm.minutes,
            norm.calls.usual_most(),
            norm.bytes.usual_most() as f64 / 1e3,
            norm.objects.usual_most(),
            norm.latency.usual_most() as f64 / 1e3,
            escape(&key.service),
            escape(&what)
        )?;
    }
    writeln!(out, "of one caller in a minute; one in a hundred goes beyond")?;
    out.flush()
}

fn export(document: &Document, file: Option<&Path>) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(format!("the baseline cannot be written: {error}"), "report this"))?;
    let Some(file) = file else {
        let _closed = writeln!(io::stdout(), "{text}");
        return Ok(());
    };
    let written = fs::OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut open| {
        open.write_all(text.as_bytes())?;
        open.write_all(b"\n")
    });
    written.map_err(|error| {
        Failure::new(
            format!("{} cannot be written: {error}", file.display()),
            "name a new file in a folder of yours",
        )
    })?;
    let _closed = writeln!(io::stdout(), "{} norms written to {}", document.norms.len(), file.display());
    Ok(())
}

fn import(file: &Path, names: &[(String, String)]) -> Result<Vec<(NormKey, Norm)>, Failure> {
    let mut text = Vec::new();
    let read = match file.as_os_str() == "-" {
        true => io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut text),
        false => fs::File::open(file).and_then(|open| open.take(MAX_BYTES + 1).read_to_end(&mut text)),
    };
    let wrong = |why: String| {
        Failure::new(
            format!("{} is no baseline: {why}", file.display()),
            "take a document that `apisec-top baseline export` wrote",
        )
    };
    read.map_err(|error| {
        Failure::new(format!("{} cannot be read: {error}", file.display()), "name a readable file")
    })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    let document: Document = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let here = |there: &Id| -> Id {
        names
            .iter()
            .find(|(name, _)| **name == **there)
            .map_or_else(|| there.clone(), |(_, here)| here.as_str().into())
    };
    document.norms(here).map_err(|error: DocumentError| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_are_none_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        let norm = r#"{"format": "apisec-top-baseline/1", "made": 9, "norms": [{"service": "", "norm": {"minutes": 1, "last": 1,
            "calls": [], "bytes": [], "objects": [], "latency": []}}]}"#;
        for (text, why) in [
            ("[]", "invalid"),
            (r#"{"format": "x", "made": 1, "norms": []}"#, "its format is `x`"),
            (r#"{"format": "apisec-top-baseline/1", "made": 1, "norms": [], "more": 1}"#, "unknown field"),
            (norm, "norm 0 has"),
        ] {
            fs::write(&file, text).unwrap();
            let failure = import(&file, &[]).unwrap_err().to_string();
            assert!(failure.contains(why), "{failure}");
        }
        fs::write(&file, norm.replace(r#""service": """#, r#""service": "process:a""#)).unwrap();
        let names = [("process:a".to_owned(), "process:b".to_owned())];
        assert_eq!(&*import(&file, &names).unwrap()[0].0.service, "process:b");
        assert!(pair("a").is_err());
    }
}
