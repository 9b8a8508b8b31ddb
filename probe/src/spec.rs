//! Specifications from files, folders and addresses: found, read within bounds, and read again when they change.
//!
//! OpenAPI and Swagger in JSON and YAML, told apart by content; GraphQL schemas, Protobuf files and descriptor sets, told
//! by their names. References lead to files below the folder that was given, and nowhere
//! else; nothing is fetched but the addresses that the operator named. What cannot be read is a problem of that specification, and the rest still loads.

mod address;
pub(crate) mod examine;
pub(crate) mod fields;
mod file;
mod folder;
pub(crate) mod graphql;
pub(crate) mod protobuf;
mod room;
mod watch;

pub use watch::{Watch, watch};

use apisec_engine::degradation::Degradation;
use apisec_engine::drift::Given;
use apisec_engine::spec::{Documents, Problem, Spec, beside, is_specification, line_of, read};
use file::Parsed;
use room::Room;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of one specification: the largest public one that is split has some hundreds.
const MAX_FILES: usize = 2_048;
/// Bytes of documents that are kept while a folder is read, because others may refer to them; as values about five times as
/// much. What does not fit is read again when it is asked for.
const MAX_KEPT: u64 = 32 << 20;
/// Depth of a document in which references are looked for; what is deeper is not reached by any reader.
const MAX_DEPTH: usize = 64;

/// Where a specification is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// A file or a folder.
    Disk(PathBuf),
    /// `http://` or `https://`.
    Web(String),
}

/// What the operator named: `[SERVICE=]FILE|FOLDER|ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where it is.
    pub place: Where,
    /// The service that it describes: a workload's id or name, or a host.
    pub service: Option<String>,
}

impl Request {
    /// Reads it from the command line. What stands before `=` is a service, unless the whole is a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((service, path))
                if !service.is_empty() && !service.contains('/') && !Path::new(text).exists() =>
            {
                Self { place: Where::of(path), service: Some(service.to_owned()) }
            }
            _ => Self { place: Where::of(text), service: None },
        }
    }
}

impl Where {
    fn of(text: &str) -> Self {
        let is_address = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if is_address { Self::Web(text.to_owned()) } else { Self::Disk(text.into()) }
    }
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The specifications, by file. What is missing as a whole is one of which nothing but that problem is known, so that
    /// it is shown, and shown again when everything is read again.
    pub specs: Vec<Given>,
    /// What is missing of where they come from.
    pub degradations: Vec<Degradation>,
    /// Every file that was looked at, for whoever watches them.
    pub files: BTreeSet<PathBuf>,
    /// Every address that was asked, with a fingerprint of what it answered, if it did.
    pub addresses: BTreeMap<String, Option<u64>>,
}

/// Reads all that was asked for.
#[must_use]
pub fn load(requests: &[Request]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut room = Room::default();
    for request in requests {
        let before = loaded.specs.len();
        match &request.place {
            Where::Web(address) => address::load(address, request, &mut room, &mut loaded),
            Where::Disk(path) if path.is_dir() => load_folder(path, request, &mut room, &mut loaded),
            Where::Disk(path) => load_file(path, request, &mut room, &mut loaded),
        }
        if let Where::Disk(path) = &request.place
            && loaded.specs.len() == before
        {
            loaded.miss(&path.display().to_string(), request, NO_SPECIFICATION.to_owned());
        }
    }
    say_uncompared(&mut loaded.specs);
    loaded
}

/// The first specification whose values nothing is compared with says so.
fn say_uncompared(specs: &mut [Given]) {
    let is_left = |given: &&mut Given| given.documents.is_none() && !given.spec.operations.is_empty();
    if let Some(first) = specs.iter_mut().find(is_left) {
        first.limits.push(room::uncompared(&first.spec.file));
    }
}

/// What a folder without any is told.
const NO_SPECIFICATION: &str = "there is no specification in it: give a file or a folder with OpenAPI documents (.json, .yaml), \
    GraphQL schemas (.graphql) or Protobuf files (.proto, .binpb)";

impl Loaded {
    /// Something is not read, because there is no room.
    fn refuse(&mut self, name: &str, request: &Request, what: &str) {
        self.miss(name, request, what.to_owned());
        self.specs.last_mut().into_iter().for_each(|own| own.limits.push(room::unread(what.to_owned())));
    }

