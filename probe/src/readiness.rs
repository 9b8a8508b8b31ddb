//! Tells whoever started us that everything is attached, as services tell systemd (`Type=notify`, sd_notify(3)): from then
//! on no call is missed because we came late. Nobody who does not ask for it is told.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever wants to be told names a socket here.
const ASKED: &str = "NOTIFY_SOCKET";

/// Tells it.
pub fn tell() {
    if let Some(socket) = env::var_os(ASKED) {
        // Who does not listen any more misses it.
        let _unheard = send(socket.as_bytes());
    }
}

/// A path, or `@` and an abstract name.
fn send(socket: &[u8]) -> io::Result<()> {
    let address = match socket.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(socket))?,
    };
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    own.send_to_addr(b"READY=1", &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let name = format!("apisec-ready-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let by_path = UnixDatagram::bind(&path).unwrap();
        send(format!("@{name}").as_bytes()).unwrap();
        send(path.as_os_str().as_bytes()).unwrap();
        for socket in [by_name, by_path] {
            let mut told = [0; 16];
            let len = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..len], b"READY=1");
        }
        assert!(send(b"/nobody/there").is_err() && send(&[b'x'; 400]).is_err());
    }
}
