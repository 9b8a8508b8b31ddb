//! Rules as a backend is given them: what to refuse, in terms that a kernel knows. Which rules a policy needs is
//! not decided here, and nothing here has names of workloads.

use crate::clock;
use std::net::IpAddr;

/// Rules of one policy that a backend takes. More than this is no policy that a person has reviewed.
pub const MAX_RULES: usize = apisec_abi::enforce::OF_POLICY;

/// All that one policy does at one backend. Applying it again replaces what it did before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Number of the policy; 0 is none.
    pub policy: u32,
    /// When it ends.
    pub deadline: Deadline,
    /// What it refuses.
    pub rules: Vec<Rule>,
}

/// When a policy ends, on the kernel's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub u64);

impl Deadline {
    /// Not before it is undone.
    pub const NEVER: Self = Self(apisec_abi::enforce::FOREVER);

    /// The moment that is `unix_nanos` on the wall clock, as that goes now.
    #[must_use]
    pub fn at(unix_nanos: u64) -> Self {
        let left = unix_nanos.saturating_sub(clock::now());
        Self(clock::boottime().saturating_add(left))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self != Self::NEVER && self.0 <= clock::boottime()
    }

    /// When it will be on the wall clock, as that goes now; `None`: never.
    #[must_use]
    pub fn unix_nanos(self) -> Option<u64> {
        let now = clock::boottime();
        let wall = if self.0 >= now {
            clock::now().saturating_add(self.0 - now)
        } else {
            clock::now().saturating_sub(now - self.0)
        };
        (self != Self::NEVER).then_some(wall)
    }
}

/// What is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// New connections.
    Connect(Connect),
    /// Requests of HTTP/1 to a service of this node.
    Request(Request),
    /// Requests beyond a rate.
    Rate(Rate),
    /// All that goes in and out of a workload.
    Quarantine(Quarantine),
}

/// New connections from here that are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// Who connects; empty: whoever does.
    pub from: Vec<Caller>,
    /// Where to; empty: wherever.
    pub to: Vec<Target>,
}

/// Requests that are refused with a 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The listening addresses of the service; unspecified addresses stand for all of the node.
    pub service: Vec<Target>,
    /// Method, in capitals; `None`: any. A method named by an override header counts too.
    pub method: Option<String>,
    /// Which paths.
    pub path: Pattern,
    /// Whether the letters' case matters.
    pub case: Case,
    /// Who asks; empty: whoever does.
    pub from: Vec<Caller>,
    /// A connection whose request cannot be decided is destroyed; otherwise it passes and is counted.
    pub fail_closed: bool,
}

/// Requests beyond a rate are refused with a 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Which requests count.
    pub request: Request,
    /// What has a bucket of its own.
    pub per: Per,
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens of a full bucket.
    pub burst: u32,
}

/// What has a bucket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All requests share one.
    Rule,
    /// Each caller: its address, or its process where that is known.
    Caller,
    /// Each value of the header `Authorization`; requests without one share one.
    Credential,
}

/// A workload is cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Its processes: what they connect to is refused.
    pub inside: Vec<Caller>,
    /// Where it listens: connections to it are refused.
    pub listens: Vec<Target>,
    /// Targets that it may still reach.
    pub reach: Vec<Target>,
    /// Callers that may still reach it.
    pub admit: Vec<Caller>,
}

/// Who connects or asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The processes of a cgroup of the second hierarchy, by its id.
    Cgroup(u64),
    /// A process and its threads.
    Process(u32),
    /// Whoever has this address; for requests only.
    Address(IpAddr),
}

/// Where connections go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `None`: any.
    pub addr: Option<IpAddr>,
    /// `None`: any.
    pub port: Option<u16>,
    /// Cookie of the network namespace of the socket that connects (of the service, for requests); 0: any.
    /// Needed for addresses that exist in several, such as loopback.
    pub netns: u64,
}

impl Target {
    /// A port at an address, seen from any network namespace.
    #[must_use]
    pub fn new(addr: IpAddr, port: u16) -> Self {
        Self { addr: Some(addr), port: Some(port), netns: 0 }
    }
}

/// Whether the letters' case matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// `/Admin` is not `/admin`.
    #[default]
    Sensitive,
    /// They are the same, in ASCII.
    Insensitive,
}

/// Which paths, after normalisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Its segments in order; none: `/`.
    pub segments: Vec<Part>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes, percent-decoded.
    Literal(Vec<u8>),
    /// Any one segment: `{x}`.
    Any,
    /// Whatever follows, also nothing: `{x*}`; the last one.
    Rest,
}

impl Pattern {
    /// Reads `/api/{id}/items/{rest*}`. `None`: not a pattern, or `{x*}` is not at its end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('/')?;
        let words: Vec<&str> = inner.split('/').filter(|word| !word.is_empty()).collect();
        let last = words.len().saturating_sub(1);
        let part = |(at, word): (usize, &&str)| match word.strip_prefix('{') {
            Some(rest) if rest.ends_with("*}") => (at == last).then_some(Part::Rest),
            Some(rest) if rest.ends_with('}') => Some(Part::Any),
            Some(_) => None,
            None => Some(Part::Literal(word.as_bytes().to_vec())),
        };
        let segments = words.iter().enumerate().map(part).collect::<Option<_>>()?;
        Some(Self { segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_literals_single_segments_and_a_rest() {
        let pattern = Pattern::parse("/api/{id}//items/{rest*}").unwrap();
        let literal = |word: &str| Part::Literal(word.as_bytes().to_vec());
        assert_eq!(pattern.segments, [literal("api"), Part::Any, literal("items"), Part::Rest]);
        assert_eq!(Pattern::parse("/").unwrap().segments, []);
        assert_eq!(Pattern::parse("/{all*}").unwrap().segments, [Part::Rest]);
        for wrong in ["", "api", "/{rest*}/more", "/{open"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_deadline_is_the_same_moment_on_both_clocks() {
        let wall = clock::now() + 60_000_000_000;
        let deadline = Deadline::at(wall);
        assert!(!deadline.passed());
        assert!(deadline.unix_nanos().unwrap().abs_diff(wall) < 1_000_000_000);
        assert!(Deadline::at(0).passed());
        assert!(!Deadline::NEVER.passed());
        assert_eq!(Deadline::NEVER.unix_nanos(), None);
    }
}
