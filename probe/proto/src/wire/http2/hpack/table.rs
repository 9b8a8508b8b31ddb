//! The tables of HPACK (RFC 7541 §2.3): the static one, and the dynamic one as far as it is known.
//!
//! Positions count from the newest entry. So whatever was inserted before we came, or while bytes were missing, lies
//! beyond what we hold, and what we hold is never taken for something else: a table that is not `whole`
//! knows its newest entries exactly, and nothing of the others.

use std::collections::VecDeque;

/// What an entry counts beyond its octets (§4.1).
const OVERHEAD: usize = 32;
/// The limit without settings (RFC 9113 §6.5.2).
pub(in super::super) const DEFAULT_LIMIT: usize = 4096;
/// Largest table that is followed, whatever the peers agree on. Entries beyond it are not known.
pub(in super::super) const MAX_LIMIT: usize = 64 * 1024;

/// The dynamic table of one direction.
#[derive(Debug)]
pub(in super::super) struct Table {
    /// Names and values, oldest first; those before `start` are evicted.
    bytes: Vec<u8>,
    start: usize,
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Size by the rules of the RFC.
    size: usize,
    /// What the encoder keeps to, as far as known.
    limit: usize,
    /// Everything that the real table holds is here: an index beyond it is an error of the encoder.
    whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    name: u32,
    value: u32,
    /// The name is known; the value always is.
    named: bool,
}

impl Entry {
    const fn len(self) -> usize {
        self.name as usize + self.value as usize
    }
}

/// What an index stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A name (when it is known) and a value.
    Entry(Option<&'a [u8]>, &'a [u8]),
    /// An entry that we have not seen.
    Unknown,
    /// No table has it.
    Invalid,
}

impl Table {
    /// A table whose beginning we have seen when `whole`.
    pub(in super::super) const fn new(whole: bool) -> Self {
        Self { bytes: Vec::new(), start: 0, entries: VecDeque::new(), size: 0, limit: DEFAULT_LIMIT, whole }
    }

    /// Bytes of memory that it holds.
    pub(in super::super) fn held(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The entry at `index`, which counts the static table first (§2.3.3).
    pub(super) fn find(&self, index: u64) -> Found<'_> {
        let Some(place) = index.checked_sub(1) else { return Found::Invalid };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some((name, value)) = STATIC.get(place) {
            return Found::Entry(Some(name.as_bytes()), value.as_bytes());
        }
        let Some(entry) = self.entries.get(place - STATIC.len()) else {
            return if self.whole { Found::Invalid } else { Found::Unknown };
        };
        let at = entry.at as usize;
        let (name, value) = self
            .bytes
            .get(at..at + entry.len())
            .and_then(|both| both.split_at_checked(entry.name as usize))
            .unwrap_or_default();
        Found::Entry(entry.named.then_some(name), value)
    }

    /// Inserts a field (§4.4); `room` is what tables may grow. A name that is not known leaves its place empty.
    pub(super) fn insert(&mut self, name: Option<&[u8]>, value: &[u8], room: usize) {
        let name_len = name.map_or(0, <[u8]>::len);
        let len = name_len + value.len();
        let before = self.held();
        self.evict(self.limit.saturating_sub(len + OVERHEAD));
        if len + OVERHEAD > self.limit && self.whole {
            return;
        }
        let alive = self.size.saturating_sub(self.entries.len() * (OVERHEAD - size_of::<Entry>()));
        if len + OVERHEAD > MAX_LIMIT || alive + len + size_of::<Entry>() > before.saturating_add(room) {
            // It is in the real table, and has no place here: what comes after it can still be counted.
            return self.forget();
        }
        self.compact();
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name.unwrap_or_default());
        self.bytes.extend_from_slice(value);
        self.size += len + OVERHEAD;
        let entry = Entry { at, name: name_len as u32, value: value.len() as u32, named: name.is_some() };
        self.entries.push_front(entry);
    }

    /// The encoder changes the limit (§6.3). Emptied, the table is known again; larger than we follow, it is not.
    pub(super) fn resize(&mut self, limit: u64) {
        self.limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_LIMIT);
        self.evict(self.limit);
        self.whole = (self.whole || limit == 0) && limit <= MAX_LIMIT as u64;
    }

    /// A block was lost: what it inserted, and so every older position, is not known any more.
    pub(in super::super) fn forget(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        (self.start, self.size, self.whole) = (0, 0, false);
    }

    /// Drops the oldest entries until the others fit `limit`.
    fn evict(&mut self, limit: usize) {
        while self.size > limit {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(oldest.len() + OVERHEAD);
            self.start = oldest.at as usize + oldest.len();
        }
        if self.entries.is_empty() {
            self.bytes.clear();
            (self.start, self.size) = (0, 0);
        }
    }

    /// Moves what is alive to the front when more is dead: amortised, every byte moves once.
    fn compact(&mut self) {
        if self.start <= self.bytes.len() / 2 {
            return;
        }
        self.bytes.drain(..self.start);
        for entry in &mut self.entries {
            entry.at -= self.start as u32;
        }
        self.start = 0;
    }
}

/// RFC 7541 Appendix A.
#[rustfmt::skip]
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
    ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
    ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
    ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
    ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];
