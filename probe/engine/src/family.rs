//! What kind of caller somebody is, whichever replica and whichever address.

use crate::baseline::OUTSIDE;
use crate::endpoint::is_external;
use std::net::{IpAddr, SocketAddr};

/// What replicas of one workload have in common: the id without port, number and random suffix.
#[must_use]
pub fn family(id: &str) -> &str {
    let id = id
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(id, |(id, _)| id);
    let random =
        |part: &str| (4..=10).contains(&part.len()) && part.bytes().any(|byte| byte.is_ascii_digit());
    let id = id.rsplit_once('-').filter(|(_, suffix)| random(suffix)).map_or(id, |(id, _)| id);
    id.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_'])
}

/// Who is inside, and of what kind they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Everybody is known by address only, as in a captured file: then private addresses are inside, and each is somebody.
    pub of_addresses: bool,
}

impl Kinds {
    /// Whether a workload is one of ours.
    #[must_use]
    pub fn is_inside(self, id: &str) -> bool {
        !is_external(id) || (self.of_addresses && !is_elsewhere(id))
    }

    /// Its family; [`OUTSIDE`] of those whose addresses come and go.
    #[must_use]
    pub fn of(self, id: &str) -> &str {
        match (is_external(id), self.is_inside(id)) {
            (false, _) => family(id),
            (true, true) => id,
            (true, false) => OUTSIDE,
        }
    }
}

/// Whether a workload is neither of a probed node nor of a private network.
#[must_use]
pub fn is_elsewhere(id: &str) -> bool {
    let Some(address) = id.strip_prefix("external:") else { return false };
    let host = address.parse().or_else(|_| address.parse::<SocketAddr>().map(|address| address.ip()));
    match host.map(|ip: IpAddr| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => !(ip.is_private() || ip.is_loopback()),
        Ok(IpAddr::V6(ip)) => !(ip.is_unique_local() || ip.is_loopback()),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_of_one_family() {
        assert_eq!(family("pod:shop/web-7d9f8b6c5-x2k4q"), family("pod:shop/web-7d9f8b6c5-9z1ab"));
        assert_eq!(family("process:orders:81"), "process:orders");
        assert_eq!(Kinds::default().of("external:10.0.0.7"), OUTSIDE);
    }

    #[test]
    fn in_a_captured_file_private_addresses_are_inside() {
        let kinds = Kinds { of_addresses: true };
        assert_eq!(kinds.of("external:10.0.0.7"), "external:10.0.0.7");
        assert_eq!(kinds.of("external:192.0.2.7"), OUTSIDE);
        assert!(is_elsewhere("external:192.0.2.7:80") && is_elsewhere("external:drop.example"));
        assert!(!is_elsewhere("external:10.0.0.7") && !is_elsewhere("external:[fd00::1]:80"));
    }
}