    fn miss(&mut self, name: &str, request: &Request, what: String) {
        let problem = Problem { file: String::new(), pointer: String::new(), line: None, what };
        self.specs.push(given((broken(name, problem), None), request));
    }
}

fn load_file(path: &Path, request: &Request, room: &mut Room, loaded: &mut Loaded) {
    if let Some(why) = room.is_full() {
        let shown = path.display().to_string();
        return loaded.refuse(&shown, request, &format!("{shown} is not read: {why}"));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut shelf = Shelf::new(parent.unwrap_or(Path::new(".")));
    let spec = shelf.specification(&name.unwrap_or_default(), true, room);
    room.compare(shelf.bytes);
    loaded.files.extend(shelf.files());
    loaded.specs.extend(spec.map(|spec| given(spec, request)));
}

/// A specification that is in memory: part of the program, or fetched. Its name says in which language it is.
#[must_use]
pub fn from_bytes(name: &str, bytes: &[u8]) -> Given {
    let kept = |documents| Some(documents).filter(|_| Room::default().compares(bytes.len() as u64));
    let (spec, documents) = match file::understand(name, bytes) {
        Parsed::Document(document) => {
            let documents = Arc::new(Documents::new(name, document));
            (lined(read(&documents), bytes), kept(documents))
        }
        Parsed::Other(spec, types) => {
            (Arc::unwrap_or_clone(spec), kept(Arc::new(Documents::new(name, types))))
        }
        Parsed::Broken(problem) => (broken(name, problem), None),
        Parsed::Stranger => (broken(name, stranger()), None),
    };
    Given { spec: Arc::new(spec), documents, ..Given::default() }
}

/// With the lines of its problems.
fn lined(mut spec: Spec, bytes: &[u8]) -> Spec {
    let text = str::from_utf8(bytes).unwrap_or_default();
    for problem in spec.problems.iter_mut().filter(|problem| problem.line.is_none()) {
        problem.line = Some(line_of(text, &problem.pointer));
    }
    spec
}

/// A specification that was read elsewhere, such as from an object of a cluster. `name` tells the kind where content does not.
#[must_use]
pub fn of_text(name: &str, text: &[u8], service: Option<String>) -> Given {
    Given { service, ..from_bytes(name, text) }
}

fn load_folder(path: &Path, request: &Request, room: &mut Room, loaded: &mut Loaded) {
    let found = folder::files(path);
    let mut shelf = Shelf::new(path);
    for (at, name) in found.names.iter().enumerate() {
        if let Some(why) = room.is_full() {
            let what = format!("{} files from {name} on are not read: {why}", found.names.len() - at);
            loaded.refuse(&path.display().to_string(), request, &what);
            break;
        }
        let spec = shelf.specification(name, false, room);
        loaded.specs.extend(spec.map(|spec| given(spec, request)));
    }
    room.compare(shelf.bytes);
    loaded.files.extend(shelf.files());
    if found.more {
        let what = format!(
            "it holds more files than are looked at ({}): name the folders that matter",
            folder::MAX_FILES
        );
        loaded.miss(&path.display().to_string(), request, what);
    }
}

fn given((spec, documents): Read, request: &Request) -> Given {
    Given { spec: Arc::new(spec), service: request.service.clone(), documents, ..Given::default() }
}

/// A specification, with what it was read from where that is kept.
type Read = (Spec, Option<Arc<Documents>>);

/// The files below one folder, each read once as long as there is room to keep them.
struct Shelf {
    folder: PathBuf,
    /// Every file that was looked at.
    seen: BTreeSet<String>,
    parsed: BTreeMap<String, Kept>,
    /// Bytes of all files that were looked at, and of those that are kept.
    bytes: u64,
    kept: u64,
    /// Counts up with every use.
    uses: u64,
}

/// A document that is kept.
struct Kept {
    parsed: Parsed,
    bytes: u64,
    /// Its last use.
    used: u64,
}

impl Shelf {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            seen: BTreeSet::new(),
            parsed: BTreeMap::new(),
            bytes: 0,
            kept: 0,
            uses: 0,
        }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.seen.iter().map(|name| self.folder.join(name))
    }

    /// The specification in a file; `None` when it is none and nobody said so (`named`).
    fn specification(&mut self, name: &str, named: bool, room: &mut Room) -> Option<Read> {
        self.make_room();
        let read = self.read(name, named, room)?;
        room.take(&read);
        Some(read)
    }

    fn read(&mut self, name: &str, named: bool, room: &Room) -> Option<Read> {
        match self.parse(name) {
            Parsed::Document(document) if named || is_specification(&document) => {}
            Parsed::Other(spec, types) => {
                let documents = room.compares(self.bytes).then(|| Arc::new(Documents::new(name, types)));
                return Some((self.shown(Arc::unwrap_or_clone(spec)), documents));
            }
            Parsed::Broken(problem) => return Some((self.shown(broken(name, problem)), None)),
            Parsed::Stranger if named => return Some((self.shown(broken(name, stranger())), None)),
            Parsed::Document(_) | Parsed::Stranger => return None,
        }
        let documents = Arc::new(self.documents(name)?);
        let spec = read(&documents);
        Some((self.shown(spec), Some(documents).filter(|_| room.compares(self.bytes))))
    }

    fn parse(&mut self, name: &str) -> Parsed {
        self.uses += 1;
        if let Some(kept) = self.parsed.get_mut(name) {
            kept.used = self.uses;
            return kept.parsed.clone();
        }
        // One that is read again was counted before.
        let mut spent = if self.seen.insert(name.to_owned()) { self.bytes } else { 0 };
        let before = spent;
        let parsed = file::read(&self.folder, name, &mut spent);
        let bytes = spent - before;
        self.bytes = self.bytes.max(spent);
        self.kept += bytes;
        self.parsed.insert(name.to_owned(), Kept { parsed: parsed.clone(), bytes, used: self.uses });
        parsed
    }

    /// Forgets what was not used for the longest time; documents that somebody reads at the moment live on there.
    fn make_room(&mut self) {
        while self.kept > MAX_KEPT {
            let oldest = self.parsed.iter().min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone());
            let Some(gone) = oldest.and_then(|name| self.parsed.remove(&name)) else { return };
            self.kept -= gone.bytes;
        }
    }

    /// A document with all that it refers to.
    fn documents(&mut self, root: &str) -> Option<Documents> {
        let Parsed::Document(document) = self.parse(root) else { return None };
        let mut wanted = Vec::new();
        references(&document, root, MAX_DEPTH, &mut wanted);
        let mut documents = Documents::new(root, document);
        let mut count = 1;
        while let Some(name) = wanted.pop() {
            if count >= MAX_FILES || documents.contains(&name) {
                continue;
            }
            if let Parsed::Document(document) = self.parse(&name) {
                references(&document, &name, MAX_DEPTH, &mut wanted);
                documents.add(&name, document);
                count += 1;
            }
        }
        Some(documents)
    }

    /// As it is shown: with whole paths, and with lines where there are problems.
    fn shown(&self, mut spec: Spec) -> Spec {
        let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
        for problem in spec.problems.iter_mut().filter(|problem| problem.line.is_none()) {
            let text = texts
                .entry(problem.file.clone())
                .or_insert_with_key(|name| file::text(&self.folder.join(name)));
            problem.line = text.as_deref().map(|text| line_of(text, &problem.pointer));
        }
        let whole = |file: &mut String| *file = self.folder.join(&*file).display().to_string();
        whole(&mut spec.file);
        spec.problems.iter_mut().for_each(|problem| whole(&mut problem.file));
        let mut files: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        for place in spec.operations.iter_mut().map(|operation| &mut operation.place) {
            let shown = files.entry(place.file.clone()).or_insert_with_key(|file| {
                let mut file = file.to_string();
                whole(&mut file);
                file.into()
            });
            place.file = shown.clone();
        }
        spec.operations.shrink_to_fit();
        spec
    }
}

/// Names of the files that a document refers to.
fn references(value: &Value, from: &str, depth: usize, into: &mut Vec<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, from, depth, into)),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let file = reference.split('#').next().filter(|file| !file.is_empty());
                into.extend(file.and_then(|file| beside(from, file)));
            }
            members.values().for_each(|member| references(member, from, depth, into));
        }
        _ => {}
    }
}

fn broken(name: &str, problem: Problem) -> Spec {
    let problem = Problem { file: name.to_owned(), ..problem };
    Spec { file: name.to_owned(), problems: vec![problem], ..Spec::default() }
}

fn stranger() -> Problem {
    let what = "it is nothing that could be a specification".to_owned();
    Problem { file: String::new(), pointer: String::new(), line: None, what }
}

#[cfg(test)]
mod tests;
