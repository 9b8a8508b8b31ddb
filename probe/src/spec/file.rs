//! One file: read up to a bound, parsed as JSON or YAML.

use apisec_engine::spec::Problem;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{budget, options};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes of one file. The largest public specification has about 40 MB as JSON.
pub(super) const MAX_BYTES: u64 = 48 << 20;
/// Bytes of all files below one folder: their values take about five times as much while they are read.
const MAX_ALL_BYTES: u64 = 512 << 20;

/// What a file turned out to be.
#[derive(Clone)]
pub(super) enum Parsed {
    /// A document.
    Document(Arc<Value>),
    /// It looks like a specification, and cannot be read.
    Broken(Problem),
    /// Something else.
    Stranger,
}

/// Reads a file. `spent` adds up the bytes of a folder.
pub(super) fn read(path: &Path, spent: &mut u64) -> Parsed {
    let text = match checked(path, *spent) {
        Ok(text) => text,
        Err(what) => return Parsed::Broken(problem(what, None)),
    };
    *spent += text.len() as u64;
    match parse(&text) {
        Ok(value) if value.is_object() || value.is_array() => Parsed::Document(Arc::new(value)),
        Err(problem) if looks_like_one(&text) => Parsed::Broken(problem),
        _ => Parsed::Stranger,
    }
}

/// The text of a file that was read before.
pub(super) fn text(path: &Path) -> Option<String> {
    checked(path, 0).ok()
}

fn checked(path: &Path, spent: u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be opened: {error}"))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if length > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    if spent + length > MAX_ALL_BYTES {
        return Err(format!("its folder holds more than {} MiB of specifications", MAX_ALL_BYTES >> 20));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // It may have grown meanwhile, and may be no regular file.
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_invalid| "it is not UTF-8".to_owned())
}

/// Parses JSON, or YAML, which differ in their first character.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            // What begins like JSON may be a YAML flow mapping; when it is neither, JSON was meant.
            Err(error) => {
                return yaml(text)
                    .map_err(|_neither| problem(format!("no JSON: {error}"), Some(error.line() as u64)));
            }
        }
    }
    yaml(text)
}

/// YAML within a tight budget: an alias bomb ends here.
fn yaml(text: &str) -> Result<Value, Problem> {
    let options = options! {
        // Every event of a file of this size, and no more.
        budget: budget! { max_documents: 1, max_events: 8_000_000, max_nodes: 4_000_000, max_aliases: 10_000, max_anchors: 10_000, max_depth: 128, max_total_scalar_bytes: MAX_BYTES as usize },
        // `no` is Norway, and a version is text.
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let said = error.without_snippet().to_string();
        problem(format!("no YAML: {}", said.lines().next().unwrap_or_default()), line)
    })
}

/// Whether somebody meant this to be a specification.
fn looks_like_one(text: &str) -> bool {
    let head = text.get(..text.len().min(4_096)).unwrap_or(text);
    ["openapi", "swagger"].iter().any(|word| head.contains(word))
}

fn problem(what: String, line: Option<u64>) -> Problem {
    let line = Some(line.and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0).unwrap_or(1));
    Problem { file: String::new(), pointer: String::new(), line, what }
}
