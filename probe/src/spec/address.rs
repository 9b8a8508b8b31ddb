//! A specification at an address that the operator named: asked for once, without credentials, within bounds of time and
//! size. What it refers to elsewhere is not fetched.

use super::file::{self, MAX_BYTES, Parsed};
use super::{Loaded, MAX_COMPARED, Read, Request, broken, given, stranger};
use crate::forward::http::Place;
use crate::forward::stream::Trust;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::spec::{Documents, Spec, line_of, read};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Asks for it; what does not work is said.
pub(super) fn load(address: &str, request: &Request, loaded: &mut Loaded) {
    match fetch(address) {
        Ok(bytes) => {
            loaded.addresses.insert(address.to_owned(), Some(fingerprint(&bytes)));
            loaded.specs.push(given(specification(shown(address), &bytes), request));
        }
        Err(why) => {
            loaded.addresses.insert(address.to_owned(), None);
            loaded.degradations.push(unreachable(shown(address), &why));
        }
    }
}

/// What an address answers now, told from what it answered before; `None` when it does not.
pub(super) fn look(address: &str) -> Option<u64> {
    fetch(address).ok().map(|bytes| fingerprint(&bytes))
}

/// Without its query, which may hold a secret.
pub(super) fn shown(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

fn fetch(address: &str) -> Result<Vec<u8>, String> {
    let place = Place::parse(address.split('#').next().unwrap_or_default())?;
    let authority = address.split('/').nth(2).unwrap_or_default();
    if authority.contains('@') {
        return Err("an address with a password in it is not asked".to_owned());
    }
    place.get(&Trust::default(), MAX_BYTES as usize)
}

pub(super) fn specification(name: &str, bytes: &[u8]) -> Read {
    let spec = match file::understand(name, bytes) {
        Parsed::Document(document) => {
            let documents = Arc::new(Documents::new(name, document));
            let is_kept = bytes.len() as u64 <= MAX_COMPARED;
            return (lined(read(&documents), bytes), Some(documents).filter(|_| is_kept));
        }
        Parsed::Other(spec) => Arc::unwrap_or_clone(spec),
        Parsed::Broken(problem) => broken(name, problem),
        Parsed::Stranger => broken(name, stranger()),
    };
    (spec, None)
}

/// With the lines of its problems.
fn lined(mut spec: Spec, bytes: &[u8]) -> Spec {
    let text = str::from_utf8(bytes).unwrap_or_default();
    for problem in spec.problems.iter_mut().filter(|problem| problem.line.is_none()) {
        problem.line = Some(line_of(text, &problem.pointer));
    }
    spec
}

fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    hash.finish()
}

fn unreachable(address: &str, why: &str) -> Degradation {
    Degradation {
        code: "specification-unreachable".into(),
        severity: Severity::Notice,
        what: format!("the specification at {address} could not be read: {why}"),
        remedy: "it is asked for again every minute; or give a file".into(),
    }
}
