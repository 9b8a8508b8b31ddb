//! Which specification describes which service.
//!
//! What the operator said goes before everything: in place, or where the specification was given. Otherwise a server's
//! host that callers asked this service for, a Protobuf service that answers there, or a title (or file name) that is the service's own name. Nothing is guessed
//! beyond that: a specification that fits no service is shown as such, and one that bears the name of several too.

use crate::degradation::Degradation;
use crate::spec::{Api, Documents, Spec};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Words behind a name that make no other name of it.
const SUFFIXES: [&str; 4] = ["openapi", "service", "server", "api"];

/// Names that say what something is and not which one: every second program and file is called so.
const COMMON: [&str; 22] = [
    "app",
    "application",
    "backend",
    "default",
    "demo",
    "dotnet",
    "example",
    "index",
    "java",
    "main",
    "nginx",
    "node",
    "openapi",
    "python",
    "python3",
    "root",
    "ruby",
    "spec",
    "swagger",
    "test",
    "unknown",
    "web",
];
/// Letters of the shortest name that is believed to mean one service.
const SHORTEST: usize = 3;

/// Services, and whether a specification describes them.
pub type Chosen = BTreeMap<String, bool>;

/// A specification as the operator gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// What was read.
    pub spec: Arc<Spec>,
    /// The service that it describes, when that was said: a workload's id or name, or a host.
    pub service: Option<String>,
    /// What the operator said later about services, by workload id.
    pub chosen: Chosen,
    /// What it was read from, where that is kept, so that values can be compared with it.
    pub documents: Option<Arc<Documents>>,
    /// What was not done with it, because it would take too much.
    pub limits: Vec<Degradation>,
}

/// Why a specification belongs to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The operator said so.
    Operator,
    /// One of its servers is asked for.
    Server,
    /// A Protobuf service that it describes answers there.
    Content,
    /// It bears the name of the service.
    Name,
}

impl By {
    /// As printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Server => "server",
            Self::Content => "content",
            Self::Name => "name",
        }
    }
}

/// The names of a service.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Workload id.
    pub id: &'a str,
    /// Display name.
    pub name: &'a str,
    /// An address that it was seen at.
    pub address: &'a str,
    /// Hosts that it was asked for.
    pub hosts: &'a [CompactString],
    /// Protobuf services that answer there: `shop.v1.Catalog`.
    pub answers: &'a [CompactString],
}

impl Given {
    /// Whether, and why, this describes a service.
    #[must_use]
    pub fn describes(&self, names: &Names<'_>) -> Option<By> {
        if let Some(said) = self.choice(names.id) {
            return said.then_some(By::Operator);
        }
        if let Some(service) = &self.service {
            let named = service == names.id
                || service.eq_ignore_ascii_case(names.name)
                || names.is_asked_for(service);
            return named.then_some(By::Operator);
        }
        let mut hosts =
            self.spec.servers.iter().map(|server| server.host.as_str()).filter(|host| !host.is_empty());
        if hosts.any(|host| names.is_asked_for(host)) {
            return Some(By::Server);
        }
        if names.answers.iter().any(|answers| self.describes_protobuf(answers)) {
            return Some(By::Content);
        }
        let own = plain(names.name);
        let is_own = |name: &str| is_telling(&own) && plain(name) == own;
        (is_own(&self.spec.title) || is_own(stem(&self.spec.file))).then_some(By::Name)
    }

    /// Whether methods of this Protobuf service are in it.
    fn describes_protobuf(&self, service: &str) -> bool {
        let mut methods = self.spec.operations.iter().filter(|own| own.api == Api::Grpc);
        methods.any(|own| protobuf_service(&own.path) == Some(service))
    }

    /// What the operator said in place: to name one service is to mean no other.
    fn choice(&self, service: &str) -> Option<bool> {
        let others = || self.chosen.values().any(|describes| *describes).then_some(false);
        self.chosen.get(service).copied().or_else(others)
    }
}

