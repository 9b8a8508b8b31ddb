//! TCP sockets as `sock_diag` shows them, in the network namespace of the calling thread.

use super::netlink::{Netlink, SOCK_DIAG, attributes, u16_at, u32_at};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
const AF_INET: u8 = libc::AF_INET as u8;
const AF_INET6: u8 = libc::AF_INET6 as u8;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// `INET_DIAG_NOCOOKIE`, twice.
const ANY_COOKIE: u64 = u64::MAX;
const ATTRIBUTE_V6ONLY: u16 = 11;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Its own address; IPv4-mapped addresses are given as IPv4.
    pub(crate) local: SocketAddr,
    /// Its peer, port 0 for a listener.
    pub(crate) remote: SocketAddr,
    /// Inode in sockfs, 0 when no process holds it.
    pub(crate) inode: u64,
    /// Kernel socket cookie.
    pub(crate) cookie: u64,
    /// An IPv6 socket that does not take IPv4.
    pub(super) v6only: bool,
}

/// All listening sockets of this namespace.
pub(crate) fn listening(each: impl FnMut(Socket)) -> io::Result<()> {
    dump(LISTEN, each)
}

/// All established sockets of this namespace.
pub(crate) fn established(each: impl FnMut(Socket)) -> io::Result<()> {
    dump(ESTABLISHED, each)
}

fn dump(state: u8, mut each: impl FnMut(Socket)) -> io::Result<()> {
    let mut netlink = Netlink::open(SOCK_DIAG)?;
    for family in [AF_INET, AF_INET6] {
        let request = request(family, state, None, ANY_COOKIE);
        netlink.dump(BY_FAMILY, &request, |payload| {
            if let Some(socket) = parse(payload) {
                each(socket);
            }
        })?;
    }
    Ok(())
}

/// The socket of this namespace that is connected from `local` to `remote`.
pub(super) fn connected(
    netlink: &mut Netlink,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<Option<Socket>> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut found = None;
    let outcome =
        netlink.get(BY_FAMILY, &request(family, ESTABLISHED, Some((local, remote)), ANY_COOKIE), |payload| {
            // The kernel answers with a listener when no connection matches.
            found = parse(payload).filter(|socket| socket.remote == remote);
        });
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(|()| found),
    }
}

/// Closes the socket of this namespace that is connected from `local` to `remote`, if it has this cookie: its peer is told by a
/// reset, its program by ECONNABORTED.
pub(crate) fn destroy(
    netlink: &mut Netlink,
    local: SocketAddr,
    remote: SocketAddr,
    cookie: u64,
) -> io::Result<()> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    netlink.order(DESTROY, &request(family, ESTABLISHED, Some((local, remote)), cookie))
}

/// `struct inet_diag_req_v2`.
fn request(family: u8, state: u8, pair: Option<(SocketAddr, SocketAddr)>, cookie: u64) -> Vec<u8> {
    let mut body = vec![family, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend((1_u32 << state).to_ne_bytes());
    let Some((local, remote)) = pair else {
        body.resize(body.len() + 48, 0);
        return body;
    };
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    body.extend(address_words(local.ip()));
    body.extend(address_words(remote.ip()));
    body.extend([0; 4]);
    body.extend((cookie as u32).to_ne_bytes());
    body.extend(((cookie >> 32) as u32).to_ne_bytes());
    body
}

fn address_words(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn parse(message: &[u8]) -> Option<Socket> {
    let family = *message.first()?;
    let attached = message.get(MESSAGE..)?;
    let cookie = u64::from(u32_at(message, 44)?) | u64::from(u32_at(message, 48)?) << 32;
    Some(Socket {
        local: SocketAddr::new(address(family, message.get(8..)?)?, u16::from_be(u16_at(message, 4)?)),
        remote: SocketAddr::new(address(family, message.get(24..)?)?, u16::from_be(u16_at(message, 6)?)),
        inode: u64::from(u32_at(message, 68)?),
        cookie,
        v6only: attributes(attached)
            .any(|(kind, value)| kind == ATTRIBUTE_V6ONLY && value.first() == Some(&1)),
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn own_sockets_are_found_by_dump_and_by_tuple() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server_addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(server_addr).unwrap();
        let (accepted, client_addr) = listener.accept().unwrap();

        let mut seen = None;
        listening(|socket| {
            if socket.local == server_addr {
                seen = Some(socket);
            }
        })
        .unwrap();
        assert_eq!(seen.unwrap().remote.port(), 0);

        let mut both = 0;
        established(|socket| {
            both += u32::from(socket.local == server_addr || socket.remote == server_addr);
        })
        .unwrap();
        assert_eq!(both, 2);

        let mut netlink = Netlink::open(SOCK_DIAG).unwrap();
        let found = connected(&mut netlink, server_addr, client_addr).unwrap().unwrap();
        assert_eq!(found.cookie, rustix::net::sockopt::socket_cookie(&accepted).unwrap());
        let reverse = connected(&mut netlink, client_addr, server_addr).unwrap().unwrap();
        assert_eq!(reverse.cookie, rustix::net::sockopt::socket_cookie(&client).unwrap());
        let nobody = SocketAddr::new(server_addr.ip(), 1);
        assert_eq!(connected(&mut netlink, server_addr, nobody).unwrap(), None);
    }

    #[test]
    fn a_mapped_socket_is_found_by_its_ipv4_addresses() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            println!("SKIPPED: no IPv6 here");
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _accepted = listener.accept().unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let mut netlink = Netlink::open(SOCK_DIAG).unwrap();
        let found = connected(&mut netlink, server, client.local_addr().unwrap()).unwrap().unwrap();
        assert_eq!(found.local, server);
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120)) {
            let _socket = parse(&bytes);
        }
    }
}
