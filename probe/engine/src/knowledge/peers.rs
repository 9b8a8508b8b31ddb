//! Callers of whom the server's node knows their node only, and their own node the rest.
//!
//! A server on another node sees an address; where that is a node's (no pod has it), the caller is `node:a`. What the
//! workloads of `a` say of their calls to the same callee explains it: they are shown, and what is left of the node.

use super::{Edge, Knowledge, Node, Numbers};
use crate::load::Load;
use crate::node;
use apisec_proto::call::Protocol;
use std::borrow::Cow;
use std::collections::HashMap;

/// See the module.
#[derive(Default)]
pub(super) struct Peers {
    /// Calls that the workloads of a node made, by what stands for the node, callee and protocol.
    told: HashMap<(Node, Node, Protocol), u64, Numbers>,
}

impl Peers {
    pub(super) fn of(known: &Knowledge) -> Self {
        let mut peers = Self::default();
        if !known.workloads.keys().any(|id| node::is_peer(id)) {
            return peers;
        }
        for ((src, dst, protocol), Edge { ends, .. }) in &known.edges {
            let calls = ends.by_client().calls;
            let Some((id, _)) = known.workloads.get_index(*src as usize).filter(|_| calls > 0) else {
                continue;
            };
            let Some(peer) = node::of(id).and_then(|name| known.workloads.get_index_of(&*node::peer(name)))
            else {
                continue;
            };
            let key = (peer as Node, *dst, *protocol);
            if known.edges.contains_key(&key) {
                let told = peers.told.entry(key).or_default();
                *told = told.saturating_add(calls);
            }
        }
        peers
    }

    /// What is shown of an edge, `None` when nothing is.
    pub(super) fn share<'a>(
        &self,
        known: &Knowledge,
        key: (Node, Node, Protocol),
        ends: &'a crate::graph::BothEnds,
        covered: bool,
    ) -> Option<Cow<'a, Load>> {
        let load = ends.owned(covered);
        if self.told.is_empty() {
            return (load.calls > 0).then_some(Cow::Borrowed(load));
        }
        if let Some(told) = self.told.get(&key) {
            let left = load.calls.saturating_sub(*told);
            return (left > 0).then(|| Cow::Owned(part(load, left)));
        }
        if load.calls == 0 && covered {
            let (src, dst, protocol) = key;
            let (id, _) = known.workloads.get_index(src as usize)?;
            let peer = known.workloads.get_index_of(&*node::peer(node::of(id)?))?;
            let explains = self.told.contains_key(&(peer as Node, dst, protocol));
            let theirs = ends.by_client();
            return (explains && theirs.calls > 0).then_some(Cow::Borrowed(theirs));
        }
        (load.calls > 0).then_some(Cow::Borrowed(load))
    }
}

/// So many calls of a load; of how they went only the proportion is known.
fn part(load: &Load, calls: u64) -> Load {
    let share = |count: u64| (u128::from(count) * u128::from(calls) / u128::from(load.calls.max(1))) as u64;
    Load {
        calls,
        errors: share(load.errors),
        unanswered: share(load.unanswered),
        request_bytes: share(load.request_bytes),
        response_bytes: share(load.response_bytes),
        ..load.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::delta::Delta;
    use crate::endpoint::Id;
    use crate::fixture::workload;
    use crate::graph::EdgeKey;
    use crate::knowledge::Knowledge;
    use crate::limits::Limits;
    use crate::load::Load;
    use apisec_proto::call::{Protocol, Vantage};
    use std::sync::Arc;

    fn shown(edges: &[(&str, &str, Vantage, u64)]) -> Vec<(String, u64)> {
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        for (src, dst, vantage, calls) in edges {
            let described = |id: &str| crate::delta::Described {
                id: Id::from(id),
                at: 1,
                workload: Arc::new(workload(id)),
            };
            let key = EdgeKey {
                src: Id::from(*src),
                dst: Id::from(*dst),
                protocol: Protocol::Http1,
                vantage: *vantage,
            };
            known.merge(Delta {
                from: 1,
                to: 2,
                workloads: vec![described(src), described(dst)],
                edges: vec![(key, Load { calls: *calls, ..Load::default() })],
                ..Delta::default()
            });
        }
        known.snapshot(3).edges.iter().map(|edge| (edge.src.clone(), edge.calls)).collect()
    }

    #[test]
    fn the_callers_own_node_says_who_they_are() {
        let server = "process:b/nginx:80";
        let told = [
            ("node:a", server, Vantage::Server, 10),
            ("process:a/curl", server, Vantage::Client, 6),
            ("process:a/wget", server, Vantage::Client, 4),
        ];
        let each = [("process:a/curl".to_owned(), 6), ("process:a/wget".to_owned(), 4)];
        assert_eq!(shown(&told), each);
        let part = shown(&told[..2]);
        assert_eq!(part, [("node:a".to_owned(), 4), ("process:a/curl".to_owned(), 6)]);
        assert_eq!(shown(&told[..1]), [("node:a".to_owned(), 10)]);
    }

    #[test]
    fn the_workloads_of_another_node_explain_nothing() {
        let server = "process:b/nginx:80";
        let told = [("node:a", server, Vantage::Server, 10), ("process:c/curl", server, Vantage::Client, 6)];
        assert_eq!(shown(&told), [("node:a".to_owned(), 10)]);
    }
}
