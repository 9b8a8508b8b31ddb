//! A file that grows by one JSON line per finding: as this program writes them, or as OCSF events.

use super::address::{Access, Kind};
use super::{Refusal, Sender};
use apisec_engine::export::ocsf::{self, Activity};
use apisec_engine::finding::Finding;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Findings as they are in `findings` of the JSON.
pub(super) const FINDINGS: Kind =
    Kind { name: "ndjson", about: "a file, one finding per line", open: findings };
/// OCSF events.
pub(super) const OCSF: Kind =
    Kind { name: "ocsf", about: "a file, one OCSF Detection Finding per line", open: events };

/// Findings of which we remember that they were told; beyond that an update is called a creation.
const REMEMBERED: usize = 16_384;

struct Lines {
    path: PathBuf,
    /// Those that were told, where it matters.
    events: Option<HashSet<String>>,
}

fn findings(address: &str, _: &Access) -> Result<Box<dyn Sender>, String> {
    open(address, None)
}

fn events(address: &str, _: &Access) -> Result<Box<dyn Sender>, String> {
    open(address, Some(HashSet::new()))
}

fn open(address: &str, events: Option<HashSet<String>>) -> Result<Box<dyn Sender>, String> {
    if address.is_empty() {
        return Err("no file is named".into());
    }
    Ok(Box::new(Lines { path: PathBuf::from(address), events }))
}

impl Sender for Lines {
    fn send(&mut self, findings: &[Finding]) -> Result<(), Refusal> {
        let mut text = String::new();
        for finding in findings {
            let line = match &mut self.events {
                None => serde_json::to_value(finding).unwrap_or_default(),
                Some(told) => {
                    let known = told.contains(&finding.id);
                    if told.len() < REMEMBERED {
                        told.insert(finding.id.clone());
                    }
                    ocsf::event(finding, Activity::of(finding, known), env!("CARGO_PKG_VERSION"))
                }
            };
            text.push_str(&line.to_string());
            text.push('\n');
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        Ok(())
    }
}
