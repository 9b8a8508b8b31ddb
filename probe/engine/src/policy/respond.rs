//! Policies for findings without a person in the loop, for the first minutes. There is none unless the operator wrote a
//! rule, and then only what is narrow, short, rare, and cuts nobody who looks as if he should be served.
//!
//! Decides and does nothing: whoever keeps policies puts them into force, by the same ways as an operator's, never forced.

use super::draft;
use super::guard::Ward;
use super::preview::Preview;
use super::{Name, Policy, Reason, Scope, Ttl};
use crate::finding::{Finding, Severity, State};
use crate::load::SECOND;
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// Longest time that such a policy lasts: then a person must have looked.
pub const MAX_TTL: u32 = 300;
/// Most policies that one rule makes in an hour.
pub const MAX_PER_HOUR: u32 = 12;
/// Policies of all rules that are in force at once.
pub const MAX_OPEN: usize = 3;
/// How the reasons of such policies begin.
pub const MARK: &str = "respond: ";
/// The detector of a rule about all of them.
pub const ANY: &str = "any";
/// Findings that are remembered as answered.
const MAX_ANSWERED: usize = 4_096;
const HOUR: u64 = 3_600 * SECOND;

/// When to act by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The detector's id, or [`ANY`].
    pub detector: String,
    /// Severity from which on.
    pub severity: Severity,
    /// Seconds that a policy lasts, [`MAX_TTL`] at most.
    pub ttl: u32,
    /// Policies in an hour, [`MAX_PER_HOUR`] at most.
    pub per_hour: u32,
}

/// What follows from the findings of a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// To be put into force.
    pub policies: Vec<Policy>,
    /// Findings that a rule is about and that are left to the operator: the id, and why.
    pub held: BTreeMap<String, String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Responder {
    rules: Vec<Rule>,
    /// Findings that began earlier are none of ours, Unix nanoseconds.
    since: u64,
    /// Each is answered once: what the operator took back is not put into force again.
    answered: BTreeSet<String>,
    /// By which rule and when policies were made.
    made: Vec<(usize, u64)>,
}

impl Responder {
    /// A responder for what begins from now on.
    #[must_use]
    pub fn new(rules: Vec<Rule>, now: u64) -> Self {
        Self { rules, since: now, ..Self::default() }
    }

    /// What follows from the findings of this moment.
    pub fn step(&mut self, snapshot: &Snapshot, wards: &[Ward], now: u64) -> Response {
        let mut response = Response::default();
        if self.rules.is_empty() {
            return response;
        }
        self.made.retain(|(_, at)| at.saturating_add(HOUR) > now);
        let mut open =
            snapshot.policies.iter().filter(|one| one.is_in_force() && one.reason.starts_with(MARK)).count();
        for finding in &snapshot.findings {
            let Some((at, rule)) = self.rule(finding) else { continue };
            match self.consider(at, rule, finding, (snapshot, wards), open) {
                Ok(policy) => {
                    if self.answered.len() < MAX_ANSWERED {
                        self.answered.insert(finding.id.clone());
                    }
                    self.made.push((at, now));
                    open += 1;
                    response.policies.push(policy);
                }
                Err(why) => drop(response.held.insert(finding.id.clone(), why)),
            }
        }
        response
    }

    /// The rule about a finding that is new and that nobody has looked at.
    fn rule(&self, finding: &Finding) -> Option<(usize, &Rule)> {
        let fresh = finding.state == State::New
            && finding.first_seen >= self.since
            && !self.answered.contains(&finding.id);
        let meant = |rule: &Rule| {
            (rule.detector == ANY || rule.detector == finding.detector) && finding.severity >= rule.severity
        };
        self.rules.iter().enumerate().find(|(_, rule)| fresh && meant(rule))
    }

    /// The policy, or why there is none.
    fn consider(
        &self,
        at: usize,
        rule: &Rule,
        finding: &Finding,
        (snapshot, wards): (&Snapshot, &[Ward]),
        open: usize,
    ) -> Result<Policy, String> {
        if self.answered.len() >= MAX_ANSWERED {
            return Err(format!("{MAX_ANSWERED} findings were answered: start anew to answer more"));
        }
        let made = self.made.iter().filter(|(by, _)| *by == at).count();
        if made >= rule.per_hour.min(MAX_PER_HOUR) as usize {
            return Err(format!("its rule has made {made} policies within the hour, and makes no more"));
        }
        if open >= MAX_OPEN {
            return Err(format!("{open} such policies are in force, and no more are made"));
        }
        let mut policy = draft::finding(finding).ok_or("it suggests no policy")?;
        if !is_narrow(&policy.spec.scope) {
            return Err(format!("{} is too much to cut without a person", policy.describe()));
        }
        let preview = Preview::of(&policy, snapshot, wards);
        if let Some(refusal) = preview.refusals.first() {
            return Err(format!("{} would cut {}", refusal.by, refusal.what));
        }
        // Whom the finding is about may look as he likes.
        let bystander = preview.callers.iter().find(|caller| caller.legitimate && caller.id != finding.actor);
        if let Some(caller) = bystander {
            return Err(format!("it would cut {}, which looks legitimate", caller.name));
        }
        policy.metadata.name = Name::near(&format!("respond {} {}", finding.detector, finding.id));
        policy.spec.ttl = Ttl::Seconds(rule.ttl.clamp(1, MAX_TTL));
        policy.spec.reason =
            Reason::parse(&format!("{MARK}{}: {}", finding.detector, finding.title)).unwrap_or_default();
        Ok(policy)
    }
}