impl Names<'_> {
    fn is_asked_for(&self, host: &str) -> bool {
        let host = local(host);
        let mut known = self.hosts.iter().map(CompactString::as_str).chain([self.address]);
        known.any(|known| !known.is_empty() && local(known) == host)
    }
}

/// `shop.v1.Catalog` of `/shop.v1.Catalog/Get`.
#[must_use]
pub fn protobuf_service(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _)| service)
}

/// A host in one way of writing it: without the port that goes without saying, and with one name for this machine.
fn local(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host);
    for name in ["localhost", "[::1]", "0.0.0.0", "::1"] {
        if let Some(rest) = host.strip_prefix(name)
            && (rest.is_empty() || rest.starts_with(':'))
        {
            return format!("127.0.0.1{rest}");
        }
    }
    host.to_owned()
}

/// `users` of `Users API`, `users-service` and `users_openapi`.
fn plain(name: &str) -> String {
    let mut plain: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    while let Some(short) =
        SUFFIXES.iter().find_map(|suffix| plain.strip_suffix(suffix)).filter(|short| !short.is_empty())
    {
        plain = short.to_owned();
    }
    plain
}

/// Whether a plain name means one service.
fn is_telling(plain: &str) -> bool {
    plain.chars().count() >= SHORTEST && !SUFFIXES.contains(&plain) && !COMMON.contains(&plain)
}

/// The file's name without folders and extensions.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Server;

    fn given(title: &str, file: &str, host: &str, service: Option<&str>) -> Given {
        let servers = vec![Server { host: host.into(), base: String::new() }];
        let spec = Spec { title: title.into(), file: file.into(), servers, ..Spec::default() };
        Given { spec: Arc::new(spec), service: service.map(str::to_owned), ..Given::default() }
    }

    #[test]
    fn the_operator_then_the_server_then_the_name() {
        let hosts = ["orders.shop:8080".into(), "127.0.0.1:5000".into()];
        let names = Names {
            id: "process:orders:8080",
            name: "orders",
            address: "10.0.0.7:8080",
            hosts: &hosts,
            answers: &[],
        };
        for (given, by) in [
            (given("x", "x", "", Some("orders")), Some(By::Operator)),
            (given("x", "x", "", Some("process:orders:8080")), Some(By::Operator)),
            (given("x", "x", "", Some("10.0.0.7:8080")), Some(By::Operator)),
            (given("orders", "x", "orders.shop:8080", Some("users")), None),
            (given("x", "x", "orders.shop:8080", None), Some(By::Server)),
            (given("x", "x", "localhost:5000", None), Some(By::Server)),
            (given("x", "x", "orders.shop", None), None),
            (given("Orders API", "x", "", None), Some(By::Name)),
            (given("x", "apis/orders-service.v2.yaml", "", None), Some(By::Name)),
            (given("x", "x", "", None), None),
            (given("", "", "", None), None),
        ] {
            assert_eq!(given.describes(&names), by, "{given:?}");
        }
    }

    #[test]
    fn a_name_that_everybody_has_means_nobody() {
        for name in ["", "api", "app", "db", "openapi", "api-server", "Main", "node"] {
            let names = Names { id: "x", name, address: "", hosts: &[], answers: &[] };
            assert_eq!(given(name, name, "", None).describes(&names), None, "{name}");
        }
    }

    #[test]
    fn what_is_said_in_place_goes_before_all_else() {
        let names = |id| Names { id, name: "orders", address: "", hosts: &[], answers: &[] };
        let mut orders = given("orders", "x", "", None);
        assert_eq!(orders.describes(&names("a")), Some(By::Name));
        orders.chosen.insert("a".into(), false);
        assert_eq!(orders.describes(&names("a")), None);
        assert_eq!(orders.describes(&names("b")), Some(By::Name));
        orders.chosen.insert("c".into(), true);
        assert_eq!(
            (orders.describes(&names("b")), orders.describes(&names("c"))),
            (None, Some(By::Operator))
        );
    }
}
