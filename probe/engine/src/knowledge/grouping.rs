//! Which observed endpoints are shown as one, and what they add up to.

use super::service::{Endpoints, Observed};
use crate::distinct::Distinct;
use crate::endpoint::{EndpointKey, EndpointStats, PARAMETERS};
use crate::fingerprint;
use crate::inventory::rules::Rules;
use crate::inventory::template::{Member, segments, templates};
use crate::limits::{ANY_METHOD, UNROUTED};
use apisec_proto::call::Protocol;
use compact_str::CompactString;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names under which a service's router refused calls that are shown one by one; a scan brings more.
pub(super) const SHOWN_REFUSALS: usize = 16;

/// What a group is shown as; also its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupName {
    pub(super) path: Arc<str>,
    pub(super) method: CompactString,
    pub(super) protocol: Protocol,
}

/// The members of each group, by key.
pub(super) fn group(observed: &Endpoints, rules: &Rules, k: usize) -> BTreeMap<GroupName, Vec<u32>> {
    let member = |(key, known): (&'_ EndpointKey, &'_ Observed)| {
        (key.path.clone(), key.method.clone(), !known.stats.is_unrouted())
    };
    let owned: Vec<(Arc<str>, CompactString, bool)> = observed.iter().map(member).collect();
    let members: Vec<Member<'_>> =
        owned.iter().map(|(path, method, routed)| Member { path, method, routed: *routed }).collect();
    let paths = templates(&members, rules, k);
    let routed: BTreeSet<&str> =
        members.iter().zip(&paths).filter(|(member, _)| member.routed).map(|(_, path)| &**path).collect();
    let is_noise = |member: &Member<'_>, path: &str| !member.routed && !routed.contains(path);
    let noise: BTreeSet<(&str, &str)> = members
        .iter()
        .zip(&paths)
        .filter(|(member, path)| is_noise(member, path))
        .map(|(member, path)| (&**path, member.method))
        .collect();
    let fold = noise.len() > SHOWN_REFUSALS || noise.iter().any(|(path, _)| *path == UNROUTED);
    let mut groups: BTreeMap<GroupName, Vec<u32>> = BTreeMap::new();
    for (at, ((key, _), (member, path))) in observed.iter().zip(members.iter().zip(&paths)).enumerate() {
        let name = if fold && is_noise(member, path) {
            GroupName { path: Arc::from(UNROUTED), method: ANY_METHOD.into(), protocol: key.protocol }
        } else {
            GroupName { path: path.clone(), method: key.method.clone(), protocol: key.protocol }
        };
        groups.entry(name).or_default().push(at as u32);
    }
    sort(&mut groups, observed);
    groups
}

/// Orders members by key, so that which of them are kept apart does not depend on the order of arrival.
fn sort(groups: &mut BTreeMap<GroupName, Vec<u32>>, observed: &Endpoints) {
    let key = |at: &u32| observed.get_index(*at as usize).map(|(key, _)| key);
    for members in groups.values_mut().filter(|members| members.len() > 1) {
        members.sort_by(|a, b| key(a).cmp(&key(b)));
    }
}

/// The statistics of all members of a group; borrowed when there is nothing to add up.
pub(super) fn sum<'a>(
    template: &str,
    members: impl Iterator<Item = (&'a EndpointKey, &'a EndpointStats)>,
) -> Cow<'a, EndpointStats> {
    let mut members = members.peekable();
    let Some((first, stats)) = members.next() else { return Cow::Owned(EndpointStats::default()) };
    if members.peek().is_none() && *first.path == *template {
        return Cow::Borrowed(stats);
    }
    let mut total = EndpointStats::default();
    let mut values = Vec::new();
    for (key, stats) in std::iter::once((first, stats)).chain(members) {
        total.merge(stats);
        add_values(template, &key.path, stats, &mut values);
    }
    total.values = values;
    Cow::Owned(total)
}

/// Adds the values that a member's path has at the places of the template's parameters.
fn add_values(template: &str, path: &str, stats: &EndpointStats, values: &mut Vec<Distinct>) {
    let mut typed = stats.values.iter();
    let mut place = 0;
    for (shown, segment) in segments(template).iter().zip(segments(path)) {
        let own = if segment.contains('{') { typed.next() } else { None };
        if !shown.contains('{') || place >= PARAMETERS {
            continue;
        }
        if values.len() <= place {
            values.push(Distinct::default());
        }
        if let Some(distinct) = values.get_mut(place) {
            match own {
                Some(own) => distinct.merge(own),
                None => distinct.insert(fingerprint::of(segment.as_bytes())),
            }
        }
        place += 1;
    }
}
