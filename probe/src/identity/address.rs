//! Names by address alone: for a capture file, which knows no processes.

use super::address_book::Hosts;
use super::registry::{MAX_EXTERNALS, Registry};
use super::{Certainty, Identity, Parties, describe};
use crate::flow::Flow;
use apisec_abi::{Exec, Exit, Open};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_proto::segment::ConnId;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Names servers `external:<ip>:<port>` and clients `external:<ip>`.
pub struct AddressIdentity {
    hosts: Hosts,
    registry: Registry,
    servers: HashMap<SocketAddr, u32, RandomState>,
    clients: HashMap<IpAddr, u32, RandomState>,
}

impl AddressIdentity {
    /// Names addresses; those in `hosts` are displayed by their name there.
    #[must_use]
    pub fn new(hosts: Hosts) -> Self {
        Self {
            hosts,
            registry: Registry::default(),
            servers: HashMap::default(),
            clients: HashMap::default(),
        }
    }

    fn server(&mut self, address: SocketAddr) -> u32 {
        if let Some(number) = self.servers.get(&address) {
            return *number;
        }
        let number = self.registry.enter(describe::external_server(address, self.hosts.name(address.ip())));
        if self.servers.len() < MAX_EXTERNALS {
            self.servers.insert(address, number);
        }
        number
    }

    fn client(&mut self, address: IpAddr) -> u32 {
        if let Some(number) = self.clients.get(&address) {
            return *number;
        }
        let number = self.registry.enter(describe::external_client(address, self.hosts.name(address)));
        if self.clients.len() < MAX_EXTERNALS {
            self.clients.insert(address, number);
        }
        number
    }
}

impl Identity for AddressIdentity {
    fn parties(&mut self, _conn: ConnId, flow: &Flow) -> Parties {
        let (src, dst) = (self.client(flow.client.ip()), self.server(flow.server));
        Parties {
            src: self.registry.party(src),
            dst: self.registry.party(dst),
            certainty: Certainty::Settled,
        }
    }

    fn opened(&mut self, _open: &Open) {}

    fn started(&mut self, _exec: &Exec) {}

    fn ended(&mut self, _exit: &Exit) {}

    fn closed(&mut self, _conn: ConnId) {}

    fn tick(&mut self, _now: u64) {}

    fn degradations(&self) -> Vec<Degradation> {
        overflow(&self.registry).into_iter().collect()
    }
}

/// The degradation of a registry that is full.
pub(super) fn overflow(registry: &Registry) -> Option<Degradation> {
    let overflowed = registry.overflowed();
    (overflowed > 0).then(|| Degradation {
        code: "workload-cap".into(),
        severity: Severity::Partial,
        what: format!(
            "{overflowed} look-ups were named external:overflow or process:overflow: \
             more than {MAX_EXTERNALS} peers or {} workloads were seen",
            super::registry::MAX_WORKLOADS
        ),
        remedy: "narrow the capture, for instance with --filter".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_proto::call::{Vantage, WorkloadKind};

    fn flow(client: &str, server: &str) -> Flow {
        Flow { client: client.parse().unwrap(), server: server.parse().unwrap(), vantage: Vantage::Server }
    }

    #[test]
    fn a_server_has_a_port_and_a_client_has_none() {
        let mut identity = AddressIdentity::new(Hosts::parse("10.0.0.1 cart"));
        let parties = identity.parties(ConnId(1), &flow("10.0.0.9:40000", "10.0.0.1:80"));
        assert_eq!(parties.certainty, Certainty::Settled);
        assert_eq!(parties.src.workload.id, "external:10.0.0.9");
        assert_eq!(parties.dst.workload.id, "external:10.0.0.1:80");
        assert_eq!(parties.dst.workload.name, "cart:80");
        assert_eq!(parties.dst.workload.kind, WorkloadKind::External);
        let again = identity.parties(ConnId(2), &flow("10.0.0.9:40001", "10.0.0.1:80"));
        assert_eq!((again.src.number, again.dst.number), (parties.src.number, parties.dst.number));
    }

    #[test]
    fn loopback_is_an_address_like_any_other() {
        let mut identity = AddressIdentity::new(Hosts::default());
        let parties = identity.parties(ConnId(1), &flow("[::1]:40000", "127.0.0.1:80"));
        assert_eq!(parties.src.workload.id, "external:::1");
        assert_eq!(parties.dst.workload.id, "external:127.0.0.1:80");
    }

    #[test]
    fn a_flood_of_peers_is_bounded_and_said() {
        let mut identity = AddressIdentity::new(Hosts::default());
        for n in 0..MAX_EXTERNALS as u32 + 10 {
            let client = SocketAddr::new(IpAddr::V4(n.into()), 1);
            identity.parties(ConnId(1), &Flow { client, ..flow("1.2.3.4:5", "10.0.0.1:80") });
        }
        assert_eq!(identity.degradations().len(), 1);
        assert!(identity.clients.len() <= MAX_EXTERNALS);
    }
}
