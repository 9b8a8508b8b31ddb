//! What somebody left behind at one place in some seconds: the mergeable features that findings rest on.
//!
//! Every call is written into one trail, that of its actor at its endpoint, with what most detectors need; a
//! detector adds its own counts, sets and moments under its [`Mark`]s, and may ask for the trail of a token or of a
//! workload. Merging is exact in any order: counts add up, sets depend on their members alone, of moments the newest
//! are kept and of samples the earliest. What depends on order carries its time and is judged at the merge.

use crate::detect::is_sensitive;
use crate::distinct::Distinct;
use crate::endpoint::{AuthSet, EndpointKey, Id, Tally};
use crate::fingerprint;
use apisec_proto::call::{AuthScheme, Call};
use serde::{Deserialize, Serialize};

mod moments;
mod outcome;
mod place;
mod samples;
mod tries;

pub use moments::{Moment, Moments};
pub use outcome::Outcome;
pub use place::Place;
pub use samples::{Sample, Samples};
pub use tries::Tries;

/// Seconds of one epoch, by which the recent past is told apart: windows are made of whole epochs, and the shortest
/// window that a detector uses is a minute.
pub const EPOCH: u32 = 20;

/// Marks that one trail holds, of each kind. The detectors together have fewer.
const MARKS: usize = 24;

/// Which of its features a detector means: a hash of their name, so that files need not know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark(u32);

impl Mark {
    /// The mark of a name such as `auth-brute-force.failures`.
    #[must_use]
    pub const fn new(name: &str) -> Self {
        // FNV-1a; the names are ours.
        let (bytes, mut hash, mut at) = (name.as_bytes(), 0x811c_9dc5_u32, 0);
        while at < bytes.len() {
            #[expect(clippy::indexing_slicing, reason = "evaluated while compiling, on names of ours")]
            let byte = bytes[at];
            hash = (hash ^ byte as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        Self(hash)
    }
}

/// Whose trail it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// A caller under one identity at an endpoint. Every call is in one.
    Actor,
    /// Everybody at an endpoint: the sum of its actors, made at the merge.
    Endpoint,
    /// A caller under one identity at a service, whatever the endpoint: likewise a sum.
    Client,
    /// A caller at a service: likewise a sum.
    Edge,
    /// Whatever a detector sets apart by a number of its own, of a caller at an endpoint: an account that it tries.
    Own,
    /// The same at a service, whoever calls: a token.
    Apart,
    /// A workload, in whichever role.
    Workload,
}

/// Names a trail. Parts that the scope leaves out are empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrailKey {
    /// Whose trail it is.
    pub scope: Scope,
    /// Where: only service, protocol and vantage count where the scope is no endpoint's.
    pub endpoint: EndpointKey,
    /// Calling workload.
    pub caller: Id,
    /// Keyed hash of the identity, [`NOBODY`] or [`CROWD`]; or a detector's number.
    pub actor: u64,
}

/// The actor of calls that name nobody.
pub const NOBODY: u64 = 0;
/// The actor of those whose trails do not fit.
pub const CROWD: u64 = u64::MAX;

/// Accepted calls without any credential.
pub const OPEN: Mark = Mark::new("open");
/// Accepted calls with sensitive data in the answer, of those whose bodies were read.
pub const SENSITIVE: Mark = Mark::new("sensitive");

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Calls.
    pub calls: u64,
    /// Calls by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// First call, Unix nanoseconds; `u64::MAX` when there is none.
    pub first: u64,
    /// Last call, Unix nanoseconds.
    pub last: u64,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes.
    pub response_bytes: u64,
    /// Bytes of the largest response.
    pub largest: u64,
    /// Nanoseconds that the calls took together.
    pub busy: u64,
    /// How the calls proved who they are.
    pub auth: AuthSet,
    /// Objects that accepted calls named.
    pub objects: Distinct,
    /// Objects that other calls named.
    pub missed: Distinct,
    /// Smallest and largest number among the objects of accepted calls; the first above the second when there is none.
    pub span: (u64, u64),
    /// Counts of the detectors.
    pub counts: Tally<Mark>,
    /// Sets of the detectors.
    pub sets: Vec<(Mark, Distinct)>,
    /// Moments of the detectors.
    pub moments: Vec<(Mark, Moments)>,
    /// Some of the calls.
    pub samples: Samples,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            calls: 0,
            outcomes: Default::default(),
            first: u64::MAX,
            last: 0,
            request_bytes: 0,
            response_bytes: 0,
            largest: 0,
            busy: 0,
            auth: AuthSet::default(),
            objects: Distinct::default(),
            missed: Distinct::default(),
            span: (u64::MAX, 0),
            counts: Tally::default(),
            sets: Vec::new(),
            moments: Vec::new(),
            samples: Samples::default(),
        }
    }
}

impl Trail {
    /// Adds a call that named the objects with these fingerprints.
    pub fn add(&mut self, call: &Call, values: &[u64]) {
        let outcome = Outcome::of(call);
        self.calls += 1;
        if let Some(count) = self.outcomes.get_mut(outcome as usize) {
            *count += 1;
        }
        self.touch(call.at);
        self.request_bytes = self.request_bytes.saturating_add(call.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(call.response_bytes);
        self.largest = self.largest.max(call.response_bytes);
        self.busy = self.busy.saturating_add(call.duration);
        self.auth.insert(call.auth);
        self.samples.add(call, outcome);
        if outcome == Outcome::Accepted {
            if call.auth == AuthScheme::None {
                self.count(OPEN, 1);
            }
            if is_sensitive(call) {
                self.count(SENSITIVE, 1);
            }
        }
        // All parameters together are the object: `/shops/{a}/orders/{b}`.
        let Some(object) = values.iter().copied().reduce(fingerprint::pair) else { return };
        if outcome != Outcome::Accepted {
            return self.missed.insert(object);
        }
        self.objects.insert(object);
        if let Some(number) = last_number(&call.path) {
            self.span = (self.span.0.min(number), self.span.1.max(number));
        }
    }

    /// Something happened at `at` (Unix nanoseconds).
    pub fn touch(&mut self, at: u64) {
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
    }

    /// Nothing happened yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first == u64::MAX
    }

