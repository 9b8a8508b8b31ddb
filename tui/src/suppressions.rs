//! The file of suppressions: a list that is reviewed like code, with a reason for every entry.
//!
//! `suppressions.toml` is the documentation and the list of valid names at once; a test holds it against [`Entry`].

use crate::exit::Failure;
use apisec_engine::moment::midnight;
use apisec_engine::suppression::Suppression;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::value::Datetime;

/// The commented example, as `apisec-top print suppressions` prints it.
pub const EXAMPLE: &str = include_str!("suppressions.toml");

/// Largest file that is read: some thousand entries.
const MAX_BYTES: u64 = 1 << 20;

const REMEDY: &str = "apisec-top print suppressions";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    suppress: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Entry {
    detector: String,
    service: String,
    method: String,
    path: String,
    actor: String,
    identity: String,
    reason: String,
    until: Option<Datetime>,
}

/// The suppressions in a file.
///
/// # Errors
/// It cannot be read, or says something that is not understood.
pub fn read(path: &Path) -> Result<Vec<Suppression>, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    let shown = path.display();
    if text.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(
            format!("suppressions in {shown} are larger than {MAX_BYTES} bytes"),
            REMEDY,
        ));
    }
    read.map_err(|error| Failure::usage(format!("suppressions in {shown} cannot be read: {error}"), REMEDY))?;
    parse(&text).map_err(|why| Failure::usage(format!("{shown}: {why}"), REMEDY))
}

fn parse(text: &str) -> Result<Vec<Suppression>, String> {
    let list: List = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    (1..)
        .zip(list.suppress)
        .map(|(number, entry)| entry.checked().map_err(|why| format!("entry {number} {why}")))
        .collect()
}

impl Entry {
    fn checked(self) -> Result<Suppression, &'static str> {
        let until = match self.until.map(|until| (until.date, until.time)) {
            None => 0,
            Some((Some(day), None)) => {
                // The day that is named is the last one.
                let begins = midnight(day.year.into(), day.month.into(), day.day.into());
                begins.map(|begins| begins + 86_400_000_000_000).ok_or("ends at no day since 1970")?
            }
            Some(_) => return Err("ends at a day, such as 2030-12-31"),
        };
        let Self { detector, service, method, path, actor, identity, reason, .. } = self;
        if reason.trim().is_empty() {
            return Err("has no reason");
        }
        if [&detector, &service, &method, &path, &actor, &identity].iter().all(|text| text.is_empty()) {
            return Err("would suppress everything: name a detector, a service or a path");
        }
        Ok(Suppression { detector, service, method, path, actor, identity, reason, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_shows_everything() {
        assert_eq!(parse(EXAMPLE), Ok(Vec::new()));
        let uncommented: String = EXAMPLE
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        let all = parse(&uncommented).unwrap();
        let [Suppression { detector, service, method, path, actor, identity, reason, until }] = &all[..]
        else {
            panic!("{all:?}")
        };
        assert!(
            [detector, service, method, path, actor, identity, reason].iter().all(|text| !text.is_empty())
        );
        assert_eq!(apisec_engine::moment::rfc3339(*until), "2031-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn what_is_careless_is_refused() {
        for (text, expected) in [
            ("[[suppress]]\ndetector = \"ssrf\"", "entry 1 has no reason"),
            ("[[suppress]]\nreason = \"noise\"", "entry 1 would suppress everything"),
            ("[[suppress]]\ndetector = \"a\"\nreason = \"b\"\nuntil = 10:00:00", "entry 1 ends at a day"),
            ("[[suppress]]\ndetectr = \"ssrf\"", "TOML parse error at line 2"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
