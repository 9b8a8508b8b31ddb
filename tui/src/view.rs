//! The views, and what a view is: one file, one line in [`VIEWS`].
//!
//! A view owns where the operator is in it, derives its rows when the snapshot changes and draws them; it does no
//! IO, knows no key and no colour.

mod calls;
mod coverage;
mod drift;
mod endpoints;
mod findings;
mod graph;
mod overview;
pub(crate) mod policies;
mod sensitive;

use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport};
use crate::label::Labels;
use crate::layer::Layer;
use crate::layer::block::Block;
use crate::layer::choice::Choice;
use crate::layer::reveal::Reveal;
use apisec_engine::call_log::{CallChunk, CallRow};
use apisec_engine::coverage::CoverageView;
use apisec_engine::filter::Filter;
use apisec_engine::policy::guard::Ward;
use apisec_engine::policy::pattern::Verdict;
use apisec_engine::policy::standing::PolicyView;
use apisec_engine::policy::{Policy, Scope, aim};
use apisec_engine::snapshot::{EdgeView, EndpointView, Snapshot};
use ratatui::layout::Rect;

/// A view that can be shown.
pub struct Registration {
    /// Its name in the keymap (`show-<name>`, and its own context).
    pub name: &'static str,
    /// What its tab says.
    pub title: &'static str,
    /// Makes it.
    pub new: fn() -> Box<dyn View>,
}

/// Every view, in the order of the tabs.
pub const VIEWS: &[Registration] = &[
    Registration { name: "overview", title: "Overview", new: || Box::new(overview::Overview::default()) },
    Registration { name: "graph", title: "Graph", new: || Box::new(graph::Graph::default()) },
    Registration { name: "endpoints", title: "Endpoints", new: || Box::new(endpoints::Endpoints::default()) },
    Registration { name: "calls", title: "Calls", new: || Box::new(calls::Calls::default()) },
    Registration { name: "drift", title: "Drift", new: || Box::new(drift::Drifting::default()) },
    Registration { name: "coverage", title: "Coverage", new: || Box::new(coverage::Coverage::default()) },
    Registration {
        name: "sensitive",
        title: "Sensitive",
        new: || Box::new(sensitive::SensitiveMap::default()),
    },
    Registration { name: "policies", title: "Policies", new: || Box::new(policies::Policies::default()) },
    Registration { name: "findings", title: "Findings", new: || Box::new(findings::Findings::default()) },
];

/// What a view may look at.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What is on screen: the newest snapshot, a frozen or an earlier one.
    pub snapshot: &'a Snapshot,
    /// Names of its workloads.
    pub labels: &'a Labels,
    /// What the operator wants to see.
    pub filter: &'a Filter,
    /// Nothing may be changed.
    pub read_only: bool,
    /// For screen readers.
    pub plain: bool,
    /// What must not be cut by accident.
    pub wards: &'a [Ward],
    /// Policies can be put into force: this is a node, not a recording.
    pub enforces: bool,
}

