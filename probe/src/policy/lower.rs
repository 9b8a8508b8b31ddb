//! From a policy and what is known of this node to rules as a kernel knows them.
//!
//! A policy that would be put into force without being able to stop anything is refused here: an enforcement that
//! is not really on is an error.

use super::place::{callers, service, targets};
use crate::enforce::rule::{
    self, Caller, Case, Connect, MAX_RULES, Part, Pattern, Quarantine, Request, Rule, Target,
};
use apisec_engine::policy::guard::{Ward, WardKind};
use apisec_engine::policy::measure::{Measure, Place, When, measures};
use apisec_engine::policy::pattern::Part as PathPart;
use apisec_engine::policy::{BackendName, Endpoint, MethodRule, PathPattern, Per, Policy, Rate, Scope};
use apisec_engine::snapshot::Snapshot;
use std::fmt::Write as _;
use thiserror::Error;

/// Why a policy cannot be put into force here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LowerError {
    /// Another backend.
    #[error("the backend {0} is not on this node; `backend: ebpf` is")]
    Backend(&'static str),
    /// Nobody is meant.
    #[error("{0} is nobody that was seen here: name a workload, its id, an address or address:port")]
    Nobody(String),
    /// The service's requests do not come by here.
    #[error(
        "{0} is not on this node: its requests cannot be stopped here, only connections to it (scope edge)"
    )]
    Elsewhere(String),
    /// Nothing is there that could keep it.
    #[error(
        "a rate is kept for HTTP/1 in clear, and such calls are not: block the endpoint, the edge (scope edge) or the \
         workload (scope quarantine) instead"
    )]
    Afterwards,
    /// A rate that the kernel cannot keep.
    #[error("a rate below one call a second cannot be kept by the kernel: {0}")]
    Slow(String),
    /// Too much.
    #[error("it needs {0} rules, and {MAX_RULES} are held for one policy: name fewer workloads")]
    Many(usize),
}

/// The rules of a policy; none where all of it is done after the fact.
///
/// # Errors
/// It cannot be enforced here at all.
pub fn rules(policy: &Policy, snapshot: &Snapshot, wards: &[Ward]) -> Result<Vec<Rule>, LowerError> {
    if policy.spec.backend != BackendName::Ebpf {
        return Err(LowerError::Backend(policy.spec.backend.word()));
    }
    let (measures, _limits) = measures(policy, snapshot);
    let inline = measures.iter().filter(|measure| measure.when == When::Inline);
    let mut rules = Vec::new();
    for measure in inline {
        match &policy.spec.scope {
            Scope::Edge(_) => rules.extend(edge(policy, measure, snapshot)?),
            Scope::Endpoint(Endpoint { method, path, .. }) => {
                rules.push(Rule::Request(request(policy, measure, method, path, snapshot)?));
            }
            Scope::Rate(rate) => rules.push(limit(policy, measure, rate, snapshot)?),
            Scope::Quarantine(_) => rules.push(quarantine(policy, measure, snapshot, wards)?),
            Scope::Identity(_) => {}
        }
    }
    let late = measures.iter().any(|measure| measure.when == When::Reactive);
    match rules.len() {
        0 if !late => Err(LowerError::Afterwards),
        many if many > MAX_RULES => Err(LowerError::Many(many)),
        _ => Ok(rules),
    }
}

/// Connections of processes are refused where they begin; of others, their requests where they arrive.
fn edge(policy: &Policy, measure: &Measure, snapshot: &Snapshot) -> Result<Vec<Rule>, LowerError> {
    let to = flat(&measure.to, |place| targets(place, snapshot));
    if to.is_empty() {
        return Err(nobody(&measure.to));
    }
    let (outside, inside): (Vec<Caller>, Vec<Caller>) = flat(&measure.from, |place| callers(place, snapshot))
        .into_iter()
        .partition(|caller| matches!(caller, Caller::Address(_)));
    let mut rules = Vec::new();
    if !inside.is_empty() {
        rules.push(Rule::Connect(Connect { from: inside, to }));
    }
    if !outside.is_empty() {
        let any = (MethodRule::any(), PathPattern::default());
        let mut all = request(policy, measure, &any.0, &any.1, snapshot)?;
        all.from = outside;
        rules.push(Rule::Request(all));
    }
    if rules.is_empty() { Err(nobody(&measure.from)) } else { Ok(rules) }
}

fn request(
    policy: &Policy,
    measure: &Measure,
    method: &MethodRule,
    path: &PathPattern,
    snapshot: &Snapshot,
) -> Result<Request, LowerError> {
    let here: Vec<&Place> = measure.to.iter().filter(|place| is_here(place, snapshot)).collect();
    let service: Vec<Target> = here.iter().flat_map(|place| service(place, snapshot)).collect();
    if service.is_empty() {
        return Err(match measure.to.first() {
            Some(place) if place.address.is_empty() => nobody(&measure.to),
            _ => LowerError::Elsewhere(names(&measure.to)),
        });
    }
    let from = flat(&measure.from, |place| callers(place, snapshot));
    if from.is_empty() && !measure.from.is_empty() {
        return Err(nobody(&measure.from));
    }
    Ok(Request {
        service,
        method: method.one().map(str::to_owned),
        path: pattern(path),
        case: if policy.spec.case_sensitive { Case::Sensitive } else { Case::Insensitive },
        from,
        fail_closed: policy.spec.fail_closed,
    })
}

