//! Follows calls through proxies: matches a call out of a workload with the call into it that caused it.
//!
//! Two legs belong together when they are nested in time and carry the same trace, or, where one of them
//! carries none, the same method and path (or one path ends the other: proxies cut or add a prefix). That a
//! workload is a proxy need not be known. Which legs match is a function of the set of legs, so they wait
//! until all that belongs to them has had time to arrive.

use super::hop::Leg;
use crate::limits::Limits;
use apisec_proto::call::Vantage;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};

/// Deltas of other nodes, and calls whose names were waited for, may be this much late, nanoseconds.
const SETTLE: u64 = 3_000_000_000;
/// Clocks of two hooks on one node may differ by this much, nanoseconds.
const SLACK: u64 = 1_000_000;
/// Calls in flight under one key that are looked through for the one that encloses a leg.
const IN_FLIGHT: usize = 256;
/// Longest way that is followed, in calls.
const LONGEST: usize = 8;

/// Workloads along a way: caller, proxies, callee. Numbers are the knowledge's.
pub type Way = SmallVec<[u32; 4]>;

/// A leg whose ends are the knowledge's numbers.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    leg: Leg,
    /// It was found to enclose another leg, so the way does not end with it.
    passed_on: bool,
}

/// Legs that wait, and the calls per way so far.
#[derive(Default)]
pub struct Follower {
    waiting: Vec<Waiting>,
    settled: BTreeMap<Way, u64>,
    /// Ways of legs that may still find a better match; made again when legs arrive.
    provisional: Option<BTreeMap<Way, u64>>,
    newest: u64,
    /// Legs that could not wait for lack of room.
    unfollowed: u64,
    crowded: bool,
}

impl Follower {
    /// Adds a leg whose ends are the knowledge's numbers.
    pub fn add(&mut self, leg: Leg, limits: &Limits) {
        self.newest = self.newest.max(leg.end);
        self.provisional = None;
        if self.waiting.len() < limits.legs {
            self.waiting.push(Waiting { leg, passed_on: false });
        } else {
            self.unfollowed += 1;
        }
    }

    /// The workload with one number is the one with another.
    pub fn rename(&mut self, from: u32, to: u32) {
        let renamed = |number: &mut u32| *number = if *number == from { to } else { *number };
        for Waiting { leg, .. } in &mut self.waiting {
            renamed(&mut leg.src);
            renamed(&mut leg.dst);
        }
        for (mut way, calls) in std::mem::take(&mut self.settled) {
            way.iter_mut().for_each(renamed);
            *self.settled.entry(way).or_default() += calls;
        }
        self.provisional = None;
    }

    /// Legs that were not followed for lack of room.
    #[must_use]
    pub const fn unfollowed(&self) -> u64 {
        self.unfollowed
    }

    /// More ways than are told apart were found.
    #[must_use]
    pub const fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Calls per way of at least two calls. `covered` says whether a probe sees a workload's own side.
    pub fn ways(&mut self, limits: &Limits, covered: impl Fn(u32) -> bool) -> BTreeMap<Way, u64> {
        if self.provisional.is_none() {
            self.judge(limits, covered);
        }
        let mut ways = self.settled.clone();
        for (way, calls) in self.provisional.iter().flatten() {
            *ways.entry(way.clone()).or_default() += calls;
        }
        ways
    }

    fn judge(&mut self, limits: &Limits, covered: impl Fn(u32) -> bool) {
        let horizon = self.newest.saturating_sub(SETTLE);
        self.waiting.sort_by(|a, b| a.leg.start.cmp(&b.leg.start).then_with(|| a.leg.cmp(&b.leg)));
        let index = Index::of(&self.waiting);
        let counts = |leg: &Leg| leg.src != leg.dst && (leg.vantage == Vantage::Server || !covered(leg.dst));
        let parents: Vec<Option<usize>> =
            self.waiting.iter().map(|own| index.parent(&self.waiting, &own.leg)).collect();
        let passed_on = self.mark_passed_on(&parents, horizon, counts);
        let mut provisional = BTreeMap::new();
        for (at, own) in self.waiting.iter().enumerate() {
            if passed_on.get(at) != Some(&false) || !counts(&own.leg) {
                continue;
            }
            let way = self.way(at, &parents);
            if way.len() < 3 {
                continue;
            }
            let ways = if own.leg.end <= horizon { &mut self.settled } else { &mut provisional };
            if ways.contains_key(&way) || ways.len() < limits.chains {
                *ways.entry(way).or_default() += 1;
            } else {
                self.crowded = true;
            }
        }
        self.waiting.retain(|own| own.leg.end > horizon);
        self.provisional = Some(provisional);
    }

