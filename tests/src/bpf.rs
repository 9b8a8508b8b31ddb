//! The bpf(2) commands that the fixtures need, on plain descriptors: what a program of somebody else would do.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `BPF_MAP_CREATE`.
pub const MAP_CREATE: u32 = 0;
/// `BPF_MAP_LOOKUP_ELEM`.
pub const MAP_LOOKUP: u32 = 1;
/// `BPF_PROG_LOAD`.
pub const PROG_LOAD: u32 = 5;
/// `BPF_PROG_ATTACH`.
pub const PROG_ATTACH: u32 = 8;
/// `BPF_PROG_DETACH`.
pub const PROG_DETACH: u32 = 9;
/// `BPF_PROG_GET_FD_BY_ID`.
pub const PROG_BY_ID: u32 = 13;
/// `BPF_MAP_GET_FD_BY_ID`.
pub const MAP_BY_ID: u32 = 14;
/// `BPF_LINK_CREATE`.
pub const LINK_CREATE: u32 = 28;
/// `BPF_LINK_GET_FD_BY_ID`.
pub const LINK_BY_ID: u32 = 30;

/// Words of the largest argument here.
const WORDS: usize = 18;

/// The argument of a command: 32-bit words at their place in `union bpf_attr`.
#[derive(Debug, Default)]
#[repr(C, align(8))]
pub struct Argument([u32; WORDS]);

impl Argument {
    /// An argument that begins with `words`.
    pub fn of(words: &[u32]) -> Self {
        let mut argument = Self::default();
        argument.0.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        argument
    }

    /// Puts an address at a word.
    pub fn point<T>(mut self, word: usize, target: *const T) -> Self {
        let address = (target as u64).to_ne_bytes();
        for (half, to) in self.0.iter_mut().skip(word).take(2).enumerate() {
            let bytes = address.iter().skip(half * 4).take(4).copied();
            *to = u32::from_ne_bytes(bytes.collect::<Vec<_>>().try_into().unwrap_or_default());
        }
        self
    }
}

/// Runs a command.
///
/// # Errors
/// With what the kernel says.
#[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
pub fn command(command: u32, argument: &Argument) -> io::Result<i32> {
    // SAFETY: the argument is as long as we say; what it points to outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *argument, size_of::<Argument>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Runs a command that makes a descriptor.
///
/// # Errors
/// With what the kernel says.
#[expect(unsafe_code, reason = "the kernel gives a number")]
pub fn open(what: u32, argument: &Argument) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just made this descriptor for us.
    command(what, argument).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor as a word of an argument.
pub fn word(fd: &impl AsRawFd) -> u32 {
    fd.as_raw_fd() as u32
}
