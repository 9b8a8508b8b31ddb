//! Names of header fields and cookies of one accepted request, held against the documented parameters.
//!
//! Only names are looked at. What browsers, proxies and tracers add of their own is nothing that an API documents, and is
//! never called undocumented; nor are cookies where the document speaks of none.

use apisec_engine::export::schema::is_name;
use apisec_engine::spec::{Location, Operation, Spec};

/// Field names that are kept of one request; beyond, nothing is called missing.
const MAX_NAMES: usize = 64;
/// Longest name that is told.
const MAX_NAME: usize = 64;
/// Fields that OpenAPI documents elsewhere (3.1 §4.8.12.2): a parameter of such a name is ignored.
const ELSEWHERE: [&str; 3] = ["accept", "authorization", "content-type"];
/// Fields of HTTP, of browsers, and of what stands before a service.
const ORDINARY: [&str; 45] = [
    "accept",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "cdn-loop",
    "connection",
    "cookie",
    "date",
    "device-memory",
    "dnt",
    "downlink",
    "early-data",
    "ect",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "newrelic",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "rtt",
    "save-data",
    "sentry-trace",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "uber-trace-id",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "warning",
    "x-real-ip",
    "x-requested-with",
];
/// Beginnings of more of them.
const FAMILIES: [&str; 21] = [
    ":",
    "accept-",
    "access-control-",
    "cf-",
    "content-",
    "elastic-apm-",
    "fastly-",
    "grpc-",
    "if-",
    "proxy-",
    "sec-",
    "x-amz",
    "x-b3-",
    "x-client-ip",
    "x-cloud-trace-",
    "x-cluster-client-",
    "x-correlation-id",
    "x-datadog-",
    "x-envoy-",
    "x-forwarded-",
    "x-request-id",
];

/// Names that a request sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Of its fields, lower case.
    fields: Vec<String>,
    /// Of its cookies.
    cookies: Vec<String>,
    /// There were more, or some could not be read.
    more: bool,
}

impl Sent {
    /// A request of which some fields may not be known.
    pub(crate) fn new(cut: bool) -> Self {
        Self { more: cut, ..Self::default() }
    }

    /// Notes a field.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name == "cookie" {
            let pairs = value.split(|byte| *byte == b';');
            let names = pairs.filter_map(|pair| pair.split(|byte| *byte == b'=').next());
            for name in names.map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned()) {
                push(&mut self.cookies, name, &mut self.more);
            }
        }
        push(&mut self.fields, name, &mut self.more);
    }

    /// What differs from the document: `header x-debug`, `no header x-tenant`, `no cookie session`.
    pub(crate) fn differences(&self, spec: &Spec, operation: &Operation) -> Vec<String> {
        let mut found = self.missing(operation);
        let is_documented = |location, name: &str| {
            let own = operation.parameters.iter().map(|own| (own.location, own.name.as_str()));
            let keys = spec.keys.iter().map(|(location, name)| (*location, name.as_str()));
            own.chain(keys).any(|(at, known)| at == location && is_same(location, known, name))
        };
        let strange = |name: &&String| !is_ordinary(name) && !is_documented(Location::Header, name);
        found.extend(self.fields.iter().filter(strange).map(|name| format!("header {name}")));
        let speaks = operation.parameters.iter().any(|own| own.location == Location::Cookie);
        let strange = |name: &&String| speaks && !is_documented(Location::Cookie, name);
        found.extend(self.cookies.iter().filter(strange).map(|name| format!("cookie {name}")));
        found
    }

    fn missing(&self, operation: &Operation) -> Vec<String> {
        let required = operation.parameters.iter().filter(|own| own.required && !self.more);
        let lacking = required.filter_map(|own| {
            let (word, names) = match own.location {
                Location::Header if !ELSEWHERE.iter().any(|name| own.name.eq_ignore_ascii_case(name)) => {
                    ("header", &self.fields)
                }
                Location::Cookie => ("cookie", &self.cookies),
                _ => return None,
            };
            let lacks = !names.iter().any(|name| is_same(own.location, &own.name, name));
            lacks.then(|| format!("no {word} {}", own.name.to_ascii_lowercase()))
        });
        lacking.collect()
    }
}

fn push(names: &mut Vec<String>, name: String, more: &mut bool) {
    if names.len() >= MAX_NAMES {
        *more = true;
    } else if is_name(&name) && name.len() <= MAX_NAME && !names.contains(&name) {
        names.push(name);
    }
}

/// Names of fields know no letter case, those of cookies do.
fn is_same(location: Location, documented: &str, sent: &str) -> bool {
    if location == Location::Header { documented.eq_ignore_ascii_case(sent) } else { documented == sent }
}

fn is_ordinary(name: &str) -> bool {
    ORDINARY.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::spec::{Documents, read};
    use serde_json::json;

    fn told(fields: &[(&str, &str)], cut: bool) -> Vec<String> {
        let document = json!({"openapi": "3.1.0",
            "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
            "paths": {"/a": {"get": {"parameters": [
                {"in": "header", "name": "X-Tenant", "required": true}, {"in": "header", "name": "Accept", "required": true},
                {"in": "cookie", "name": "sid", "required": true}, {"in": "header", "name": "X-Page"}]}}}});
        let spec = read(&Documents::new("a", document));
        let mut sent = Sent::new(cut);
        fields.iter().for_each(|(name, value)| sent.add(name.as_bytes(), value.as_bytes()));
        sent.differences(&spec, &spec.operations[0])
    }

    #[test]
    fn names_are_compared_and_values_are_not() {
        let whole =
            [("Host", "a"), ("x-tenant", "secret"), ("Cookie", "sid=secret"), ("X-API-KEY", "secret")];
        assert_eq!(told(&whole, false), [""; 0]);
        assert_eq!(told(&[("Host", "a")], false), ["no header x-tenant", "no cookie sid"]);
        assert_eq!(told(&[("Host", "a")], true), [""; 0], "what was cut off may have been there");
        let more = [&whole[..], &[("X-Debug", "secret"), ("cookie", "sid=s; Theme=secret")]].concat();
        assert_eq!(told(&more, false), ["header x-debug", "cookie Theme"]);
    }

    #[test]
    fn what_others_add_is_ordinary() {
        let mut sorted = ORDINARY;
        sorted.sort_unstable();
        assert_eq!(sorted, ORDINARY, "it is searched");
        for name in ["sec-fetch-mode", "x-forwarded-for", "traceparent", "if-none-match", "accept-encoding"] {
            assert!(is_ordinary(name), "{name}");
        }
        assert!(!is_ordinary("x-http-method-override") && !is_ordinary("idempotency-key"));
    }

    #[test]
    fn nothing_grows_without_bound_and_nothing_odd_is_told() {
        let mut sent = Sent::default();
        (0..1_000).for_each(|n| sent.add(format!("x-{n}").as_bytes(), b""));
        sent.add(&[b'x'; 5_000], b"");
        sent.add(b"cookie", b";;=;\xff=1");
        assert!(sent.more && sent.fields.len() == MAX_NAMES && sent.cookies.len() <= 1, "{sent:?}");
    }
}
