//! Calls for the tests of this crate.

use apisec_proto::call::{AuthScheme, Call, Notes, Party, Protocol, Vantage, Workload};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The parts of a call that tests vary.
#[derive(Clone, Debug)]
pub(crate) struct CallSpec {
    pub(crate) at: u64,
    pub(crate) duration: u64,
    pub(crate) src: &'static str,
    pub(crate) dst: &'static str,
    pub(crate) vantage: Vantage,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) trace: Option<u64>,
}

impl Default for CallSpec {
    fn default() -> Self {
        Self {
            at: 1_000_000_000,
            duration: 2_000_000,
            src: "process:client",
            dst: "process:server:80",
            vantage: Vantage::Server,
            method: "GET",
            path: "/".to_owned(),
            status: Some(200),
            trace: None,
        }
    }
}

/// A workload with only its id and name known.
pub(crate) fn workload(id: &str) -> Workload {
    Workload { id: id.into(), name: id.into(), pid: 1, ..crate::observe::overflow_workload() }
}

/// A party whose number follows from its id.
pub(crate) fn party(id: &str) -> Party {
    Party { number: crate::fingerprint::of(id.as_bytes()) as u32, workload: Arc::new(workload(id)) }
}

pub(crate) fn call(spec: &CallSpec) -> Call {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    Call {
        at: spec.at,
        src: party(spec.src),
        dst: party(spec.dst),
        src_addr: address,
        dst_addr: address,
        vantage: spec.vantage,
        protocol: Protocol::Http1,
        method: spec.method.into(),
        operation: Default::default(),
        path: spec.path.as_str().into(),
        query: Default::default(),
        host: "shop.test".into(),
        status: spec.status,
        ttfb: spec.status.map(|_| spec.duration / 2),
        duration: spec.duration,
        request_bytes: 100,
        response_bytes: 300,
        request_body: 0,
        response_body: 200,
        auth: AuthScheme::None,
        identity: None,
        request_type: Default::default(),
        response_type: "application/json".into(),
        trace: spec.trace,
        messages: Default::default(),
        app_status: None,
        failed: false,
        notes: Notes::default(),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
        detail: None,
    }
}

/// A second with several callers, callees, vantages and a rename.
pub(crate) fn delta() -> crate::delta::Delta {
    let mut observer = crate::observe::Observer::new(crate::limits::Limits::default());
    let second = 1_000_000_000;
    for n in 0..12_u64 {
        let src = ["process:client", "process:other", "external:192.0.2.7"][n as usize % 3];
        let dst = ["process:server:80", "process:next:81"][n as usize % 2];
        let vantage = if n % 4 == 3 { Vantage::Client } else { Vantage::Server };
        let path = format!("/items/{n}");
        observer.observe(&call(&CallSpec {
            at: 10 * second + n,
            src,
            dst,
            vantage,
            path,
            ..Default::default()
        }));
    }
    observer.rename(crate::rename::Rename { from: "process:old".into(), to: "process:new:82".into() });
    observer.take_delta(10 * second, 11 * second)
}
