//! All that the specifications of one service say.

use super::fields::{Asked, Fields};
use super::matcher::Matcher;
use crate::endpoint::EndpointKey;
use crate::spec::{Api, Operation, Spec};
use apisec_proto::call::Protocol;
use compact_str::CompactString;
use smallvec::SmallVec;
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
    /// Those of GraphQL schemas.
    fields: Fields,
}

/// Where an observed endpoint is documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Base path and template.
    pub path: Arc<str>,
    /// Number of the operation; `None` when the path is documented, but not this method.
    pub operation: Option<u32>,
    /// Numbers of more operations that are asked for in the same call: fields of GraphQL.
    pub also: SmallVec<[u32; 2]>,
    /// Letter case differs.
    pub other_case: bool,
    /// Which operation of a schema was asked for cannot be told.
    pub untold: bool,
}

impl Documented {
    /// A documented path, of which no operation is documented.
    #[must_use]
    pub fn of(path: Arc<str>) -> Self {
        Self { path, operation: None, also: SmallVec::new(), other_case: false, untold: false }
    }

    /// Numbers of all its operations.
    pub fn operations(&self) -> impl Iterator<Item = u32> + '_ {
        self.operation.into_iter().chain(self.also.iter().copied())
    }
}

/// A documented operation as it is shown while nobody calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Number of the operation.
    pub number: u32,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Method, or kind of the operation.
    pub method: CompactString,
    /// Base path and template; `None` where the document does not say.
    pub path: Option<Arc<str>>,
    /// Operation below method and path.
    pub operation: CompactString,
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
                let added = match operation.api {
                    Api::Graphql => contract.fields.add(&operation.method, &operation.path, number),
                    Api::Http | Api::Grpc => {
                        let add = |base: &String| contract.matcher.add(base, operation, number);
                        operation.bases.iter().map(add).max() == Some(true)
                    }
                };
                if !added {
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

    /// Every operation as it is shown while nobody calls it.
    pub fn operations(&self) -> impl Iterator<Item = Shown> + '_ {
        let mut first: Vec<Option<(CompactString, Arc<str>)>> = vec![None; self.operations.len()];
        for route in self.matcher.routes() {
            for (method, number) in &route.operations {
                if let Some(slot) = first.get_mut(*number as usize) {
                    slot.get_or_insert_with(|| (method.clone(), route.path.clone()));
                }
            }
        }
        let shown = move |(number, first): (usize, Option<(CompactString, Arc<str>)>)| {
            let (number, (method, path)) = (number as u32, first?);
            let is_grpc = self.operation(number).is_some_and(|own| own.api == Api::Grpc);
            let protocol = if is_grpc { Protocol::Grpc } else { Protocol::Http1 };
            Some(Shown { number, protocol, method, path: Some(path), operation: CompactString::default() })
        };
        let fields = self.fields.iter().map(|(kind, name, number)| Shown {
            number,
            protocol: Protocol::Graphql,
            method: kind.into(),
            path: None,
            operation: name.into(),
        });
        first.into_iter().enumerate().filter_map(shown).chain(fields)
    }

    /// Where an endpoint is documented. `accepted` as in [`Contract::find`].
    #[must_use]
    pub fn document(&self, key: &EndpointKey, accepted: bool) -> Option<Documented> {
        if key.protocol != Protocol::Graphql || self.fields.is_empty() {
            return self.find(&key.method, &key.path, accepted);
        }
        let there = Documented::of(key.path.clone());
        match self.fields.find(&key.method, &key.operation) {
            Asked::Documented(mut fields) => {
                let first = fields.remove(0);
                Some(Documented { operation: Some(first), also: fields, ..there })
            }
            Asked::Untold => Some(Documented { untold: true, ..there }),
            Asked::Undocumented => None,
        }
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
            operation: found.operation,
            other_case: found.other_case,
            ..Documented::of(route.path.clone())
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
        let shown: Vec<_> =
            contract.operations().filter_map(|own| own.path).map(|path| path.to_string()).collect();
        assert_eq!(shown, ["/api/v1/users"]);
    }

    #[test]
    fn the_first_document_of_an_operation_counts() {
        let contract = contract(&[served("/", "/users"), served("/", "/users"), served("/", "/shops")]);
        let numbers: Vec<u32> = contract.operations().map(|own| own.number).collect();
        assert_eq!(numbers, [0, 2]);
    }

    #[test]
    fn words_of_other_protocols_are_documented_with_their_path() {
        let contract = contract(&[served("/", "/socket")]);
        assert!(contract.find("SEND", "/socket", true).unwrap().operation.is_some());
        assert!(contract.find("POST", "/socket", true).unwrap().operation.is_none());
    }

    fn key(protocol: Protocol, method: &str, path: &str, operation: &str) -> EndpointKey {
        let (method, operation) = (method.into(), operation.into());
        let vantage = apisec_proto::call::Vantage::Server;
        EndpointKey { service: "a".into(), path: path.into(), method, operation, protocol, vantage }
    }

    fn own(api: Api, method: &str, path: &str) -> Operation {
        Operation {
            api,
            method: method.into(),
            path: path.into(),
            bases: [String::new()].into(),
            ..Operation::default()
        }
    }

    #[test]
    fn methods_of_protobuf_services_are_documented_by_their_path() {
        let operations = vec![own(Api::Grpc, "POST", "/shop.Catalog/Get")];
        let contract = Contract::of(vec![Arc::new(Spec { operations, ..Spec::default() })]);
        for method in ["POST", "STREAM"] {
            let found =
                contract.document(&key(Protocol::Grpc, method, "/shop.Catalog/Get", ""), true).unwrap();
            assert_eq!(found.operation, Some(0));
        }
        assert_eq!(contract.document(&key(Protocol::Grpc, "POST", "/shop.Catalog/Delete", ""), true), None);
        assert_eq!(contract.operations().next().unwrap().protocol, Protocol::Grpc);
    }

    #[test]
    fn every_field_of_a_call_is_documented_or_none_is() {
        let operations = vec![own(Api::Graphql, "QUERY", "users"), own(Api::Graphql, "QUERY", "orders")];
        let contract = Contract::of(vec![Arc::new(Spec { operations, ..Spec::default() })]);
        let of = |method: &str, operation: &str| {
            contract.document(&key(Protocol::Graphql, method, "/q", operation), true)
        };
        let found = of("QUERY", "orders,users").unwrap();
        assert_eq!(found.operations().collect::<Vec<_>>(), [1, 0]);
        assert_eq!(of("QUERY", "users,secrets"), None);
        assert_eq!(of("MUTATION", "users"), None);
        assert!(of("QUERY", "__schema").unwrap().untold && of("QUERY", "{invalid}").unwrap().untold);
        let shown: Vec<Shown> = contract.operations().collect();
        assert!(
            shown.iter().all(|own| own.path.is_none() && own.protocol == Protocol::Graphql)
                && shown.len() == 2
        );
    }
}
