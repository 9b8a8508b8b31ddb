//! HTTP over io_uring, both ends: no packaged HTTP program does its socket work through a ring, so this
//! fixture is ours. Connect, accept, send, receive and gathered writes all go through the ring.

use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

/// The head of every answer.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
/// Its body.
const BODY: &[u8] = b"{}";
/// Bytes of an answer.
pub const ANSWER: usize = HEAD.len() + BODY.len();
/// Where a request ends: none has a body.
const END: &[u8] = b"\r\n\r\n";

/// Whether this kernel lets us make a ring.
pub fn available() -> bool {
    IoUring::new(2).is_ok()
}

/// Answers `requests` requests of one connection.
///
/// # Errors
/// When the client leaves earlier.
pub fn serve(listener: &TcpListener, requests: usize) -> Result<()> {
    let mut ring = Ring::new()?;
    let (listening, null) = (Fd(listener.as_raw_fd()), std::ptr::null_mut());
    let accepted = ring.run(&opcode::Accept::new(listening, null, null.cast()).build())?;
    let stream = owned(accepted);
    let mut received = Vec::new();
    for _ in 0..requests {
        while !received.windows(END.len()).any(|window| window == END) {
            ring.receive(&stream, &mut received)?;
        }
        let end = received.windows(END.len()).position(|window| window == END).context("an end")?;
        received.drain(..end + END.len());
        ring.gather(&stream, [HEAD, BODY])?;
    }
    Ok(())
}

/// Sends every request of `requests` on one connection, each after the answer to the one before.
///
/// # Errors
/// When an answer is not what the server sends.
pub fn fetch(address: SocketAddrV4, requests: &[String]) -> Result<()> {
    let mut ring = Ring::new()?;
    let stream = socket()?;
    ring.connect(&stream, address)?;
    for request in requests {
        ring.send(&stream, request.as_bytes())?;
        let mut answer = Vec::new();
        while answer.len() < ANSWER {
            ring.receive(&stream, &mut answer)?;
        }
        ensure!(answer == [HEAD, BODY].concat(), "another answer: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// One operation at a time.
struct Ring(IoUring);

impl Ring {
    fn new() -> Result<Self> {
        Ok(Self(IoUring::new(2).context("make a ring")?))
    }

    /// Runs one operation to its end.
    #[expect(unsafe_code, reason = "the ring takes raw pointers")]
    fn run(&mut self, entry: &Entry) -> Result<i32> {
        // SAFETY: what the entry points to outlives this call, which waits for the completion.
        unsafe { self.0.submission().push(entry)? };
        self.0.submit_and_wait(1)?;
        let result = self.0.completion().next().context("no completion")?.result();
        if result < 0 { Err(io::Error::from_raw_os_error(-result).into()) } else { Ok(result) }
    }

    fn connect(&mut self, stream: &OwnedFd, address: SocketAddrV4) -> Result<()> {
        let target = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
            sin_zero: [0; 8],
        };
        let len = size_of_val(&target) as u32;
        let target = (&raw const target).cast();
        self.run(&opcode::Connect::new(Fd(stream.as_raw_fd()), target, len).build()).map(drop)
    }

    fn send(&mut self, stream: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let entry = opcode::Send::new(Fd(stream.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32);
            let sent = self.run(&entry.build())?;
            bytes = bytes.get(sent as usize..).unwrap_or_default();
        }
        Ok(())
    }

    /// Both parts in one gathered write: they are far smaller than the socket's buffer.
    fn gather(&mut self, stream: &OwnedFd, parts: [&[u8]; 2]) -> Result<()> {
        let vectors =
            parts.map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
        let entry = opcode::Writev::new(Fd(stream.as_raw_fd()), vectors.as_ptr(), vectors.len() as u32);
        let written = self.run(&entry.build())?;
        ensure!(written as usize == parts.concat().len(), "only {written} bytes were written");
        Ok(())
    }

    fn receive(&mut self, stream: &OwnedFd, into: &mut Vec<u8>) -> Result<()> {
        let mut buffer = [0; 4096];
        let entry = opcode::Recv::new(Fd(stream.as_raw_fd()), buffer.as_mut_ptr(), buffer.len() as u32);
        let read = self.run(&entry.build())?;
        ensure!(read > 0, "the connection ended");
        into.extend(buffer.iter().take(read as usize));
        Ok(())
    }
}

#[expect(unsafe_code, reason = "the kernel gives a number")]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

#[expect(unsafe_code, reason = "a socket that is not connected yet has no safe wrapper")]
fn socket() -> Result<OwnedFd> {
    // SAFETY: no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 { Err(io::Error::last_os_error().into()) } else { Ok(owned(descriptor)) }
}
