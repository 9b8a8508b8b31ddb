//! All that the specifications of one service say.

use super::matcher::Matcher;
use crate::spec::{Operation, Spec};
use compact_str::CompactString;
use std::collections::HashSet;
use std::sync::Arc;

/// Methods of HTTP that OpenAPI can document; other words are those of protocols above it.
const METHODS: [&str; 9] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "QUERY"];

/// The specifications of a service.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    specs: Vec<Arc<Spec>>,
    /// Specification and place in it, by number.
    operations: Vec<(u32, u32)>,
    /// Operations that an earlier one repeats, by number.
    repeated: HashSet<u32>,
    matcher: Matcher,
}

/// Where an observed endpoint is documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Base path and template.
    pub path: Arc<str>,
    /// Number of the operation; `None` when the path is documented, but not this method.
    pub operation: Option<u32>,
    /// Letter case differs.
    pub other_case: bool,
}

impl Contract {
    /// What these specifications say together. Where two document the same operation, the first counts.
    #[must_use]
    pub fn of(specs: Vec<Arc<Spec>>) -> Self {
        let mut contract = Self::default();
        for (at, spec) in specs.iter().enumerate() {
            for (place, operation) in spec.operations.iter().enumerate() {
                let number = contract.operations.len() as u32;
                contract.operations.push((at as u32, place as u32));
                let added =
                    operation.bases.iter().map(|base| contract.matcher.add(base, operation, number)).max();
                if added != Some(true) {
                    contract.repeated.insert(number);
                }
            }
        }
        contract.specs = specs;
        contract.accept_without_base();
        contract
    }

    /// A gateway may have taken the base path off.
    fn accept_without_base(&mut self) {
        for number in 0..self.operations.len() as u32 {
            let Some(operation) = self.operation(number).filter(|operation| has_base(operation)).cloned()
            else {
                continue;
            };
            if !self.repeated.contains(&number) {
                self.matcher.add("", &operation, number);
            }
        }
    }

    /// Its specifications.
    #[must_use]
    pub fn specs(&self) -> &[Arc<Spec>] {
        &self.specs
    }

    /// An operation by number.
    #[must_use]
    pub fn operation(&self, number: u32) -> Option<&Operation> {
        let (spec, place) = self.operations.get(number as usize)?;
        self.specs.get(*spec as usize)?.operations.get(*place as usize)
    }

    /// The place of an operation in its specification.
    #[must_use]
    pub fn place_of(&self, number: u32) -> Option<u32> {
        self.operations.get(number as usize).map(|(_, place)| *place)
    }

    /// The specification of an operation.
    #[must_use]
    pub fn spec_of(&self, number: u32) -> Option<&Arc<Spec>> {
        let (spec, _) = self.operations.get(number as usize)?;
        self.specs.get(*spec as usize)
    }

    /// Every operation with the path under which it is shown while nobody calls it.
    pub fn operations(&self) -> impl Iterator<Item = (u32, CompactString, Arc<str>)> + '_ {
        let mut first: Vec<Option<(CompactString, Arc<str>)>> = vec![None; self.operations.len()];
        for route in self.matcher.routes() {
            for (method, number) in &route.operations {
                if let Some(slot) = first.get_mut(*number as usize) {
                    slot.get_or_insert_with(|| (method.clone(), route.path.clone()));
                }
            }
        }
        let numbered = first.into_iter().enumerate();
        numbered.filter_map(|(number, shown)| shown.map(|(method, path)| (number as u32, method, path)))
    }

    /// Where a call is documented. `accepted`: it was answered with success, so that a value which does not fit
    /// its parameter cannot be a mistake of the caller.
    #[must_use]
    pub fn find(&self, method: &str, path: &str, accepted: bool) -> Option<Documented> {
        let find = |method: &str| self.matcher.find(method, path).filter(|found| !(found.loose && accepted));
        let found = if METHODS.contains(&method) {
            find(method)?
        } else {
            let posted = || find("POST").filter(|found| found.operation.is_some());
            find("GET").filter(|found| found.operation.is_some()).or_else(posted).or_else(|| find("GET"))?
        };
        let route = self.matcher.routes().get(found.route as usize)?;
        Some(Documented {
            path: route.path.clone(),
            operation: found.operation,
            other_case: found.other_case,
        })
    }
}

fn has_base(operation: &Operation) -> bool {
    operation.bases.iter().any(|base| !base.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Documents, read};
    use serde_json::{Value, json};

    fn contract(documents: &[Value]) -> Contract {
        let spec = |document: &Value| Arc::new(read(&Documents::new("a", document.clone())));
        Contract::of(documents.iter().map(spec).collect())
    }

    fn served(base: &str, path: &str) -> Value {
        json!({"openapi": "3.1.0", "servers": [{"url": base}], "paths": {path: {"get": {"responses": {}}}}})
    }

    #[test]
    fn a_base_path_may_be_missing_but_another_one_is_another_path() {
        let contract = contract(&[served("https://example.com/api/v1", "/users")]);
        let path = |path: &str| contract.find("GET", path, true).map(|found| found.path.to_string());
        assert_eq!(path("/api/v1/users").as_deref(), Some("/api/v1/users"));
        assert_eq!(path("/users").as_deref(), Some("/users"));
        assert_eq!(path("/api/v2/users"), None);
        let shown: Vec<_> = contract.operations().map(|(_, _, path)| path.to_string()).collect();
        assert_eq!(shown, ["/api/v1/users"]);
    }

    #[test]
    fn the_first_document_of_an_operation_counts() {
        let contract = contract(&[served("/", "/users"), served("/", "/users"), served("/", "/shops")]);
        let numbers: Vec<u32> = contract.operations().map(|(number, ..)| number).collect();
        assert_eq!(numbers, [0, 2]);
    }

    #[test]
    fn words_of_other_protocols_are_documented_with_their_path() {
        let contract = contract(&[served("/", "/socket")]);
        assert!(contract.find("SEND", "/socket", true).unwrap().operation.is_some());
        assert!(contract.find("POST", "/socket", true).unwrap().operation.is_none());
    }
}
