//! The roles of the shop: one file and one line in [`SERVICES`] each.

mod assistant;
mod cart;
mod catalog;
mod gateway;
mod notifications;
mod orders;
mod outside;
mod payments;
mod storefront;
mod users;

use crate::peers::Peers;
use axum::Router;
use std::sync::Arc;

/// One kind of server.
pub(crate) struct Service {
    /// Its role, and the name of its process (at most 15 bytes, `prctl(2)`).
    pub(crate) name: &'static str,
    /// The roles that it calls.
    pub(crate) calls: &'static [&'static str],
    /// Its routes, with its own data behind them.
    pub(crate) router: fn(Arc<Peers>) -> Router,
}

/// Every role, callees before callers, so that starting them in this order always finds the peers.
pub(crate) const SERVICES: &[&Service] = &[
    &outside::SERVICE,
    &users::SERVICE,
    &catalog::SERVICE,
    &payments::SERVICE,
    &notifications::SERVICE,
    &cart::SERVICE,
    &orders::SERVICE,
    &storefront::SERVICE,
    &assistant::SERVICE,
    &gateway::SERVICE,
];

/// The role called `name`.
///
/// # Errors
/// Names the roles that there are.
pub(crate) fn find(name: &str) -> Result<&'static Service, String> {
    let names = || SERVICES.iter().map(|service| service.name).collect::<Vec<_>>().join(", ");
    SERVICES
        .iter()
        .copied()
        .find(|service| service.name == name)
        .ok_or_else(|| format!("the roles are {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>();
        let registered = SERVICES.iter().map(|service| service.name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(files, registered);
    }

    #[test]
    fn callees_start_before_their_callers() {
        for (index, service) in SERVICES.iter().enumerate() {
            for callee in service.calls {
                assert!(SERVICES[..index].iter().any(|earlier| earlier.name == *callee), "{callee}");
            }
            assert!(service.name.len() <= 15, "{}", service.name);
        }
    }

    #[test]
    fn every_router_builds() {
        for service in SERVICES {
            let _routes_do_not_conflict =
                (service.router)(Arc::new(Peers::new(&crate::network::Network::Sockets(None), Vec::new())));
        }
    }
}
