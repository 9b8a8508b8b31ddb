//! What naming costs: a connection on the capture thread, the start, the seeding of the kernel.

#![expect(clippy::expect_used, reason = "a bench that cannot set up shall fail loudly")]

use apisec_abi::{KIND_OPEN, Open, ROLE_SERVER};
use apisec_probe::flow::Flow;
use apisec_probe::identity::{AddressIdentity, Hosts, Identity, LocalIdentity, seed};
use apisec_proto::call::Vantage;
use apisec_proto::segment::ConnId;
use std::net::{SocketAddr, TcpListener};

fn main() {
    divan::main();
}

fn open(cookie: u64) -> Open {
    Open {
        kind: KIND_OPEN,
        flags: 0,
        role: ROLE_SERVER,
        verdict: 0,
        client_tgid: std::process::id(),
        at: u64::MAX / 2,
        cookie,
        client_cookie: 0,
        cgroup: 0,
        netns_cookie: 0,
        client_netns_cookie: 0,
        client_cgroup: 0,
        client_uid: 0,
        client_isn: 0,
        server_isn: 0,
        pad2: 0,
        client_comm: [0; 16],
        local_addr: [0; 16],
        remote_addr: [0; 16],
        local_port: 0,
        remote_port: 0,
        pad3: 0,
    }
}

/// A connection between local processes: recognised, named, closed.
#[divan::bench]
fn local_connection(bencher: divan::Bencher<'_, '_>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = listener.local_addr().expect("its address");
    let mut identity = LocalIdentity::start().expect("an identity");
    let flow = Flow { client: SocketAddr::from(([127, 0, 0, 1], 40_000)), server, vantage: Vantage::Server };
    let mut cookie = 0;
    bencher.bench_local(|| {
        cookie += 1;
        identity.opened(&open(cookie));
        let parties = identity.parties(ConnId(cookie), &flow);
        identity.closed(ConnId(cookie));
        assert_eq!(parties.certainty, apisec_probe::identity::Certainty::Settled);
        parties
    });
}

/// A connection of a capture file.
#[divan::bench]
fn addresses(bencher: divan::Bencher<'_, '_>) {
    let mut identity = AddressIdentity::new(Hosts::default());
    let mut port = 0_u16;
    bencher.bench_local(|| {
        port = port.wrapping_add(1);
        let client = SocketAddr::from(([10, 0, 0, 9], port));
        let flow = Flow { client, server: SocketAddr::from(([10, 0, 0, 1], 80)), vantage: Vantage::Server };
        identity.parties(ConnId(1), &flow)
    });
}

/// Everything that is looked at before the first call can be named.
#[divan::bench(sample_count = 20)]
fn start() -> LocalIdentity {
    LocalIdentity::start().expect("an identity")
}

/// What the kernel is told of open connections.
#[divan::bench(sample_count = 20)]
fn seeding() -> usize {
    seed().len()
}
