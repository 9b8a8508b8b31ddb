//! The specifications that were given, and which services they were chosen for.

use crate::degradation::{Degradation, Severity};
use crate::drift::{By, Contract, Given, Names};
use crate::snapshot::{BindingView, ProblemView, SpecificationView};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Services that are named for one specification.
const MAX_BINDINGS: usize = 32;

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
            degradation("specification-unbound", what, "say which with --spec SERVICE=FILE")
        });
        broken.chain(unbound).collect()
    }
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
    let binding =
        |(service, by): (&String, &By)| BindingView { service: service.clone(), by: by.word().to_owned() };
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
