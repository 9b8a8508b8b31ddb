//! Calls through proxies: a call into a workload and a call out of it that belong together.

use crate::endpoint::Id;
use crate::fingerprint;
use apisec_proto::call::Vantage;
use serde::{Deserialize, Serialize};

/// One call as the search for hops sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leg {
    /// First byte of the request, Unix nanoseconds.
    pub start: u64,
    /// Last byte of the response, or the end of the wait.
    pub end: u64,
    /// Index of the caller in [`Legs::names`].
    pub src: u32,
    /// Index of the callee in [`Legs::names`].
    pub dst: u32,
    /// Keyed hash of the trace or request id, 0 when there was none.
    pub trace: u64,
    /// Fingerprints of method and path: whole, without the first segment, without the first two.
    pub path: [u32; 3],
    /// Where it was observed.
    pub vantage: Vantage,
}

/// Fingerprints of `method` and `path`: whole, without the first segment, without the first two; 0 where
/// nothing is left but the root.
#[must_use]
pub fn path_prints(method: &str, path: &str) -> [u32; 3] {
    let method = fingerprint::of(method.as_bytes());
    let print = |path: &str| (fingerprint::pair(method, fingerprint::of(path.as_bytes())) >> 32) as u32;
    let cut = |path: &str| {
        path.get(1..)
            .and_then(|rest| rest.find('/'))
            .and_then(|at| path.get(at + 1..))
            .filter(|rest| rest.len() > 1)
            .map(str::len)
    };
    let tail = |len: Option<usize>| len.and_then(|len| path.get(path.len() - len..));
    let once = tail(cut(path));
    let twice = once.and_then(|rest| tail(cut(rest)));
    [print(path), once.map_or(0, print), twice.map_or(0, print)]
}

/// Legs of one delta with the names they use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    /// Workload ids.
    pub names: Vec<Id>,
    /// Legs.
    pub legs: Vec<Leg>,
}
