//! A netlink conversation: one request, all of its answers. Parses frames, not what is in them.

use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::AsRawFd;

/// `NETLINK_ROUTE`.
pub(super) const ROUTE: isize = 0;
/// `NETLINK_SOCK_DIAG`.
pub(crate) const SOCK_DIAG: isize = 4;

/// The kernel never builds a larger datagram for a dump.
const DATAGRAM: usize = 64 * 1024;
const HEADER: usize = 16;
const ALIGN: usize = 4;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const MULTI: u16 = 2;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;

/// A netlink socket, of the network namespace in which it was opened.
pub(crate) struct Netlink {
    socket: Socket,
    datagram: Vec<u8>,
}

impl Netlink {
    /// A conversation with the subsystem `protocol` in the calling thread's network namespace.
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, datagram: vec![0; DATAGRAM] })
    }

    /// Asks for everything that matches `body` and gives every answer's payload to `each`.
    pub(super) fn dump(&mut self, kind: u16, body: &[u8], each: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(kind, REQUEST | DUMP, body, each)
    }

    /// Asks for one object; `NotFound` when there is none.
    pub(super) fn get(&mut self, kind: u16, body: &[u8], each: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(kind, REQUEST, body, each)
    }

    /// Asks for something to be done, and waits for the kernel's word.
    pub(super) fn order(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.ask(kind, REQUEST | ACK, body, |_| ())
    }

    fn ask(&mut self, kind: u16, flags: u16, body: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.socket.send(&frame(kind, flags, body), 0)?;
        loop {
            let filled = self.socket.recv(&mut &mut self.datagram[..], 0)?;
            if read_datagram(self.datagram.get(..filled).unwrap_or_default(), &mut each)? {
                return Ok(());
            }
        }
    }
}

fn frame(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    frame.extend(kind.to_ne_bytes());
    frame.extend(flags.to_ne_bytes());
    frame.extend([0; 8]);
    frame.extend(body);
    frame
}

/// Walks the messages of one datagram; true when the conversation is over.
fn read_datagram(mut rest: &[u8], each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    let mut last = true;
    while let Some((length, kind, flags)) = header(rest) {
        let payload = rest.get(HEADER..length).unwrap_or_default();
        match kind {
            DONE => return Ok(true),
            ERROR => return outcome(payload),
            _ => each(payload),
        }
        last = flags & MULTI == 0;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(last)
}

fn header(bytes: &[u8]) -> Option<(usize, u16, u16)> {
    let length = u32_at(bytes, 0)? as usize;
    let sane = (HEADER..=bytes.len()).contains(&length);
    sane.then_some(())?;
    Some((length, u16_at(bytes, 4)?, u16_at(bytes, 6)?))
}

fn outcome(payload: &[u8]) -> io::Result<bool> {
    match u32_at(payload, 0).map(|code| (code as i32).wrapping_neg()) {
        Some(0) => Ok(true),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The attributes behind a fixed structure: type and value.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const HEAD: usize = 4;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)?;
        let value = rest.get(HEAD..length)?;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The native-order integer at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The native-order integer at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The cookie of the network namespace of a socket (`SO_NETNS_COOKIE`, Linux 5.14); 0 where unknown.
#[expect(unsafe_code, reason = "getsockopt has no safe wrapper for this option")]
pub(crate) fn netns_cookie(netlink: &Netlink) -> u64 {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor lives as long as `netlink`; the kernel writes at most `length` bytes.
    let code = unsafe {
        libc::getsockopt(
            netlink.socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if code == 0 { cookie } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = frame(kind, flags, body);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        bytes
    }

    #[test]
    fn a_datagram_holds_many_messages_and_ends_at_done() {
        let bytes = [message(20, MULTI, b"abcde"), message(20, MULTI, b"f"), message(DONE, MULTI, &[0; 4])];
        let mut seen = Vec::new();
        let over = read_datagram(&bytes.concat(), &mut |payload| seen.push(payload.to_vec())).unwrap();
        assert!(over);
        assert_eq!(seen, [b"abcde".to_vec(), b"f".to_vec()]);
    }

    #[test]
    fn a_datagram_without_done_asks_for_more() {
        assert!(!read_datagram(&message(20, MULTI, b"abcd"), &mut |_| ()).unwrap());
    }

    #[test]
    fn an_error_keeps_its_number() {
        let bytes = message(ERROR, 0, &(-libc::ENOENT).to_ne_bytes());
        let error = read_datagram(&bytes, &mut |_| ()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn attributes_that_lie_about_their_length_end_the_walk() {
        let bytes = [6, 0, 1, 0, 7, 8, 0, 0, 255, 255, 2, 0];
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(1, &[7, 8][..])]);
        assert_eq!(attributes(&[3, 0, 1, 0, 9]).count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _outcome = read_datagram(&bytes, &mut |payload| { attributes(payload).count(); });
        }
    }
}
