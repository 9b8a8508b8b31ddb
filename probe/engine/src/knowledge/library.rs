//! The specifications that were given, and which services they were chosen for.

use crate::degradation::{Degradation, Severity};
use crate::drift::{By, Contract, Given, Names};
use crate::snapshot::{BindingView, ProblemView, SpecificationView};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Services that are named for one specification.
const MAX_BINDINGS: usize = 32;

/// Services that are named where one specification bears the name of several.
const SHOWN_BINDINGS: usize = 4;
/// Undocumented operations, and no documented one, from which on a specification seems to be that of another service.
const STRANGE: u64 = 5;
/// What to do about a guess.
const SAY_WHICH: &str = "say which: the key bind in the view Drift, or --spec SERVICE=FILE";

/// The specifications.
#[derive(Default)]
pub(super) struct Library {
    given: Vec<Given>,
    /// Counts up with every change of them.
    state: u64,
    /// Contracts by the specifications that they are made of.
    contracts: HashMap<Vec<u32>, Arc<Contract>>,
    /// Why, by specification and service.
    bindings: Vec<BTreeMap<String, By>>,
    /// As shown, until something changes.
    views: Vec<SpecificationView>,
}

impl Library {
    /// Replaces all specifications.
    pub(super) fn stock(&mut self, given: Vec<Given>) {
        self.state += 1;
        self.contracts.clear();
        self.bindings = vec![BTreeMap::new(); given.len()];
        self.views.clear();
        self.given = given;
    }

    pub(super) const fn state(&self) -> u64 {
        self.state
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// What is documented of a service.
    pub(super) fn choose(&mut self, names: &Names<'_>) -> Option<Arc<Contract>> {
        let mut chosen = Vec::new();
        for (at, (given, bound)) in self.given.iter().zip(&mut self.bindings).enumerate() {
            let by = given.describes(names);
            chosen.extend(by.map(|_| at as u32));
            let changed = match by {
                Some(by) => bound.insert(names.id.to_owned(), by) != Some(by),
                None => bound.remove(names.id).is_some(),
            };
            if changed {
                self.views.clear();
            }
        }
        if chosen.is_empty() {
            return None;
        }
        let given = &self.given;
        let specs = |chosen: &[u32]| {
            let of = |at: &u32| given.get(*at as usize).map(|given| given.spec.clone());
            chosen.iter().filter_map(of).collect()
        };
        let make = |chosen: &Vec<u32>| Arc::new(Contract::of(specs(chosen)));
        Some(self.contracts.entry(chosen).or_insert_with_key(make).clone())
    }

    /// As shown.
    pub(super) fn views(&mut self) -> Vec<SpecificationView> {
        if self.views.len() != self.given.len() {
            self.views =
                self.given.iter().zip(&self.bindings).map(|(given, bound)| view(given, bound)).collect();
        }
        self.views.clone()
    }

    /// What is wrong with them. `called`: there were calls, so that a service could have been chosen.
    pub(super) fn degradations(&self, called: bool) -> Vec<Degradation> {
        let broken = self.given.iter().filter_map(|given| {
            let first = given.spec.problems.first()?;
            let count = given.spec.problems.len() + given.spec.more_problems;
            let others = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            Some(degradation("specification-problem", format!("{first}{others}"), "mend the specification"))
        });
        let unbound = self
            .given
            .iter()
            .zip(&self.bindings)
            .filter(|(given, bound)| called && bound.is_empty() && !given.spec.operations.is_empty());
        let unbound = unbound.map(|(given, _)| {
            let what = format!(
                "{} describes no service that was seen: neither its servers nor its title name one",
                given.spec.file
            );
            degradation("specification-unbound", what, SAY_WHICH)
        });
        let ambiguous =
            self.given.iter().zip(&self.bindings).filter_map(|(given, bound)| ambiguous(given, bound));
        let limits = self.given.iter().flat_map(|given| given.limits.iter().cloned());
        broken.chain(unbound).chain(ambiguous).chain(limits).collect()
    }
}

/// A name that several services have tells nobody which of them is meant.
fn ambiguous(given: &Given, bound: &BTreeMap<String, By>) -> Option<Degradation> {
    let named: Vec<&str> =
        bound.iter().filter(|(_, by)| **by == By::Name).map(|(service, _)| service.as_str()).collect();
    let first = named.get(..SHOWN_BINDINGS.min(named.len())).unwrap_or_default().join(", ");
    let what = format!(
        "{} bears the name of {} services and is held against each of them: {first}",
        given.spec.file,
        named.len()
    );
    (named.len() > 1).then(|| degradation("specification-ambiguous", what, SAY_WHICH))
}

/// Specifications that were taken for those of a service of which they document nothing that is called.
pub(super) fn doubts(specifications: &[SpecificationView]) -> impl Iterator<Item = Degradation> + '_ {
    let bindings =
        specifications.iter().flat_map(|spec| spec.services.iter().map(move |bound| (spec, bound)));
    let strange = bindings.filter(|(_, bound)| {
        bound.by != By::Operator.word() && bound.documented == 0 && bound.undocumented >= STRANGE
    });
    strange.map(|(spec, bound)| {
        let what = format!(
            "{} was taken for the specification of {} by its {}, but documents none of the {} operations that are called there",
            spec.file, bound.service, bound.by, bound.undocumented
        );
        degradation("specification-doubtful", what, SAY_WHICH)
    })
}

fn degradation(code: &str, what: String, remedy: &str) -> Degradation {
    Degradation { code: code.into(), severity: Severity::Notice, what, remedy: remedy.into() }
}

/// The base paths of its servers, each once.
fn bases(given: &Given) -> Vec<String> {
    let bases: BTreeSet<&String> = given.spec.servers.iter().map(|server| &server.base).collect();
    bases.into_iter().filter(|base| !base.is_empty()).cloned().collect()
}

fn view(given: &Given, bound: &BTreeMap<String, By>) -> SpecificationView {
    let spec = &given.spec;
    let binding = |(service, by): (&String, &By)| BindingView {
        service: service.clone(),
        by: by.word().to_owned(),
        ..BindingView::default()
    };
    SpecificationView {
        file: spec.file.clone(),
        title: spec.title.clone(),
        version: spec.version.clone(),
        format: spec.format.to_string(),
        operations: spec.operations.len() as u64,
        bases: bases(given),
        services: bound.iter().take(MAX_BINDINGS).map(binding).collect(),
        problems: spec
            .problems
            .iter()
            .map(|problem| ProblemView {
                file: problem.file.clone(),
                line: problem.line.unwrap_or(0),
                pointer: problem.pointer.clone(),
                what: problem.what.clone(),
            })
            .collect(),
        more_problems: spec.more_problems as u64,
    }
}
