//! Rules about new connections as entries of the map `CONNECT`: one for each pair of caller and target.

use crate::enforce::EnforceError;
use crate::enforce::rule::{Caller, Connect, Target};
use apisec_abi::enforce::{ConnectKey, WHO_ANY, WHO_CGROUP, WHO_PROCESS};
use std::net::IpAddr;

/// Entries of one rule: a rule with more names single processes where it should name cgroups.
const MAX_ENTRIES: usize = 16_384;

/// The entries of a rule.
pub(super) fn entries(rule: &Connect) -> Result<Vec<ConnectKey>, EnforceError> {
    let anybody = [(WHO_ANY, 0)];
    let anywhere = [Target { addr: None, port: None, netns: 0 }];
    let from = rule.from.iter().map(who).collect::<Result<Vec<_>, _>>()?;
    let from = if from.is_empty() { &anybody[..] } else { &from };
    let to = if rule.to.is_empty() { &anywhere[..] } else { &rule.to };
    if rule.from.is_empty() && rule.to.is_empty() {
        return Err(EnforceError::Unable(
            "a rule that refuses every connection of the node is not made".into(),
        ));
    }
    if from.len().saturating_mul(to.len()) > MAX_ENTRIES {
        let what = format!("{} callers times {} targets are more than {MAX_ENTRIES}", from.len(), to.len());
        return Err(EnforceError::TooMuch(what));
    }
    Ok(to.iter().flat_map(|target| from.iter().map(|(who, id)| key(target, *who, *id))).collect())
}

pub(super) fn who(caller: &Caller) -> Result<(u8, u64), EnforceError> {
    match caller {
        Caller::Cgroup(id) => Ok((WHO_CGROUP, *id)),
        Caller::Process(pid) => Ok((WHO_PROCESS, u64::from(*pid))),
        Caller::Address(_) => {
            let what = "connections that come from elsewhere cannot be refused here by their address";
            Err(EnforceError::Unable(what.into()))
        }
    }
}

pub(super) fn key(target: &Target, who: u8, from: u64) -> ConnectKey {
    ConnectKey {
        addr: target.addr.map_or([0; 16], octets),
        from,
        netns: target.netns,
        port: target.port.unwrap_or_default(),
        who,
        pad: [0; 5],
    }
}

/// An address as the kernel programs see it: IPv4 as mapped.
pub(super) fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_abi::enforce::{SHAPE_ADDR, SHAPE_PORT, shape};

    #[test]
    fn each_caller_meets_each_target() {
        let to = vec![
            Target::new("10.0.0.1".parse().unwrap(), 80),
            Target { addr: None, port: Some(443), netns: 0 },
        ];
        let rule = Connect { from: vec![Caller::Cgroup(7), Caller::Process(9)], to };
        let keys = entries(&rule).unwrap();
        assert_eq!(keys.len(), 4);
        assert_eq!(shape(&keys[0]), u32::from(WHO_CGROUP) * 8 + SHAPE_ADDR + SHAPE_PORT);
        assert_eq!(shape(&keys[3]), u32::from(WHO_PROCESS) * 8 + SHAPE_PORT);
        assert_eq!(keys[0].addr, octets("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_would_cut_the_whole_node_is_not_made() {
        assert!(matches!(entries(&Connect::default()), Err(EnforceError::Unable(_))));
        let from = vec![Caller::Address("10.0.0.1".parse().unwrap())];
        assert!(matches!(entries(&Connect { from, to: vec![] }), Err(EnforceError::Unable(_))));
        let from = (1..=200).map(Caller::Process).collect();
        let to = (1..=200).map(|port| Target { addr: None, port: Some(port), netns: 0 }).collect();
        assert!(matches!(entries(&Connect { from, to }), Err(EnforceError::TooMuch(_))));
    }
}
