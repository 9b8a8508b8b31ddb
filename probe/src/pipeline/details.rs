//! Which calls keep their fields and have their bodies looked into: so many a second, errors beyond that, and a few of every
//! server however busy the others are, so that nobody's API goes unread behind a neighbour's load.

use std::net::{IpAddr, SocketAddr};

/// Calls per second that keep their fields for the inspector.
const PER_SECOND: u32 = 200;
/// Errors per second that do so in addition.
const ERRORS_PER_SECOND: u32 = 200;
/// Calls per second of quiet servers that do so in addition...
const QUIET_PER_SECOND: u32 = 64;
/// ...so many of one server. Its first calls are enough for an endpoint or two.
const PER_SERVER: u8 = 4;
/// Places for counting by server; servers that share one share what is theirs.
const PLACES: usize = 256;

/// How many more calls of this second keep their fields.
pub(super) struct Details {
    any: u32,
    errors: u32,
    quiet: u32,
    by_server: [u8; PLACES],
}

impl Default for Details {
    fn default() -> Self {
        Self { any: PER_SECOND, errors: ERRORS_PER_SECOND, quiet: QUIET_PER_SECOND, by_server: [0; PLACES] }
    }
}

impl Details {
    /// Takes one for a call of `server`, if there is one.
    pub(super) fn grant(&mut self, failed: bool, server: SocketAddr) -> bool {
        let Some(had) = self.by_server.get_mut(place(server)) else { return false };
        let granted = take(&mut self.any)
            || (failed && take(&mut self.errors))
            || (*had < PER_SERVER && take(&mut self.quiet));
        *had = had.saturating_add(u8::from(granted));
        granted
    }
}

fn take(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn place(server: SocketAddr) -> usize {
    let host = match server.ip() {
        IpAddr::V4(ip) => ip.to_bits(),
        // The part that tells hosts of one network apart.
        IpAddr::V6(ip) => (ip.to_bits() & u128::from(u32::MAX)) as u32,
    };
    (host ^ host >> 8 ^ u32::from(server.port())) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_busy_server_leaves_something_for_the_others() {
        let mut details = Details::default();
        let granted = (0..10_000).filter(|_| details.grant(false, server(80))).count();
        assert_eq!(granted, PER_SECOND as usize);
        assert!(details.grant(true, server(80)), "an error is still wanted");
        let granted = (0..10).filter(|_| details.grant(false, server(8081))).count();
        assert_eq!(granted, usize::from(PER_SERVER));
    }

    #[test]
    fn many_servers_have_a_bound_too() {
        let mut details = Details::default();
        let granted = (0..60_000).filter(|port| details.grant(false, server(*port))).count();
        assert_eq!(granted, (PER_SECOND + QUIET_PER_SECOND) as usize);
    }
}
