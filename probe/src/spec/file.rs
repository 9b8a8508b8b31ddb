//! One file: read up to a bound, and understood by the end of its name: a GraphQL schema, a Protobuf file, a descriptor set,
//! and everything else as JSON or YAML.

use super::{graphql, protobuf};
use apisec_engine::spec::{Problem, Spec};
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

/// A way to read a specification.
type Language = fn(&str, &[u8]) -> Parsed;

/// Ends of names, and how such files are read.
const LANGUAGES: [(&str, Language); 12] = [
    ("json", json_or_yaml),
    ("yaml", json_or_yaml),
    ("yml", json_or_yaml),
    ("graphql", graphql::read),
    ("graphqls", graphql::read),
    ("gql", graphql::read),
    ("proto", protobuf::read),
    ("binpb", protobuf::read_set),
    ("pb", protobuf::read_set),
    ("desc", protobuf::read_set),
    ("protoset", protobuf::read_set),
    ("fds", protobuf::read_set),
];

/// What a file turned out to be.
#[derive(Clone)]
pub(super) enum Parsed {
    /// A document.
    Document(Arc<Value>),
    /// A specification of another language, read to its end, with the types that messages are compared with.
    Other(Arc<Spec>, Arc<Value>),
    /// It looks like a specification, and cannot be read.
    Broken(Problem),
    /// Something else.
    Stranger,
}

/// Reads the file `name` of a folder. `spent` adds up the bytes of the folder.
pub(super) fn read(folder: &Path, name: &str, spent: &mut u64) -> Parsed {
    match checked(&folder.join(name), *spent) {
        Ok(bytes) => {
            *spent += bytes.len() as u64;
            understand(name, &bytes)
        }
        Err(what) => Parsed::Broken(problem(what, None)),
    }
}

/// What the bytes of a file with this name are.
pub(super) fn understand(name: &str, bytes: &[u8]) -> Parsed {
    let language = LANGUAGES.iter().find(|(end, _)| is_called(name, end));
    language.map_or(json_or_yaml as Language, |(_, read)| *read)(name, bytes)
}

/// Whether a file may be a specification, by its name.
pub(super) fn is_candidate(name: &str) -> bool {
    LANGUAGES.iter().any(|(end, _)| is_called(name, end))
}

fn is_called(name: &str, end: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, own)| own.eq_ignore_ascii_case(end))
}

fn json_or_yaml(_name: &str, bytes: &[u8]) -> Parsed {
    let Ok(text) = str::from_utf8(bytes) else {
        return Parsed::Broken(problem("it is not UTF-8".into(), None));
    };
    match parse(text) {
        Ok(value) if value.is_object() || value.is_array() => Parsed::Document(Arc::new(value)),
        Err(problem) if looks_like_one(text) => Parsed::Broken(problem),
        _ => Parsed::Stranger,
    }
}

/// The text of a file that was read before.
pub(super) fn text(path: &Path) -> Option<String> {
    String::from_utf8(checked(path, 0).ok()?).ok()
}

fn checked(path: &Path, spent: u64) -> Result<Vec<u8>, String> {
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
    Ok(bytes)
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
