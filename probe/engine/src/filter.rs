//! The filter language of the `/` key and of `--filter`.
//!
//! Terms side by side must all hold, `|` offers a choice, `!` negates, parentheses group.
//!
//! | term | holds when |
//! | --- | --- |
//! | `cart` or `"any text"` | the text occurs anywhere in what is shown (`*` stands for any run of characters) |
//! | `src:cart` `dst:orders` `host:shop` `operation:users` `id:3f2a` `note:gap` `query:page` | the field contains the text |
//! | `path:/api/*` `endpoint:*{id:int}` | with `*`, the whole field has this form |
//! | `path=/users` | the whole field is the text |
//! | `path~^/api/v[12]/` `host~"\.(dev\|test)$"` | the regular expression matches somewhere in the field; ASCII case does not matter |
//! | `drift:shadow` `drift:deprecated` `drift:schema` `owner:payments` | the endpoint has this state, flag, owner |
//! | `method:GET` `proto:http1` `auth:none` `vantage:client` | the field is the word |
//! | `status:404` `status:5xx` `status>=400` `status:none` | the status is, lies in, compares, is missing |
//! | `slow>50ms` `slow:>1s` `slow<=200us` | the total time (of an endpoint or edge: its p99) compares |
//!
//! A term about something that a row does not have (the status of an edge) neither lets it pass nor stops it.

use crate::call_log::{CallChunk, CallRow};
use crate::coverage::CoverageView;
use crate::snapshot::{EdgeView, EndpointView, Snapshot, WorkloadView};
use apisec_proto::call::Call;
use std::collections::BTreeSet;
use thiserror::Error;

mod form;
mod named;
mod parse;
mod pattern;
mod subject;

pub use named::NamedFilter;

use form::Form;
use pattern::{Comparison, Pattern, Statuses};
use subject::{Field, Live, Logged, Subject};

/// A parsed filter; the default one is empty and lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    term: Option<Term>,
}

/// Why a filter was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FilterError {
    /// Byte of the text where it went wrong, at a character.
    pub at: usize,
    /// What is wrong, in plain words.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Anywhere(Pattern),
    Text(Field, Pattern),
    Form(Field, Form),
    Status(Statuses),
    Slow(Comparison, u64),
}

impl Term {
    /// What it implies without what differs between nodes; `None` when that is nothing.
    fn on_a_node(&self) -> Option<Self> {
        match self {
            Self::All(terms) => {
                let known: Vec<Self> = terms.iter().filter_map(Self::on_a_node).collect();
                (!known.is_empty()).then_some(Self::All(known))
            }
            Self::Any(terms) => {
                terms.iter().map(Self::on_a_node).collect::<Option<Vec<Self>>>().map(Self::Any)
            }
            Self::Not(term) => (term.on_a_node().as_ref() == Some(&**term)).then(|| self.clone()),
            Self::Anywhere(_) => None,
            Self::Text(field, _) | Self::Form(field, _) => field.is_the_same_on_nodes().then(|| self.clone()),
            Self::Status(_) | Self::Slow(..) => Some(self.clone()),
        }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The text is no filter; the error points at the place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { text: text.trim().to_owned(), term: parse::parse(text)? })
    }

    /// What was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether everything passes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.term.is_none()
    }

    /// Whether a call passes, whose operation is `endpoint`.
    #[must_use]
    pub fn call(&self, call: &Call, endpoint: &str) -> bool {
        self.passes(&Live { call, endpoint })
    }

    /// Whether a call of the log passes.
    #[must_use]
    pub fn row(&self, chunk: &CallChunk, row: &CallRow) -> bool {
        self.passes(&Logged { chunk, row })
    }

    /// Whether an endpoint passes.
    #[must_use]
    pub fn endpoint(&self, endpoint: &EndpointView) -> bool {
        self.passes(endpoint)
    }

    /// Whether an edge passes.
    #[must_use]
    pub fn edge(&self, edge: &EdgeView) -> bool {
        self.passes(edge)
    }

    /// Whether a workload passes.
    #[must_use]
    pub fn workload(&self, workload: &WorkloadView) -> bool {
        self.passes(workload)
    }

    /// The endpoints and edges of `snapshot` that pass, with the workloads that they name; totals stay whole.
    #[must_use]
    pub fn snapshot(&self, snapshot: &Snapshot) -> Snapshot {
        let mut kept = snapshot.clone();
        if self.is_empty() {
            return kept;
        }
        self.text.clone_into(&mut kept.capture.filter);
        kept.endpoints.retain(|endpoint| self.endpoint(endpoint));
        kept.edges.retain(|edge| self.edge(edge));
        let ends = kept.edges.iter().flat_map(|edge| [&edge.src, &edge.dst]);
        let named: BTreeSet<&String> =
            ends.chain(kept.endpoints.iter().map(|endpoint| &endpoint.service)).collect();
        kept.workloads.retain(|workload| named.contains(&workload.id));
        kept.chains.retain(|chain| chain.path.iter().all(|id| named.contains(id)));
        kept
    }

    /// What of it holds on a single node, where workloads have other names and nothing is known of documents: it lets pass
    /// whatever this one lets pass, and more.
    #[must_use]
    pub fn on_a_node(&self) -> Self {
        Self { text: self.text.clone(), term: self.term.as_ref().and_then(Term::on_a_node) }
    }

    /// The same filter for rows that hold only the ids of their workloads, where `name` gives their names.
    #[must_use]
    pub const fn named<'f, 'n>(&'f self, name: &'f dyn Fn(&str) -> Option<&'n str>) -> NamedFilter<'f, 'n> {
        NamedFilter { filter: self, name }
    }

    fn passes(&self, subject: &impl Subject) -> bool {
        self.term.as_ref().and_then(|term| term.holds(subject)).unwrap_or(true)
    }
}

impl Term {
    /// Whether the term holds; `None` when it does not apply.
    fn holds(&self, subject: &impl Subject) -> Option<bool> {
        match self {
            Self::All(terms) => decide(terms, subject, false),
            Self::Any(terms) => decide(terms, subject, true),
            Self::Not(term) => term.holds(subject).map(|holds| !holds),
            Self::Anywhere(pattern) => Some(subject.any_text(&mut |text| pattern.matches_anywhere(text))),
            Self::Text(field, pattern) => subject.text(*field, &mut |text| pattern.matches(text)),
            Self::Form(field, form) => subject.text(*field, &mut |text| form.matches(text)),
            Self::Status(statuses) => subject.status(&mut |status| statuses.contains(status)),
            Self::Slow(comparison, limit) => {
                subject.duration().map(|duration| comparison.holds(duration, *limit))
            }
        }
    }
}

/// One term that is `decisive` decides; without one, terms that do not apply are left out.
fn decide(terms: &[Term], subject: &impl Subject, decisive: bool) -> Option<bool> {
    let mut applies = false;
    for term in terms {
        match term.holds(subject) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => applies = true,
            None => {}
        }
    }
    applies.then_some(!decisive)
}

#[cfg(test)]
mod tests;
