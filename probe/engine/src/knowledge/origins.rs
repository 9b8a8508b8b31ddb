//! Who made a workload do it: findings about calls between servers name where the calls came in that caused them, by the ways
//! of calls that belong together (`graph/follow.rs`): by their trace where they carry one, else by path and time.

use super::passed_on::is_one;
use crate::finding::Finding;
use crate::snapshot::ChainView;
use std::collections::BTreeMap;

/// The detectors of which it matters.
const BETWEEN_SERVERS: [&str; 2] = ["lateral-movement", "bfla-audience"];
/// Origins that are named.
const NAMED: usize = 3;

/// Adds to the evidence who asked.
pub(super) fn name(findings: &mut [Finding], chains: &[ChainView]) {
    for finding in findings.iter_mut().filter(|finding| BETWEEN_SERVERS.contains(&&*finding.detector)) {
        let mut origins: BTreeMap<String, u64> = BTreeMap::new();
        for chain in chains {
            if let Some(way) = way_to(finding, &chain.path) {
                *origins.entry(way.join(" → ")).or_default() += chain.calls;
            }
        }
        if origins.is_empty() {
            continue;
        }
        let mut most: Vec<(String, u64)> = origins.into_iter().collect();
        most.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let told = most.iter().take(NAMED).map(|(way, calls)| format!("{way} ({calls} calls)"));
        finding.evidence = format!("{}; caused by {}", finding.evidence, told.collect::<Vec<_>>().join(", "));
        finding.facts.insert("origins".to_owned(), most.len() as f64);
    }
}

/// The part of a way that leads to the workload of the finding, where the way goes on as the finding says.
fn way_to<'a>(finding: &Finding, path: &'a [String]) -> Option<&'a [String]> {
    let at = path.iter().position(|workload| is_one(&finding.actor, workload)).filter(|at| *at > 0)?;
    let mut behind = path.get(at + 1..)?.iter();
    let goes_on = behind.any(|workload| finding.service.is_empty() || *workload == finding.service);
    if goes_on { path.get(..=at) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(path: &[&str], calls: u64) -> ChainView {
        ChainView { path: path.iter().map(|id| (*id).to_owned()).collect(), calls }
    }

    fn finding(detector: &str, service: &str) -> Finding {
        let [detector, actor, service] = [detector, "process:mailer", service].map(str::to_owned);
        Finding { detector, actor, service, evidence: "read much".into(), ..Finding::default() }
    }

    #[test]
    fn the_way_in_is_told() {
        let chains = [
            chain(&["external:192.0.2.7", "process:mailer:80", "process:users:80"], 40),
            chain(&["process:gate", "process:mailer:80", "process:stock:80"], 2),
            chain(&["process:mailer", "process:users:80"], 9),
        ];
        let mut findings = [
            finding("lateral-movement", ""),
            finding("bfla-audience", "process:stock:80"),
            finding("bfla", ""),
        ];
        name(&mut findings, &chains);
        assert_eq!(
            findings[0].evidence,
            "read much; caused by external:192.0.2.7 → process:mailer:80 (40 calls), process:gate → process:mailer:80 (2 calls)"
        );
        assert_eq!(findings[1].evidence, "read much; caused by process:gate → process:mailer:80 (2 calls)");
        assert_eq!(findings[2].evidence, "read much");
    }
}
