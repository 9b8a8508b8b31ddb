//! Closes one TCP connection, in whatever network namespace of this node its socket is.
//!
//! By SOCK_DESTROY of sock_diag, with the socket's cookie: a connection that has taken over the same addresses meanwhile is
//! another socket, and stays. Decides nothing, asks nobody, keeps no record: that is the caller's.

use crate::identity::namespace::{Traveller, doors};
use crate::identity::netlink::{Netlink, SOCK_DIAG};
use crate::identity::{process, socket};
use std::io;
use std::net::SocketAddr;
use thiserror::Error;

/// One socket of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its own address; an IPv4-mapped one as IPv4.
    pub local: SocketAddr,
    /// Its peer.
    pub remote: SocketAddr,
    /// Its kernel cookie; `u64::MAX` for whatever socket has these addresses.
    pub cookie: u64,
}

/// Why a connection was not closed.
#[derive(Debug, Error)]
pub enum SeverError {
    /// It has ended by itself, or another has taken its place.
    #[error("the connection is gone already")]
    Gone,
    /// The kernel cannot do it.
    #[error("this kernel cannot close sockets (it was built without CONFIG_INET_DIAG_DESTROY)")]
    Unable,
    /// We may not.
    #[error("closing a socket needs CAP_NET_ADMIN in its network namespace")]
    Forbidden,
    /// Something else.
    #[error("the kernel did not close it: {0}")]
    Other(io::Error),
}

impl SeverError {
    /// What to do about it; empty when there is nothing.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unable => {
                "restart the client or the server of that connection, or use a kernel with this option"
            }
            Self::Forbidden => "run as root",
            Self::Gone | Self::Other(_) => "",
        }
    }
}

/// Closes `target`; waits for the kernel, not for the peer.
///
/// # Errors
/// See [`SeverError`].
pub fn sever(target: Target) -> Result<(), SeverError> {
    // A thread of its own: one that is lost in another namespace must not come back.
    let done = std::thread::Builder::new().name("apisec-sever".into()).spawn(move || everywhere(target));
    done.map_err(SeverError::Other)?
        .join()
        .unwrap_or_else(|_| Err(SeverError::Other(io::ErrorKind::Other.into())))
}

/// Tries our own namespace, then all others.
fn everywhere(target: Target) -> Result<(), SeverError> {
    let here = here(target);
    if !matches!(here, Err(SeverError::Gone)) {
        return here;
    }
    let mut traveller = Traveller::here();
    let own = traveller.own();
    for (inode, door) in doors(&process::all_pids(), true) {
        if inode == own {
            continue;
        }
        // A namespace that is gone, or that we may not enter, does not hold it for us.
        match traveller.inside(inode, &door, || self::here(target)) {
            Ok(Err(SeverError::Gone)) | Err(_) => {}
            Ok(outcome) => return outcome,
        }
        if traveller.stranded() {
            break;
        }
    }
    Err(SeverError::Gone)
}

fn here(target: Target) -> Result<(), SeverError> {
    let mut netlink = Netlink::open(SOCK_DIAG).map_err(SeverError::Other)?;
    socket::destroy(&mut netlink, target.local, target.remote, target.cookie).map_err(why)
}

fn why(error: io::Error) -> SeverError {
    match error.raw_os_error() {
        // ESTALE: another cookie.
        Some(libc::ENOENT | libc::ESTALE) => SeverError::Gone,
        Some(libc::EOPNOTSUPP) => SeverError::Unable,
        Some(libc::EPERM | libc::EACCES) => SeverError::Forbidden,
        _ => SeverError::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    /// Both ends of a connection, with what identifies the accepted one.
    fn pair() -> (TcpStream, TcpStream, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, remote) = listener.accept().unwrap();
        let cookie = rustix::net::sockopt::socket_cookie(&server).unwrap();
        let target = Target { local: server.local_addr().unwrap(), remote, cookie };
        (client, server, target)
    }

    #[test]
    fn the_peer_hears_of_it_and_nobody_else() {
        let (mut client, _server, target) = pair();
        let (mut other, mut accepted, _) = pair();
        match sever(target) {
            Err(error @ (SeverError::Unable | SeverError::Forbidden)) => return println!("SKIPPED: {error}"),
            outcome => outcome.unwrap(),
        }
        let reset = client.read(&mut [0; 8]).unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        assert!(matches!(sever(target), Err(SeverError::Gone)));
        io::Write::write_all(&mut other, b"alive").unwrap();
        accepted.read_exact(&mut [0; 5]).unwrap();
    }

    #[test]
    fn another_socket_at_the_same_addresses_stays() {
        let (mut client, mut server, target) = pair();
        let outcome = sever(Target { cookie: target.cookie ^ 1, ..target });
        assert!(
            matches!(outcome, Err(SeverError::Gone | SeverError::Unable | SeverError::Forbidden)),
            "{outcome:?}"
        );
        io::Write::write_all(&mut client, b"alive").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
    }
}
