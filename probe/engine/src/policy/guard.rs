//! What must not be cut by accident: the operator's own session, the API server, the resolution of names, and
//! this program. A policy that would is refused unless its name is typed.

use super::aim::{Aim, means, selectors};
use super::{Policy, Scope, Selector};
use crate::snapshot::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Something that must not be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ward {
    /// What it is: `the operator's ssh session`.
    pub what: String,
    /// What kind it is.
    pub kind: WardKind,
    /// Its processes, with those that they came from.
    pub pids: Vec<u32>,
    /// Names of its programs.
    pub programs: Vec<String>,
    /// Where it listens or comes from; port 0 for all.
    pub places: Vec<SocketAddr>,
}

/// What kind of thing must not be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WardKind {
    /// The operator's session.
    Operator,
    /// The API server.
    ApiServer,
    /// The resolution of names.
    Dns,
    /// This program.
    Ourselves,
}

/// Why a policy is refused unless it is forced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// What would be cut.
    pub what: String,
    /// By which part of the policy: `spec.scope.edge.to orders`.
    pub by: String,
}

/// What a policy would cut that must not be.
#[must_use]
pub fn refusals(policy: &Policy, snapshot: &Snapshot, wards: &[Ward]) -> Vec<Refusal> {
    let scope = &policy.spec.scope;
    let mut refusals = Vec::new();
    for (field, selector) in selectors(scope) {
        // Whom a quarantine lets through is not cut; a caller is cut from one service only.
        if field == "allow" || (field == "from" && !matches!(scope, Scope::Edge(_))) {
            continue;
        }
        for ward in wards.iter().filter(|ward| touches(ward, selector, snapshot)) {
            let by = format!("spec.scope.{}.{field} {selector}", scope.word());
            refusals.push(Refusal { what: ward.what.clone(), by });
        }
    }
    if let Scope::Quarantine(quarantine) = scope {
        let given_up = |kind: WardKind| {
            (kind == WardKind::Operator && quarantine.cut_operator)
                || (kind == WardKind::Dns && quarantine.cut_dns)
        };
        // Cutting these was asked for in the policy, and is still no accident to be had by `--yes`.
        let asked = wards.iter().filter(|ward| given_up(ward.kind));
        refusals.extend(asked.map(|ward| Refusal {
            what: ward.what.clone(),
            by: "spec.scope.quarantine.cutOperator or cutDns".to_owned(),
        }));
    }
    refusals.dedup();
    refusals
}

/// Whether a selector stands for a ward.
fn touches(ward: &Ward, selector: &Selector, snapshot: &Snapshot) -> bool {
    let by_place = ward.places.iter().any(|place| at(selector, *place));
    by_place
        || Aim::of(selector, snapshot).workloads(snapshot).any(|workload| {
            let program = workload.exe.rsplit('/').next().unwrap_or_default();
            let place: Option<SocketAddr> = workload.address.parse().ok();
            (workload.pid != 0 && ward.pids.contains(&workload.pid))
                || (!program.is_empty() && ward.programs.iter().any(|known| known == program))
                || ward.places.iter().any(|known| {
                    place.is_some_and(|place| {
                        known.ip() == place.ip() && port_fits(known.port(), place.port())
                    }) || (known.port() == 0 && workload.address.parse::<IpAddr>() == Ok(known.ip()))
                })
        })
        || ward.programs.iter().any(|program| {
            snapshot.workloads.iter().all(|workload| !means(selector, workload))
                && selector.means(&format!("process:{program}"), program)
        })
}

fn at(selector: &Selector, place: SocketAddr) -> bool {
    match (selector.socket(), selector.address()) {
        (Some(wanted), _) => wanted.ip() == place.ip() && port_fits(place.port(), wanted.port()),
        (None, Some(wanted)) => wanted == place.ip(),
        (None, None) => false,
    }
}

const fn port_fits(known: u16, port: u16) -> bool {
    known == 0 || known == port
}