    /// Counts under a mark.
    pub fn count(&mut self, mark: Mark, more: u64) {
        if self.counts.len() < MARKS || self.counts.get(mark) > 0 {
            self.counts.add(mark, more);
        }
    }

    /// What was counted under a mark.
    #[must_use]
    pub fn counted(&self, mark: Mark) -> u64 {
        self.counts.get(mark)
    }

    /// Adds a value, by its hash, to the set of a mark.
    pub fn insert(&mut self, mark: Mark, hash: u64) {
        // Sets halve what they are given.
        if let Some(set) = place(&mut self.sets, mark) {
            set.insert(fingerprint::pair(hash, 0));
        }
    }

    /// Distinct values in the set of a mark.
    #[must_use]
    pub fn distinct(&self, mark: Mark) -> u64 {
        self.set(mark).map_or(0, Distinct::count)
    }

    /// The set of a mark.
    #[must_use]
    pub fn set(&self, mark: Mark) -> Option<&Distinct> {
        self.sets.iter().find(|(known, _)| *known == mark).map(|(_, set)| set)
    }

    /// Notes that something with this number happened at a time.
    pub fn moment(&mut self, mark: Mark, at: u64, what: u64) {
        if let Some(moments) = place(&mut self.moments, mark) {
            moments.add(Moment { at, what });
        }
    }

    /// The moments of a mark, oldest first.
    #[must_use]
    pub fn moments(&self, mark: Mark) -> &[Moment] {
        self.moments.iter().find(|(known, _)| *known == mark).map_or(&[], |(_, moments)| moments.kept())
    }

    /// Calls with this outcome.
    #[must_use]
    pub fn with(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).copied().unwrap_or(0)
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.outcomes.iter_mut().zip(other.outcomes).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.largest = self.largest.max(other.largest);
        self.busy = self.busy.saturating_add(other.busy);
        self.auth.merge(other.auth);
        self.objects.merge(&other.objects);
        self.missed.merge(&other.missed);
        self.span = (self.span.0.min(other.span.0), self.span.1.max(other.span.1));
        other.counts.iter().for_each(|(mark, count)| self.count(mark, count));
        other.sets.iter().for_each(|(mark, set)| join(&mut self.sets, *mark, |ours| ours.merge(set)));
        let moments = other.moments.iter();
        moments.for_each(|(mark, more)| join(&mut self.moments, *mark, |ours| ours.merge(more)));
        self.samples.merge(&other.samples);
    }

    /// Moves every time to where `moved` says.
    pub fn reset_clock(&mut self, moved: impl Fn(u64) -> u64) {
        if !self.is_empty() {
            self.first = moved(self.first);
        }
        self.last = moved(self.last);
        for (_, moments) in &mut self.moments {
            let at = |moment: &Moment| Moment { at: moved(moment.at), ..*moment };
            *moments = moments.kept().iter().map(at).collect::<Vec<_>>().into();
        }
        let at = |sample: &Sample| Sample { at: moved(sample.at), ..sample.clone() };
        self.samples = self.samples.iter().map(at).collect::<Vec<_>>().into();
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        let mut kept = std::mem::take(self);
        kept.objects.clear();
        kept.missed.clear();
        kept.counts.clear();
        kept.sets.iter_mut().for_each(|(_, set)| set.clear());
        kept.moments.iter_mut().for_each(|(_, moments)| moments.clear());
        kept.samples.clear();
        let Self { objects, missed, counts, sets, moments, samples, .. } = kept;
        *self = Self { objects, missed, counts, sets, moments, samples, ..Self::default() };
    }

    /// A copy without what was cleared.
    #[must_use]
    pub fn compact(&self) -> Self {
        let sets = self.sets.iter().filter(|(_, set)| set.count() > 0).cloned().collect();
        let moments =
            self.moments.iter().filter(|(_, moments)| !moments.kept().is_empty()).cloned().collect();
        Self { sets, moments, ..self.clone() }
    }
}

/// The member of a mark; `None` when there are too many.
fn place<T: Default>(members: &mut Vec<(Mark, T)>, mark: Mark) -> Option<&mut T> {
    let at = match members.binary_search_by_key(&mark, |(known, _)| *known) {
        Ok(at) => at,
        Err(_) if members.len() >= MARKS => return None,
        Err(at) => {
            members.insert(at, (mark, T::default()));
            at
        }
    };
    members.get_mut(at).map(|(_, member)| member)
}

/// Merges into the member of a mark.
fn join<T: Default>(members: &mut Vec<(Mark, T)>, mark: Mark, merge: impl FnOnce(&mut T)) {
    if let Some(member) = place(members, mark) {
        merge(member);
    }
}

/// The last segment of a path that is a number.
fn last_number(path: &str) -> Option<u64> {
    let digits = |segment: &&str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    path.rsplit('/').find(digits)?.parse().ok()
}

/// The epoch in which `at` (Unix nanoseconds) lies.
#[must_use]
pub fn epoch_of(at: u64) -> u32 {
    crate::load::second_of(at) / EPOCH
}

#[cfg(test)]
mod tests;
