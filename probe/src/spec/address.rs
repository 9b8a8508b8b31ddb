//! A specification at an address that the operator named: asked for once, without credentials, within bounds of time and
//! size. What it refers to elsewhere is not fetched.

use super::file::MAX_BYTES;
use super::room::Room;
use super::{Loaded, Request, from_bytes, given};
use crate::forward::http::Place;
use crate::forward::stream::Trust;
use apisec_engine::drift::Given;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Asks for it; what does not work is said.
pub(super) fn load(address: &str, request: &Request, room: &mut Room, loaded: &mut Loaded) {
    if let Some(why) = room.is_full() {
        let what = format!("{} is not read: {why}", shown(address));
        return loaded.refuse(shown(address), request, &what);
    }
    match fetch(address) {
        Ok(bytes) => {
            loaded.addresses.insert(address.to_owned(), Some(fingerprint(&bytes)));
            let Given { spec, documents, .. } = from_bytes(shown(address), &bytes);
            let documents = documents.filter(|_| room.compares(bytes.len() as u64));
            room.compare(documents.as_ref().map_or(0, |_| bytes.len() as u64));
            let read = (Arc::unwrap_or_clone(spec), documents);
            room.take(&read);
            loaded.specs.push(given(read, request));
        }
        Err(why) => {
            loaded.addresses.insert(address.to_owned(), None);
            let what = format!("it could not be read: {why}; it is asked for again every minute");
            loaded.miss(shown(address), request, what);
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

fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    hash.finish()
}