impl World<'_> {
    /// Asks about a policy, or says why it cannot be.
    #[must_use]
    pub fn block(&self, policy: Option<Policy>) -> Reply {
        match policy {
            _ if self.read_only => Reply::Refused("read-only: nothing is changed".to_owned()),
            _ if !self.enforces => Reply::Refused("a recording cannot be stopped".to_owned()),
            Some(policy) => Reply::Open(Box::new(Block::new(policy, None, self))),
            None => Reply::Refused("nothing here can be stopped by a policy".to_owned()),
        }
    }

    /// Whether who an identity is can be asked for at all.
    #[must_use]
    pub const fn reveals(&self) -> bool {
        self.enforces && !self.read_only
    }

    /// Asks whether the identity with this hash shall be shown, or says why it cannot be.
    #[must_use]
    pub fn reveal(&self, identity: Option<u64>, name: &str) -> Reply {
        match identity {
            _ if self.read_only => Reply::Refused("read-only: nobody is revealed".to_owned()),
            _ if !self.enforces => Reply::Refused("a recording holds hashes only".to_owned()),
            Some(identity) => Reply::Open(Box::new(Reveal::new(identity, name.to_owned()))),
            None => Reply::Refused("nobody is named here".to_owned()),
        }
    }

    /// Policies for a dialog: none where nothing can be put into force.
    #[must_use]
    pub fn offered(&self, policies: Vec<Policy>) -> Vec<Policy> {
        if self.enforces && !self.read_only { policies } else { Vec::new() }
    }

    /// Asks about one of several policies, which one first.
    #[must_use]
    pub fn block_one_of(&self, mut policies: Vec<Policy>) -> Reply {
        if self.read_only || !self.enforces || policies.len() < 2 {
            return self.block(policies.pop());
        }
        Reply::Open(Box::new(Choice::new(policies)))
    }

    /// The policies that are in force.
    pub fn in_force(&self) -> impl Iterator<Item = (&PolicyView, &Scope)> {
        let policies = self.snapshot.policies.iter().filter(|policy| policy.is_in_force());
        policies.filter_map(|policy| Some((policy, &policy.policy.as_ref()?.spec.scope)))
    }

    /// Whether a policy in force stops calls from one workload to another, whatever they ask.
    #[must_use]
    pub fn is_edge_blocked(&self, src: &str, dst: &str) -> bool {
        let means = |selector: &apisec_engine::policy::Selector, id: &str| {
            let workload = self.snapshot.workloads.iter().find(|workload| workload.id == id);
            workload.is_some_and(|workload| aim::means(selector, workload))
        };
        self.in_force().any(|(_, scope)| match scope {
            Scope::Edge(edge) => means(&edge.from, src) && means(&edge.to, dst),
            Scope::Quarantine(one) => {
                let allowed = |id: &str| one.allow.iter().any(|selector| means(selector, id));
                (means(&one.workload, src) && !allowed(dst)) || (means(&one.workload, dst) && !allowed(src))
            }
            _ => false,
        })
    }

    /// Whether a policy in force stops an endpoint, for some caller at least.
    #[must_use]
    pub fn is_endpoint_blocked(&self, endpoint: &EndpointView) -> bool {
        let meant = |selector: &apisec_engine::policy::Selector| {
            let service = self.snapshot.workloads.iter().find(|workload| workload.id == endpoint.service);
            service.is_some_and(|service| aim::means(selector, service))
        };
        self.in_force().any(|(_, scope)| match scope {
            Scope::Endpoint(one) => {
                let http = matches!(endpoint.protocol.as_str(), "http1" | "http2");
                (!http || one.method.covers(endpoint.method.as_bytes()))
                    && one.path.judge(endpoint.path.as_bytes(), false) == Verdict::Match
                    && meant(&one.service)
            }
            _ => false,
        })
    }

    /// Whether a call of the log passes the filter.
    #[must_use]
    pub fn shows_call(&self, chunk: &CallChunk, row: &CallRow) -> bool {
        self.filter.is_empty() || self.filter.named(&|id| self.labels.known(id)).row(chunk, row)
    }

    /// Whether an endpoint passes the filter.
    #[must_use]
    pub fn shows_endpoint(&self, endpoint: &EndpointView) -> bool {
        self.filter.is_empty() || self.filter.named(&|id| self.labels.known(id)).endpoint(endpoint)
    }

    /// Whether an edge passes the filter.
    #[must_use]
    pub fn shows_edge(&self, edge: &EdgeView) -> bool {
        self.filter.is_empty() || self.filter.named(&|id| self.labels.known(id)).edge(edge)
    }

    /// Whether a row of the coverage passes the filter.
    #[must_use]
    pub fn shows_coverage(&self, coverage: &CoverageView) -> bool {
        self.filter.is_empty() || self.filter.named(&|id| self.labels.known(id)).coverage(coverage)
    }
}

/// What a view made of an action.
pub enum Reply {
    /// It is none of its business.
    Ignored,
    /// Done.
    Done,
    /// Done, and these shall follow.
    Act(Vec<Action>),
    /// Done, and the outside world shall do this.
    Effect(Effect),
    /// A dialog shall open.
    Open(Box<dyn Layer>),
    /// It cannot be done, and why.
    Refused(String),
}

/// A view.
pub trait View {
    /// Derives what it shows from a new snapshot, filter or order.
    fn refresh(&mut self, world: &World<'_>);

    /// What the operator can do here now, most useful first.
    fn can(&self, world: &World<'_>) -> Vec<Action>;

    /// Does `action`.
    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply;

    /// Draws itself.
    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect);

    /// Learns what of its list was visible.
    fn drawn(&mut self, viewport: Viewport);
}

/// The motions of a list, for [`View::can`].
pub(crate) const MOTIONS: &[Action] =
    &[Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];

/// Says that there is nothing to show, and why.
pub(crate) fn nothing(world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect, what: &str) {
    let text = if world.filter.is_empty() {
        format!("No {what} yet. Waiting for traffic.")
    } else {
        format!("No {what} match the filter.")
    };
    canvas.put(area, 2, 1.min(area.height.saturating_sub(1)), &text, crate::theme::Role::Dim);
}

pub(crate) use drift::key as endpoint_key;
pub(crate) use findings::severity_role as finding_role;
pub(crate) use graph::workload_lines;
pub(crate) use overview::severity_role;

#[cfg(test)]
pub(crate) mod tests;