/// What one caller or one credential does, or a rate: never a whole workload, never everybody.
const fn is_narrow(scope: &Scope) -> bool {
    match scope {
        Scope::Edge(_) | Scope::Identity(_) | Scope::Rate(_) => true,
        Scope::Endpoint(one) => one.from.is_some(),
        Scope::Quarantine(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Suggestion;
    use crate::policy::guard::WardKind;
    use crate::policy::standing::{self, PolicyView};
    use crate::snapshot::{Kind, WorkloadView};

    const NOW: u64 = 1_000 * SECOND;

    fn finding(id: &str, kind: &str) -> Finding {
        Finding {
            id: id.into(),
            detector: "bola-enumeration".into(),
            severity: Severity::High,
            title: "one caller walks through orders".into(),
            service: "process:orders:80".into(),
            actor: "process:curl".into(),
            first_seen: NOW,
            last_seen: NOW,
            suggestion: Suggestion {
                kind: kind.into(),
                caller: "process:curl".into(),
                service: "process:orders:80".into(),
                path: "/orders/{id:int}".into(),
                identity: "00000000000000ab".into(),
                per_minute: 60,
                ..Suggestion::default()
            },
            ..Finding::default()
        }
    }

    fn workload(id: &str, name: &str) -> WorkloadView {
        WorkloadView {
            id: id.into(),
            name: name.into(),
            kind: Kind::Process,
            pid: 7,
            exe: format!("/usr/bin/{name}"),
            netns: 1,
            ..WorkloadView::default()
        }
    }

    fn node(findings: Vec<Finding>) -> Snapshot {
        let workloads = vec![workload("process:curl", "curl"), workload("process:orders:80", "orders")];
        Snapshot { findings, workloads, ..Snapshot::default() }
    }

    fn responder(per_hour: u32) -> Responder {
        let rule =
            Rule { detector: "bola-enumeration".into(), severity: Severity::High, ttl: 9_000, per_hour };
        Responder::new(vec![rule], NOW)
    }

    #[test]
    fn a_finding_is_answered_once_briefly_and_with_its_reason() {
        let mut responder = responder(9);
        let node = node(vec![finding("a", "endpoint")]);
        let made = responder.step(&node, &[], NOW + 1).policies;
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].spec.ttl, Ttl::Seconds(MAX_TTL));
        assert!(made[0].spec.reason.as_str().starts_with("respond: bola-enumeration"));
        assert_eq!(made[0].spec.finding.as_ref().unwrap().as_str(), "a");
        // Also after the operator took it back.
        assert_eq!(responder.step(&node, &[], NOW + 2), Response::default());
    }

    #[test]
    fn nothing_is_done_without_a_rule_or_beside_it() {
        let all = node(vec![finding("a", "edge")]);
        assert_eq!(Responder::new(Vec::new(), 0).step(&all, &[], NOW), Response::default());
        let beside = |change: fn(&mut Finding)| {
            let mut one = finding("a", "edge");
            change(&mut one);
            responder(9).step(&node(vec![one]), &[], NOW)
        };
        assert_eq!(beside(|_| ()).policies.len(), 1);
        assert_eq!(beside(|one| one.detector = "ssrf".into()), Response::default());
        assert_eq!(beside(|one| one.severity = Severity::Medium), Response::default());
        assert_eq!(beside(|one| one.first_seen = NOW - 1), Response::default());
        assert_eq!(beside(|one| one.state = State::Acknowledged), Response::default());
    }

    fn held(responder: &mut Responder, node: &Snapshot, wards: &[Ward]) -> String {
        let response = responder.step(node, wards, NOW + 1);
        assert_eq!(response.policies, []);
        response.held.into_values().collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_wide_or_protected_is_left_to_a_person() {
        for kind in ["quarantine", ""] {
            let said = held(&mut responder(9), &node(vec![finding("a", kind)]), &[]);
            assert!(said.contains("without a person") || said.contains("suggests no policy"), "{said}");
        }
        let mut everybody = finding("a", "endpoint");
        everybody.suggestion.caller.clear();
        assert!(held(&mut responder(9), &node(vec![everybody]), &[]).contains("without a person"));
        let ward = Ward {
            what: "the operator's ssh session".into(),
            kind: WardKind::Operator,
            pids: vec![],
            programs: vec!["orders".into()],
            places: vec![],
        };
        assert!(held(&mut responder(9), &node(vec![finding("a", "edge")]), &[ward]).contains("ssh session"));
    }

    #[test]
    fn it_is_rare() {
        let many: Vec<_> = (0..9).map(|nth| finding(&format!("f{nth}"), "edge")).collect();
        let mut responder = responder(2);
        let response = responder.step(&node(many.clone()), &[], NOW + 1);
        assert_eq!((response.policies.len(), response.held.len()), (2, 7));
        assert!(response.held.values().all(|why| why.contains("within the hour")));
        assert_eq!(responder.step(&node(many.clone()), &[], NOW + 2).policies.len(), 0);
        assert_eq!(responder.step(&node(many.clone()), &[], NOW + 2 + HOUR).policies.len(), 2);
        // And few are in force at once.
        let mut busy = node(many);
        for id in 1..=3 {
            let mut view = PolicyView::of(id, standing::State::Active);
            view.reason = format!("{MARK}x");
            busy.policies.push(view);
        }
        assert!(held(&mut self::responder(9), &busy, &[]).contains("3 such policies"));
    }
}