    /// Which legs enclose another; remembered where that is settled.
    fn mark_passed_on(
        &mut self,
        parents: &[Option<usize>],
        horizon: u64,
        counts: impl Fn(&Leg) -> bool,
    ) -> Vec<bool> {
        let mut passed_on: Vec<bool> = self.waiting.iter().map(|own| own.passed_on).collect();
        for (own, parent) in parents.iter().enumerate() {
            let Some(leg) = self.waiting.get(own).map(|own| own.leg).filter(|leg| counts(leg)) else {
                continue;
            };
            let Some(parent) = *parent else { continue };
            passed_on.get_mut(parent).into_iter().for_each(|passed| *passed = true);
            if leg.end <= horizon {
                self.waiting.get_mut(parent).into_iter().for_each(|parent| parent.passed_on = true);
            }
        }
        passed_on
    }

    /// The way that ends with the leg at `at`.
    fn way(&self, at: usize, parents: &[Option<usize>]) -> Way {
        let mut way = Way::new();
        let mut next = Some(at);
        while let Some(own) = next.and_then(|at| self.waiting.get(at)) {
            if way.is_empty() {
                way.push(own.leg.dst);
            }
            way.push(own.leg.src);
            next = if way.len() > LONGEST {
                None
            } else {
                next.and_then(|at| parents.get(at).copied().flatten())
            };
        }
        way.reverse();
        way
    }
}

/// Legs by callee and what they can be recognised by, each list in order of start.
struct Index(HashMap<(u32, u64), Vec<usize>, foldhash::fast::RandomState>);

impl Index {
    /// Only legs into workloads that call someone themselves can enclose another.
    fn of(waiting: &[Waiting]) -> Self {
        let mut callers: Vec<u32> = waiting.iter().map(|own| own.leg.src).collect();
        callers.sort_unstable();
        callers.dedup();
        let mut index = Self(HashMap::default());
        for (at, Waiting { leg, .. }) in waiting.iter().enumerate() {
            if callers.binary_search(&leg.dst).is_err() {
                continue;
            }
            for key in keys(leg) {
                index.0.entry((leg.dst, key)).or_default().push(at);
            }
        }
        index
    }

    /// The leg that encloses `own` most tightly: by trace if it has one, else by path.
    fn parent(&self, waiting: &[Waiting], own: &Leg) -> Option<usize> {
        let [whole, shorter @ ..] = own.path;
        let traced = (own.trace != 0).then(|| self.enclosing(waiting, own, own.trace, |_| true)).flatten();
        traced.or_else(|| {
            let untraced = |leg: &Leg| own.trace == 0 || leg.trace == 0;
            let same = self.enclosing(waiting, own, u64::from(whole), untraced);
            // The proxy put a prefix before the path that it was called with.
            let longer = |print: &u32| {
                let whole = |leg: &Leg| untraced(leg) && leg.path.first() == Some(print);
                self.enclosing(waiting, own, u64::from(*print), whole)
            };
            same.or_else(|| shorter.iter().filter(|print| **print != 0).find_map(longer))
        })
    }

    fn enclosing(
        &self,
        waiting: &[Waiting],
        own: &Leg,
        key: u64,
        fits: impl Fn(&Leg) -> bool,
    ) -> Option<usize> {
        let candidates = self.0.get(&(own.src, key))?;
        let leg = |at: &usize| waiting.get(*at).map(|waiting| &waiting.leg);
        let started =
            candidates.partition_point(|at| leg(at).is_some_and(|leg| leg.start <= own.start + SLACK));
        let encloses = |at: &&usize| {
            leg(at).is_some_and(|leg| {
                leg != own
                    && own.end <= leg.end.saturating_add(SLACK)
                    && leg.start <= own.start + SLACK
                    && fits(leg)
            })
        };
        candidates.get(..started)?.iter().rev().take(IN_FLIGHT).find(encloses).copied()
    }
}

/// What a leg can be recognised by: its trace, its path, its path without its first segments.
fn keys(leg: &Leg) -> impl Iterator<Item = u64> {
    let prints = leg.path.into_iter().map(u64::from);
    prints.chain([leg.trace]).filter(|key| *key != 0)
}

