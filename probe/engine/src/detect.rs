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
mod auth_alg_none;
mod auth_brute_force;
mod auth_credential_stuffing;
mod auth_expired;
mod auth_in_url;
mod auth_missing;
mod auth_rotation;
mod auth_token_replay;
mod auth_weak_secret;
mod bfla;
mod bfla_audience;
mod bola_enumeration;
mod bola_ownership;
mod business_flow;
mod consumption;
mod graphql_cost;
mod graphql_introspection;
mod grpc_probing;
mod inventory;
mod lateral_movement;
mod logic_guessing;
mod logic_scraping;
mod logic_sequence;
mod logic_value;
mod misconfiguration;
mod property_exposure;
mod property_mass_assignment;
mod replica_sibling;
mod ssrf;
mod unsafe_consumption;
mod websocket_flood;
mod websocket_origin;

use crate::case::{Bench, Cases};
pub use crate::cue::Cues;
pub use crate::observe::Notebook;
use crate::trail::{Outcome, Place};
use apisec_proto::call::{Call, Traits};
pub(crate) use inventory::is_for_tests;

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

    /// What a call must have at least one of to be shown to `features`.
    fn cues(&self) -> Cues {
        Cues::NONE
    }

    /// Notes what `judge` will need of a call, beyond what every trail holds. Hot: allocates nothing in the steady
    /// state, and looks at what is cheap first. Detectors that go by the sums of trails have nothing to note.
    fn features(&self, _seen: &Seen<'_>, _notebook: &mut Notebook<'_>) {}

    /// Accuses, on the ground of everything that is known.
    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>);
}

/// Every detector, in the order in which the documentation lists them.
pub const DETECTORS: &[&dyn Detector] = &[
    &bola_enumeration::BolaEnumeration,
    &bola_ownership::BolaOwnership,
    &auth_missing::AuthMissing,
    &auth_brute_force::AuthBruteForce,
    &auth_credential_stuffing::AuthCredentialStuffing,
    &auth_token_replay::AuthTokenReplay,
    &auth_alg_none::AuthAlgNone,
    &auth_expired::AuthExpired,
    &auth_weak_secret::AuthWeakSecret,
    &auth_in_url::AuthInUrl,
    &auth_rotation::AuthRotation,
    &property_exposure::PropertyExposure,
    &property_mass_assignment::PropertyMassAssignment,
    &consumption::Consumption,
    &bfla::Bfla,
    &bfla_audience::BflaAudience,
    &lateral_movement::LateralMovement,
    &replica_sibling::ReplicaSibling,
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
    &logic_sequence::LogicSequence,
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
    /// What its path says.
    pub place: Place,
    /// What there is in it.
    pub cues: Cues,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(
        call: &'a Call,
        path: &'a str,
        values: &'a [u64],
        place: Place,
        is_for_tests: bool,
    ) -> Self {
        let outcome = Outcome::of(call);
        let cues = Cues::of(call, outcome, values, place, is_for_tests);
        Self { call, path, values, outcome, place, cues }
    }

    /// Whether its credential has any of these traits.
    #[must_use]
    pub fn credential_is(&self, traits: Traits) -> bool {
        self.call.credential.as_deref().is_some_and(|credential| credential.is(traits))
    }

    /// Whether an administrator or a program calls, by the word of the credential.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        self.credential_is(Traits(Traits::OF_ADMIN.0 | Traits::OF_SERVICE.0))
    }

    /// Whether there is sensitive data in the answer, as far as it was read.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        is_sensitive(self.call)
    }
}

/// Whether there is sensitive data in the answer of a call, as far as it was read.
pub(crate) fn is_sensitive(call: &Call) -> bool {
    let answer = call.bodies.as_deref().and_then(|bodies| bodies.response.as_ref());
    answer.is_some_and(|answer| !answer.sensitive.is_empty())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod tests;
