//! Names that somebody else knows: who a pod is, and whose an address was at a time.

use apisec_engine::degradation::Degradation;
use apisec_engine::endpoint::Id;
use apisec_proto::call::Workload;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// Somebody with a name that holds in the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: Id,
    /// What is known of it beside what agents see.
    pub workload: Workload,
}

/// Who stands behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// Somebody.
    Named(Box<Named>),
    /// Somebody on this node.
    Node(String),
    /// Nobody that is known, or several: an address is not guessed.
    Unknown,
}

/// What is known of names at present.
pub trait Names {
    /// The workload of the pod with this UID.
    fn pod(&self, uid: &str) -> Option<Named>;

    /// Who had an address at a time (Unix nanoseconds).
    fn at(&self, address: IpAddr, at: u64) -> Tenant;

    /// Who answered at an address and port at a time.
    fn server(&self, address: SocketAddr, at: u64) -> Tenant;

    /// Whether more of this pod may be known in a moment.
    fn awaits(&self, uid: &str) -> bool;

    /// Whether what there is has not been told once yet.
    fn settling(&self) -> bool;

    /// What is missing; `watched` tells the nodes that are heard.
    fn degradations(&self, watched: &dyn Fn(&str) -> bool) -> Vec<Degradation>;
}

/// Begins to find out names.
pub trait Census: Send {
    /// Called inside the event loop and on the thread on which the names are used.
    fn begin(self: Box<Self>) -> Rc<dyn Names>;
}
