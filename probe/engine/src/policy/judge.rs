//! Whether a policy is about a call, as it happens: for what can only be enforced after the fact, and to say what got
//! through. Rates are not judged here: what is within one may pass.

use super::pattern::Verdict;
use super::{Policy, Scope, Selector};
use apisec_proto::call::{Call, Notes, Party, Protocol};
use std::net::SocketAddr;

/// The path of a call that is not known.
const OPAQUE_PATH: &str = "/{opaque}";

/// A policy, ready to judge calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    scope: Scope,
    case_sensitive: bool,
}

impl Judge {
    /// Prepares it.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self { scope: policy.spec.scope.clone(), case_sensitive: policy.spec.case_sensitive }
    }

    /// Whether it is about calls between the two ends of this one at all: the same for all calls between them.
    #[must_use]
    pub fn concerns(&self, call: &Call) -> bool {
        let from = |selector: &Selector| is(selector, &call.src, call.src_addr);
        let to = |selector: &Selector| is(selector, &call.dst, call.dst_addr);
        match &self.scope {
            Scope::Edge(edge) => from(&edge.from) && to(&edge.to),
            Scope::Identity(one) => one.service.as_ref().is_none_or(to),
            Scope::Quarantine(one) => {
                let (inside, outside) = (from(&one.workload), to(&one.workload));
                let other: &dyn Fn(&Selector) -> bool = if inside { &to } else { &from };
                inside != outside && !one.allow.iter().any(other)
            }
            Scope::Endpoint(one) => to(&one.service) && one.from.as_ref().is_none_or(from),
            Scope::Rate(_) => false,
        }
    }

    /// What the policy says of a call between ends that it [concerns](Self::concerns).
    #[must_use]
    pub fn judge(&self, call: &Call) -> Verdict {
        let opaque = call.notes.any(Notes::OPAQUE_FIELDS);
        match &self.scope {
            Scope::Edge(_) | Scope::Quarantine(_) => Verdict::Match,
            // On a connection whose compression began before us.
            Scope::Endpoint(_) if opaque && call.path == OPAQUE_PATH => Verdict::Undecided,
            Scope::Identity(_) if opaque && call.identity.is_none() => Verdict::Undecided,
            Scope::Identity(one) if call.identity.is_some_and(|hash| hash.0 == one.hash.0) => Verdict::Match,
            Scope::Endpoint(one) => {
                // What a dialect calls a method is none of the request.
                let own = matches!(call.protocol, Protocol::Http1 | Protocol::Http2);
                if own && !one.method.covers(call.method.as_bytes()) {
                    return Verdict::Pass;
                }
                one.path.judge(call.path.as_bytes(), self.case_sensitive)
            }
            Scope::Identity(_) | Scope::Rate(_) => Verdict::Pass,
        }
    }
}

fn is(selector: &Selector, party: &Party, address: SocketAddr) -> bool {
    selector.means(&party.workload.id, &party.workload.name)
        || selector.socket() == Some(address)
        || selector.address() == Some(address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::draft;
    use apisec_proto::call::{IdentityHash, Vantage, Workload, WorkloadKind};
    use apisec_proto::namer::{Ends, Namer};
    use std::sync::Arc;

    fn party(id: &str) -> Party {
        Party { number: 0, workload: Arc::new(Workload::named(id, id, WorkloadKind::Process)) }
    }

    fn call(src: &str, dst: &str, method: &str, path: &str) -> Call {
        let (src, dst) = (party(src), party(dst));
        let (src_addr, dst_addr) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let ends = Ends { src: &src, dst: &dst, src_addr, dst_addr, vantage: Vantage::Server };
        Call {
            protocol: Protocol::Http1,
            method: method.into(),
            path: path.into(),
            identity: Some(IdentityHash(7)),
            ..Namer::blank(ends)
        }
    }

    fn judge(policy: &Policy, call: &Call) -> Verdict {
        let judge = Judge::of(policy);
        if judge.concerns(call) { judge.judge(call) } else { Verdict::Pass }
    }

    #[test]
    fn each_scope_knows_its_calls() {
        let policy = |text: &str| -> Policy { serde_json::from_str(text).unwrap() };
        let endpoint = policy(
            r#"{"apiVersion":"apisec-top/1","kind":"Policy","metadata":{"name":"a"},"spec":{"scope":{"endpoint":
               {"service":"orders","method":"GET","path":"/admin/{any}"}}}}"#,
        );
        let meant = call("process:cart", "process:orders:80", "GET", "/admin/7");
        assert_eq!(judge(&endpoint, &meant), Verdict::Match);
        for (dst, method, path) in [
            ("process:other:80", "GET", "/admin/7"),
            ("process:orders:80", "PUT", "/admin/7"),
            ("process:orders:80", "GET", "/items/7"),
        ] {
            assert_eq!(judge(&endpoint, &call("process:cart", dst, method, path)), Verdict::Pass);
        }
        let unread = Call {
            notes: Notes::OPAQUE_FIELDS,
            ..call("process:cart", "process:orders:80", "GET", "/{opaque}")
        };
        assert_eq!(judge(&endpoint, &unread), Verdict::Undecided);
        let edge = draft::edge("process:cart", "10.0.0.2:80").unwrap();
        assert_eq!(judge(&edge, &meant), Verdict::Match);
        assert_eq!(judge(&draft::edge("process:web", "10.0.0.2").unwrap(), &meant), Verdict::Pass);
        let identity = |hash| draft::identity(hash, Some("orders")).unwrap();
        assert_eq!(judge(&identity("0000000000000007"), &meant), Verdict::Match);
        assert_eq!(judge(&identity("0000000000000008"), &meant), Verdict::Pass);
        let quarantine = |allow: &str| {
            policy(&format!(
                r#"{{"apiVersion":"apisec-top/1","kind":"Policy","metadata":{{"name":"q"}},"spec":{{"scope":
                   {{"quarantine":{{"workload":"orders","allow":[{allow}]}}}}}}}}"#
            ))
        };
        assert_eq!(judge(&quarantine(""), &meant), Verdict::Match);
        assert_eq!(judge(&quarantine("\"cart\""), &meant), Verdict::Pass);
    }
}
