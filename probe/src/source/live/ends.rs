//! The two ends of one local connection, which counts once.
//!
//! The kernel dismisses the client's end when it knows the server's. Where it could not know (connections older than us,
//! a handshake that raced), both ends arrive, and the client's is dropped here.

use super::address;
use apisec_abi::{Open, ROLE_CLIENT};
use apisec_proto::segment::ConnId;
use foldhash::fast::RandomState;
use lru::LruCache;
use std::net::SocketAddr;

/// Recent connections whose ends may still have to be joined.
const JOINED: usize = 65_536;

/// Joins the two ends of local connections that the kernel could not join.
pub(super) struct Ends {
    /// Probed ends that were seen, by what both ends agree on: client's cookie if it is the client's end.
    servers: LruCache<Key, (), RandomState>,
    clients: LruCache<Key, u64, RandomState>,
    covered: LruCache<u64, (), RandomState>,
    pub joined: u64,
}

/// What the two ends of one connection have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// The sequence numbers after the handshake: the same behind NAT and in every namespace.
    Handshake(u32, u32),
    /// Client's and server's address, for connections whose handshake was not seen.
    Addresses(SocketAddr, SocketAddr),
}

impl Default for Ends {
    fn default() -> Self {
        // A bounded cache preallocates; the bound is kept by `remember` instead.
        Self {
            servers: LruCache::unbounded_with_hasher(RandomState::default()),
            clients: LruCache::unbounded_with_hasher(RandomState::default()),
            covered: LruCache::unbounded_with_hasher(RandomState::default()),
            joined: 0,
        }
    }
}

impl Ends {
    pub(super) fn is_covered(&mut self, cookie: u64) -> bool {
        !self.covered.is_empty() && self.covered.get(&cookie).is_some()
    }

    /// Notes an end; returns the client's end if it was handed on already and is superseded by this one.
    pub(super) fn join(&mut self, open: &Open) -> Option<ConnId> {
        let key = key(open);
        if open.role == ROLE_CLIENT {
            if self.servers.get(&key).is_some() {
                self.cover(open.cookie);
            } else {
                remember(&mut self.clients, key, open.cookie);
            }
            return None;
        }
        remember(&mut self.servers, key, ());
        let twice = self.clients.pop(&key)?;
        self.cover(twice);
        Some(ConnId(twice))
    }

    fn cover(&mut self, cookie: u64) {
        self.joined += 1;
        remember(&mut self.covered, cookie, ());
    }
}

fn remember<K: Copy + Eq + std::hash::Hash, V>(cache: &mut LruCache<K, V, RandomState>, key: K, value: V) {
    if cache.len() >= JOINED {
        cache.pop_lru();
    }
    cache.put(key, value);
}

fn key(open: &Open) -> Key {
    if open.client_isn != 0 || open.server_isn != 0 {
        return Key::Handshake(open.client_isn, open.server_isn);
    }
    let (local, remote) =
        (address(open.local_addr, open.local_port), address(open.remote_addr, open.remote_port));
    if open.role == ROLE_CLIENT { Key::Addresses(local, remote) } else { Key::Addresses(remote, local) }
}