#[cfg(test)]
mod tests {
    use super::super::hop::path_prints;
    use super::*;
    use proptest::prelude::*;

    fn leg(src: u32, dst: u32, (start, end): (u64, u64), path: &str) -> Leg {
        let (start, end) = (start * 10_000_000, end * 10_000_000);
        Leg { start, end, src, dst, trace: 0, path: path_prints("GET", path), vantage: Vantage::Server }
    }

    fn ways(legs: &[Leg]) -> Vec<(Vec<u32>, u64)> {
        let limits = Limits::default();
        let mut follower = Follower::default();
        legs.iter().for_each(|leg| follower.add(*leg, &limits));
        follower.ways(&limits, |_| true).into_iter().map(|(way, calls)| (way.to_vec(), calls)).collect()
    }

    #[test]
    fn a_call_through_two_proxies_is_one_way() {
        let legs = [leg(1, 2, (0, 9), "/a/b"), leg(2, 3, (1, 8), "/a/b"), leg(3, 4, (2, 7), "/a/b")];
        assert_eq!(ways(&legs), [(vec![1, 2, 3, 4], 1)]);
    }

    #[test]
    fn a_prefix_may_be_cut_or_added() {
        assert_eq!(
            ways(&[leg(1, 2, (0, 9), "/api/users/7"), leg(2, 3, (1, 8), "/users/7")]),
            [(vec![1, 2, 3], 1)]
        );
        assert_eq!(
            ways(&[leg(1, 2, (0, 9), "/users/7"), leg(2, 3, (1, 8), "/v1/api/users/7")]),
            [(vec![1, 2, 3], 1)]
        );
    }

    #[test]
    fn what_is_not_nested_or_not_the_same_is_no_way() {
        assert_eq!(ways(&[leg(1, 2, (0, 5), "/a"), leg(2, 3, (1, 8), "/a")]), []);
        assert_eq!(ways(&[leg(1, 2, (0, 9), "/a"), leg(2, 3, (1, 8), "/b")]), []);
        assert_eq!(ways(&[leg(1, 2, (0, 9), "/a"), leg(4, 3, (1, 8), "/a")]), []);
    }

    #[test]
    fn traces_decide_where_both_have_one() {
        let traced = |leg: Leg, trace| Leg { trace, ..leg };
        let (a, b) = (leg(1, 2, (0, 9), "/a"), leg(2, 3, (1, 8), "/b"));
        assert_eq!(ways(&[traced(a, 7), traced(b, 7)]), [(vec![1, 2, 3], 1)]);
        let same_path = leg(2, 3, (1, 8), "/a");
        assert_eq!(ways(&[traced(a, 7), traced(same_path, 8)]), []);
        assert_eq!(ways(&[traced(a, 7), same_path]), [(vec![1, 2, 3], 1)]);
    }

    #[test]
    fn a_client_side_duplicate_does_not_count_twice() {
        let inner = leg(2, 3, (1, 8), "/a");
        let twin = Leg { vantage: Vantage::Client, ..inner };
        assert_eq!(ways(&[leg(1, 2, (0, 9), "/a"), inner, twin]), [(vec![1, 2, 3], 1)]);
    }

    #[test]
    fn counts_are_kept_when_legs_leave() {
        let limits = Limits::default();
        let mut follower = Follower::default();
        for round in 0..10 {
            let at = round * 100;
            follower.add(leg(1, 2, (at, at + 9), "/a"), &limits);
            follower.add(leg(2, 3, (at + 1, at + 8), "/a"), &limits);
            let ways = follower.ways(&limits, |_| true);
            assert_eq!(ways.values().sum::<u64>(), round + 1);
        }
        assert!(follower.waiting.len() < 10);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            spec in proptest::collection::vec((1_u32..5, 1_u32..5, 0_u64..20, 1_u64..20, "/[ab](/[ab])?"), 0..40), cut in any::<prop::sample::Index>()
        ) {
            let mut legs: Vec<Leg> =
                spec.iter().map(|(src, dst, start, long, path)| leg(*src, *dst, (*start, start + long), path)).collect();
            let before = ways(&legs);
            if !legs.is_empty() {
                let cut = cut.index(legs.len());
                legs.rotate_left(cut);
            }
            prop_assert_eq!(before, ways(&legs));
        }
    }
}
