//! Which observed endpoints are shown as one, and what they add up to.

use super::service::{Endpoints, Observed};
use crate::distinct::Distinct;
use crate::drift::contract::Shown;
use crate::drift::state::Evidence;
use crate::drift::{Contract, Documented};
use crate::endpoint::{EndpointKey, EndpointStats, PARAMETERS};
use crate::fingerprint;
use crate::inventory::rules::Rules;
use crate::inventory::template::{Member, segments, templates};
use crate::limits::{ANY_METHOD, UNROUTED};
use apisec_proto::call::Protocol;
use compact_str::CompactString;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Names under which a service's router refused calls that are shown one by one; a scan brings more.
pub(super) const SHOWN_REFUSALS: usize = 16;

/// Where a GraphQL schema is served when nobody has called it yet: the path that most servers have.
const GRAPHQL: &str = "/graphql";

/// What a group is shown as; also its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupName {
    pub(super) path: Arc<str>,
    pub(super) method: CompactString,
    pub(super) operation: CompactString,
    pub(super) protocol: Protocol,
}

/// Endpoints that are shown as one.
pub(super) struct Together {
    pub(super) name: GroupName,
    pub(super) members: Vec<u32>,
    /// Where it is documented.
    pub(super) documented: Option<Documented>,
}

/// The groups in order, each with its members in the order of their keys: which of them are kept apart
/// must not depend on the order of arrival.
///
/// What is documented goes under its documented path; what nobody calls is there as well, without members. The
/// templates of the rest are learnt.
pub(super) fn group(
    observed: &Endpoints,
    rules: &Rules,
    k: usize,
    contract: Option<&Contract>,
) -> Vec<Together> {
    let mut named: Vec<(GroupName, &EndpointKey, u32, Option<Documented>)> =
        Vec::with_capacity(observed.len());
    let mut rest: Vec<(u32, &EndpointKey, Member<'_>)> = Vec::new();
    for (at, (key, known)) in (0..).zip(observed) {
        let accepted = || Evidence::of(&known.stats).accepted;
        match contract.and_then(|contract| contract.document(key, accepted())) {
            Some(found) => named.push((name(found.path.clone(), key), key, at, Some(found))),
            None => rest.push((at, key, member(key, known))),
        }
    }
    let members: Vec<Member<'_>> = rest.iter().map(|(.., member)| *member).collect();
    let paths = templates(&members, rules, k);
    let noise = noise(&members, &paths);
    for ((at, key, _), (path, is_noise)) in rest.into_iter().zip(paths.into_iter().zip(noise)) {
        let name = if is_noise { unrouted(key) } else { name(path, key) };
        named.push((name, key, at, None));
    }
    named.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let chunks = named.chunk_by(|a, b| a.0 == b.0);
    let mut groups: Vec<Together> = chunks.filter_map(together).collect();
    if let Some(contract) = contract {
        add_uncalled(contract, &mut groups);
    }
    groups
}

fn name(path: Arc<str>, key: &EndpointKey) -> GroupName {
    GroupName { path, method: key.method.clone(), operation: key.operation.clone(), protocol: key.protocol }
}

/// The row of a scan's harvest.
fn unrouted(key: &EndpointKey) -> GroupName {
    let method = CompactString::const_new(ANY_METHOD);
    GroupName {
        path: Arc::from(UNROUTED),
        method,
        operation: CompactString::default(),
        protocol: key.protocol,
    }
}

fn together(chunk: &[(GroupName, &EndpointKey, u32, Option<Documented>)]) -> Option<Together> {
    Some(Together {
        name: chunk.first()?.0.clone(),
        members: chunk.iter().map(|(_, _, at, _)| *at).collect(),
        documented: chunk.iter().find_map(|(.., documented)| documented.clone()),
    })
}

/// Documented operations that none of the groups is.
fn add_uncalled(contract: &Contract, groups: &mut Vec<Together>) {
    let called: HashSet<u32> = groups
        .iter()
        .filter_map(|group| group.documented.as_ref())
        .flat_map(Documented::operations)
        .collect();
    let names: BTreeSet<GroupName> = groups.iter().map(|group| group.name.clone()).collect();
    // A schema does not say where it is served.
    let asked = groups.iter().find(|group| group.name.protocol == Protocol::Graphql);
    let graphql = asked.map_or_else(|| Arc::from(GRAPHQL), |group| group.name.path.clone());
    let uncalled = contract.operations().filter(|own| !called.contains(&own.number));
    let uncalled = uncalled.filter_map(|Shown { number, protocol, method, path, operation }| {
        let path = path.unwrap_or_else(|| graphql.clone());
        let documented = Some(Documented { operation: Some(number), ..Documented::of(path.clone()) });
        let name = GroupName { path, method, operation, protocol };
        (!names.contains(&name)).then_some(Together { name, members: Vec::new(), documented })
    });
    let before = groups.len();
    groups.extend(uncalled);
    if groups.len() > before {
        groups.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

fn member<'a>(key: &'a EndpointKey, known: &Observed) -> Member<'a> {
    Member { path: &key.path, method: &key.method, routed: !known.stats.is_unrouted() }
}

/// Which members are a scan's harvest: refused by the router under many names, none of which is a known path.
fn noise(members: &[Member<'_>], paths: &[Arc<str>]) -> Vec<bool> {
    let mut noise: Vec<bool> = members.iter().map(|member| !member.routed).collect();
    if noise.contains(&true) {
        let routed: HashSet<&str> =
            members.iter().zip(paths).filter(|(member, _)| member.routed).map(|(_, path)| &**path).collect();
        noise.iter_mut().zip(paths).for_each(|(noise, path)| *noise &= !routed.contains(&**path));
    }
    let named = || members.iter().zip(paths).zip(&noise).filter(|(_, noise)| **noise).map(|(named, _)| named);
    let names: HashSet<(&str, &str)> = named().map(|(member, path)| (&**path, member.method)).collect();
    if names.len() <= SHOWN_REFUSALS && !names.iter().any(|(path, _)| *path == UNROUTED) {
        noise.fill(false);
    }
    noise
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