fn limit(policy: &Policy, measure: &Measure, rate: &Rate, snapshot: &Snapshot) -> Result<Rule, LowerError> {
    let per_second = 1_000_000_000 / rate.limit.interval().max(1);
    if per_second == 0 {
        return Err(LowerError::Slow(rate.limit.to_string()));
    }
    Ok(Rule::Rate(rule::Rate {
        request: request(policy, measure, &rate.method, &rate.path, snapshot)?,
        per: match rate.per {
            Per::Caller => rule::Per::Caller,
            Per::Identity => rule::Per::Credential,
        },
        per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
        burst: rate.burst.map_or_else(|| rate.limit.burst(), u32::from),
    }))
}

/// What stays open is what the policy allows, the operator's session and DNS.
fn quarantine(
    policy: &Policy,
    measure: &Measure,
    snapshot: &Snapshot,
    wards: &[Ward],
) -> Result<Rule, LowerError> {
    let Scope::Quarantine(spec) = &policy.spec.scope else { return Err(nobody(&measure.to)) };
    let inside = flat(&measure.to, |place| callers(place, snapshot));
    let listens = flat(&measure.to, |place| service(place, snapshot));
    if inside.iter().all(|caller| matches!(caller, Caller::Address(_))) {
        return Err(LowerError::Elsewhere(names(&measure.to)));
    }
    let mut reach = flat(&measure.from, |place| targets(place, snapshot));
    let mut admit = flat(&measure.from, |place| callers(place, snapshot));
    for ward in wards {
        let kept = match ward.kind {
            WardKind::Operator => !spec.cut_operator,
            WardKind::Dns => !spec.cut_dns,
            WardKind::ApiServer | WardKind::Ourselves => false,
        };
        if kept {
            let target = |place: &std::net::SocketAddr| Target {
                addr: Some(place.ip()),
                port: (place.port() != 0).then(|| place.port()),
                netns: 0,
            };
            reach.extend(ward.places.iter().map(target));
            admit.extend(ward.places.iter().map(|place| Caller::Address(place.ip())));
        }
    }
    Ok(Rule::Quarantine(Quarantine { inside, listens, reach, admit }))
}

fn pattern(path: &PathPattern) -> Pattern {
    let part = |part: &PathPart| match part {
        PathPart::Literal(bytes) => Part::Literal(bytes.clone()),
        PathPart::Any => Part::Any,
    };
    let rest = path.has_rest().then_some(Part::Rest);
    Pattern { segments: path.parts().iter().map(part).chain(rest).collect() }
}

/// Whether a place is served on this node: one of its processes is known, or its address is one of ours.
fn is_here(place: &Place, snapshot: &Snapshot) -> bool {
    let workload = snapshot.workloads.iter().find(|workload| workload.id == place.id);
    match workload {
        Some(workload) => workload.pid != 0 && workload.kind != apisec_engine::snapshot::Kind::External,
        None => !place.address.is_empty(),
    }
}

fn flat<T>(places: &[Place], of: impl Fn(&Place) -> Vec<T>) -> Vec<T> {
    places.iter().flat_map(of).collect()
}

fn names(places: &[Place]) -> String {
    let names: Vec<&str> = places.iter().map(|place| place.id.as_str()).collect();
    names.join(", ")
}

fn nobody(places: &[Place]) -> LowerError {
    LowerError::Nobody(names(places))
}

/// A rule in words, exactly: what the preview shows and the journal keeps.
#[must_use]
pub fn words(rule: &Rule) -> String {
    match rule {
        Rule::Connect(connect) => {
            format!("connect {} → {}: refused", who(&connect.from), whither(&connect.to))
        }
        Rule::Request(request) => format!("{}: 403", asks(request)),
        Rule::Rate(rate) => {
            format!("{}: 403 beyond {}/s (burst {})", asks(&rate.request), rate.per_second, rate.burst)
        }
        Rule::Quarantine(one) => format!(
            "all of {} (listening at {}) refused but to {} and from {}",
            who(&one.inside),
            whither(&one.listens),
            if one.reach.is_empty() { "nobody".into() } else { whither(&one.reach) },
            if one.admit.is_empty() { "nobody".into() } else { who(&one.admit) },
        ),
    }
}

/// Whether a line of a plan is [one of these](words), and no warning or what is done after the fact.
#[must_use]
pub fn is_rule(line: &str) -> bool {
    !line.starts_with(WARNING) && !line.starts_with(AFTERWARDS)
}

/// How a line of a plan begins that warns.
pub const WARNING: &str = "warning: ";
/// How a line of a plan begins about what is done after the fact.
pub const AFTERWARDS: &str = "after the fact: ";

fn asks(request: &Request) -> String {
    let mut path = String::new();
    for part in &request.path.segments {
        let _written = match part {
            Part::Literal(bytes) => write!(path, "/{}", bytes.escape_ascii()),
            Part::Any => write!(path, "/{{any}}"),
            Part::Rest => write!(path, "/{{rest*}}"),
        };
    }
    let method = request.method.as_deref().unwrap_or("*");
    let path = if path.is_empty() { "/" } else { &path };
    format!("{method} {path} of {} at {}", who(&request.from), whither(&request.service))
}

fn who(callers: &[Caller]) -> String {
    let one = |caller: &Caller| match caller {
        Caller::Cgroup(id) => format!("cgroup {id}"),
        Caller::Process(pid) => format!("pid {pid}"),
        Caller::Address(address) => address.to_string(),
    };
    if callers.is_empty() { "anybody".into() } else { callers.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn whither(targets: &[Target]) -> String {
    let one = |target: &Target| {
        let port = target.port.map_or("*".to_owned(), |port| port.to_string());
        match target.addr {
            Some(std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
            Some(address) => format!("{address}:{port}"),
            None => format!("*:{port}"),
        }
    };
    if targets.is_empty() {
        "anywhere".into()
    } else {
        targets.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;
