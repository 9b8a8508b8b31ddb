//! The detectors: one file in `detect/` and one line in [`DETECTORS`] each.
//!
//! A detector has two halves. `features` runs on the node for every call and writes into the [`Trail`]s of the delta;
//! `judge` runs at the merge, knows all nodes, and accuses. Calls are all that it sees: what it needs of bytes that
//! must not be kept was made a hash, a class or a flag when the call was named, so that a call that waited for its
//! names, or that comes from a file, is as good as any other.
//!
//! [`Trail`]: crate::trail::Trail

mod agent_loop;
mod agent_scope;
mod bola_enumeration;
mod business_flow;
mod graphql_cost;
mod graphql_introspection;
mod grpc_probing;
mod inventory;
mod logic_guessing;
mod logic_scraping;
mod logic_value;
mod misconfiguration;
mod ssrf;
mod unsafe_consumption;
mod websocket_flood;
mod websocket_origin;

use crate::case::{Bench, Cases};
pub use crate::observe::Notebook;
use crate::trail::Outcome;
use apisec_proto::call::Call;

/// What a detector is, for the documentation, the help and the findings themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// Stable name, equal to the name of its file with `-` for `_`.
    pub id: &'static str,
    /// `API1:2023` and so on; empty where the list has no place for it.
    pub owasp: &'static str,
    /// `CWE-639` and so on.
    pub cwe: &'static str,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// What it finds.
    pub what: &'static str,
    /// Why that is bad.
    pub why: &'static str,
    /// What a finding rests on, and when it is not one.
    pub evidence: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// What it keeps, and how that is bounded.
    pub bound: &'static str,
    /// What can be set.
    pub settings: &'static [Setting],
}

/// A number that the operator can set: `[detect.bola-enumeration] objects = 80`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value when nobody set it.
    pub default: f64,
    /// What it means, with its unit.
    pub what: &'static str,
}

/// Recognises one kind of misuse.
pub trait Detector: Sync {
    /// What it is.
    fn about(&self) -> &'static About;

    /// Notes what `judge` will need of a call, beyond what every trail holds. Hot: allocates nothing in the steady
    /// state, and looks at what is cheap first.
    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>);

    /// Accuses, on the ground of everything that is known.
    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>);
}

/// Every detector, in the order in which the documentation lists them.
pub const DETECTORS: &[&dyn Detector] = &[
    &bola_enumeration::BolaEnumeration,
    &business_flow::BusinessFlow,
    &ssrf::Ssrf,
    &misconfiguration::Misconfiguration,
    &inventory::Inventory,
    &unsafe_consumption::UnsafeConsumption,
    &graphql_introspection::GraphqlIntrospection,
    &graphql_cost::GraphqlCost,
    &grpc_probing::GrpcProbing,
    &websocket_origin::WebsocketOrigin,
    &websocket_flood::WebsocketFlood,
    &agent_scope::AgentScope,
    &agent_loop::AgentLoop,
    &logic_value::LogicValue,
    &logic_guessing::LogicGuessing,
    &logic_scraping::LogicScraping,
];

/// The detector with this name.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Detector> {
    DETECTORS.iter().copied().find(|detector| detector.about().id == id)
}

/// A call with what the node made of it.
pub struct Seen<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its path with the values typed: `/users/{id:int}`.
    pub path: &'a str,
    /// Fingerprints of these values, in order.
    pub values: &'a [u64],
    /// What became of it.
    pub outcome: Outcome,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(call: &'a Call, path: &'a str, values: &'a [u64]) -> Self {
        Self { call, path, values, outcome: Outcome::of(call) }
    }
}

#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod tests;
