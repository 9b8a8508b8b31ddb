//! Services that read their connections in blocking calls. While a kernel looks into the requests of a connection, such a
//! call is told EAGAIN now and then (tried: Python's http.server loses most of its connections), and no program that
//! reads so expects it. So rules about their requests are not made unless somebody insists.
//!
//! Known by the sockets that are there: of a service that listens without blocking and has no connection yet, nothing is.

use super::connect::octets;
use super::open;
use crate::enforce::rule::{Rule, Target};
use crate::identity::process;
use apisec_abi::enforce::ServiceKey;
use std::collections::HashSet;

/// The first process that reads connections of a service of these rules so: its number and its name.
#[must_use]
pub fn blocking(rules: &[Rule]) -> Option<(u32, String)> {
    let services: Vec<&Target> = rules.iter().flat_map(service).collect();
    if services.is_empty() {
        return None;
    }
    let wanted = |key: &ServiceKey| services.iter().any(|target| is_at(target, key));
    let sockets = open::established(wanted).into_iter().chain(open::listening(wanted));
    let inodes: HashSet<u64> = sockets.map(|socket| socket.inode).filter(|inode| *inode != 0).collect();
    let mut found = None;
    open::descriptors(|pid, number, inode| {
        if inodes.contains(&inode) && blocks(pid, number) {
            found = Some(pid);
        }
        found.is_none()
    });
    found.map(|pid| (pid, name(pid)))
}

fn service(rule: &Rule) -> &[Target] {
    match rule {
        Rule::Request(request) => &request.service,
        Rule::Rate(rate) => &rate.request.service,
        Rule::Connect(_) | Rule::Quarantine(_) => &[],
    }
}

fn is_at(target: &Target, key: &ServiceKey) -> bool {
    let anywhere = |addr: std::net::IpAddr| addr.is_unspecified();
    // What listens at every address listens at this one too.
    let open = std::net::IpAddr::from(key.addr).to_canonical().is_unspecified();
    target.port == Some(key.port)
        && (target.netns == 0 || target.netns == key.netns)
        && (open || target.addr.is_none_or(|addr| anywhere(addr) || octets(addr) == key.addr))
}

/// Whether reads of a descriptor wait.
pub(super) fn blocks(pid: u32, number: i32) -> bool {
    let about = process::read_bounded(&format!("/proc/{pid}/fdinfo/{number}"), 4_096).unwrap_or_default();
    let about = String::from_utf8_lossy(&about);
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & libc::O_NONBLOCK == 0)
}

fn name(pid: u32) -> String {
    let comm = process::read_bounded(&format!("/proc/{pid}/comm"), 64).unwrap_or_default();
    String::from_utf8_lossy(&comm).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::rule::{Case, Pattern, Request};
    use std::net::TcpListener;

    #[test]
    fn a_listener_that_blocks_is_found_and_another_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let request = Request {
            service: vec![Target::new(address.ip(), address.port())],
            method: None,
            path: Pattern::default(),
            case: Case::Sensitive,
            from: vec![],
            fail_closed: false,
        };
        let rules = [Rule::Request(request)];
        assert_eq!(blocking(&rules).map(|(pid, _)| pid), Some(std::process::id()));
        listener.set_nonblocking(true).unwrap();
        assert_eq!(blocking(&rules), None);
        assert_eq!(blocking(&[]), None);
    }
}
