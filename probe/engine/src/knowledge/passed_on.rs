//! What is found at every hop of a call that proxies pass on is one finding: the one where the call came in.
//!
//! It goes by what the findings say themselves: the same detector and operation, under the same identity, and who calls
//! here was called there. Findings about a service as a whole are followed along the edges. Nothing is forgotten: when
//! the outer finding goes, the inner one is shown.

use crate::finding::Finding;

/// Findings behind the place where a call came in are left out; the outer one says where else it was seen.
pub(super) fn fold(findings: &mut Vec<Finding>, calls: impl Fn(&str, &str) -> bool) {
    let roots = roots(findings, &calls);
    let behind = |root: usize| {
        let inner = roots.iter().zip(findings.iter()).enumerate();
        inner.filter(move |(at, (known, _))| **known == root && *at != root).map(|(_, (_, inner))| inner)
    };
    let told: Vec<(bool, Vec<Finding>)> =
        (0..findings.len()).map(|at| (roots.get(at) == Some(&at), behind(at).cloned().collect())).collect();
    let mut told = told.into_iter();
    findings.retain_mut(|finding| {
        let Some((kept, behind)) = told.next() else { return true };
        if kept && !behind.is_empty() {
            absorb(finding, &behind);
        }
        kept
    });
}

/// For each finding the one that it is shown as.
fn roots(findings: &[Finding], calls: &impl Fn(&str, &str) -> bool) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..findings.len()).collect();
    let root = |roots: &[usize], mut at: usize| {
        // A root is its own; no chain is longer than there are findings.
        for _ in 0..roots.len() {
            match roots.get(at) {
                Some(next) if *next != at => at = *next,
                _ => break,
            }
        }
        at
    };
    for (at, inner) in findings.iter().enumerate() {
        let outer = findings.iter().enumerate().find_map(|(other, outer)| {
            let found = (other != at && is_behind(inner, outer, calls)).then(|| root(&roots, other))?;
            (found != at).then_some(found)
        });
        if let (Some(outer), Some(place)) = (outer, roots.get_mut(at)) {
            *place = outer;
        }
    }
    (0..roots.len()).map(|at| root(&roots, at)).collect()
}

fn is_behind(inner: &Finding, outer: &Finding, calls: &impl Fn(&str, &str) -> bool) -> bool {
    let same = inner.detector == outer.detector
        && inner.identity_hash == outer.identity_hash
        && inner.method == outer.method
        && !inner.service.is_empty()
        && inner.service != outer.service;
    if !same || !(inner.path.ends_with(&outer.path) || outer.path.ends_with(&inner.path)) {
        return false;
    }
    match (inner.actor.as_str(), outer.actor.as_str()) {
        ("", "") => calls(&outer.service, &inner.service),
        ("", _) | (_, "") => false,
        (actor, _) => is_one(actor, &outer.service),
    }
}

/// Whether a caller and a service are one workload: a service bears its port.
pub(super) fn is_one(caller: &str, service: &str) -> bool {
    let port = service.strip_prefix(caller).map(|rest| rest.strip_prefix(':'));
    service == caller || port.flatten().is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn absorb(finding: &mut Finding, behind: &[Finding]) {
    let mut services: Vec<&str> = behind.iter().map(|inner| inner.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let (shown, more) = services.split_at(services.len().min(3));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    finding.evidence = format!("{}; also behind it, at {}{more}", finding.evidence, shown.join(", "));
    finding.facts.insert("services_behind".to_owned(), services.len() as f64);
    for inner in behind {
        finding.severity = finding.severity.max(inner.severity);
        finding.confidence = finding.confidence.max(inner.confidence);
        finding.first_seen = finding.first_seen.min(inner.first_seen);
        finding.last_seen = finding.last_seen.max(inner.last_seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn finding(actor: &str, service: &str, path: &str) -> Finding {
        let [detector, method, actor, service, path] =
            ["bola-enumeration", "GET", actor, service, path].map(str::to_owned);
        Finding { detector, method, actor, service, path, identity_hash: "7".into(), ..Finding::default() }
    }

    #[test]
    fn a_call_through_two_proxies_is_found_once() {
        let mut findings = vec![
            finding("edge", "gateway", "/api/orders/{id:int}"),
            // As a caller it has no port.
            Finding { severity: Severity::High, ..finding("gateway", "orders", "/orders/{id:int}") },
            finding("outside", "edge:80", "/api/orders/{id:int}"),
        ];
        fold(&mut findings, |_, _| false);
        let [one] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((one.actor.as_str(), one.severity), ("outside", Severity::High));
        assert!(one.evidence.ends_with("also behind it, at gateway, orders"), "{}", one.evidence);
    }

    #[test]
    fn what_is_about_everybody_follows_the_edges_also_in_a_circle() {
        let calls = |from: &str, to: &str| matches!((from, to), ("a", "b") | ("b", "a") | ("b", "c"));
        let mut findings = ["c", "b", "a", "z"].map(|service| finding("", service, "")).to_vec();
        fold(&mut findings, calls);
        assert_eq!(findings.len(), 2, "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.service == "z"));
    }

    #[test]
    fn near_misses() {
        // Somebody else, another operation, another service's caller.
        let other = Finding { identity_hash: "8".into(), ..finding("gateway", "orders", "/orders") };
        let mut findings = vec![
            finding("outside", "gateway", "/api/orders"),
            other,
            finding("gateway", "orders", "/api/carts"),
            finding("batch", "orders", "/api/orders"),
        ];
        fold(&mut findings, |_, _| true);
        assert_eq!(findings.len(), 4);
    }
}
