//! Binds programs to a map of sockets. Such a binding has no link: it lasts as long as somebody holds the map.

use super::table::Sockets;
use crate::enforce::EnforceError;
use aya::programs::ProgramFd;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

const PROG_ATTACH: libc::c_long = 8;

/// What a program does to the sockets of a map.
#[derive(Clone, Copy)]
pub(super) enum StreamHook {
    /// `BPF_SK_SKB_STREAM_PARSER`.
    Parser = 4,
    /// `BPF_SK_SKB_STREAM_VERDICT`.
    Verdict = 5,
}

/// The beginning of `union bpf_attr` for this command.
#[repr(C)]
struct Argument {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
    rest: [u32; 3],
}

/// Binds a program.
#[expect(unsafe_code, reason = "bpf(2) has no safe wrapper; the library's undoes it when it is dropped")]
pub(super) fn attach_to_map(
    program: &ProgramFd,
    map: &Sockets,
    hook: StreamHook,
) -> Result<(), EnforceError> {
    let argument = Argument {
        target: map.fd().as_fd().as_raw_fd() as u32,
        program: program.as_fd().as_raw_fd() as u32,
        kind: hook as u32,
        flags: 0,
        replaced: 0,
        rest: [0; 3],
    };
    // SAFETY: the argument is as long as we say and holds no addresses.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const argument, size_of::<Argument>()) };
    if result < 0 {
        return Err(EnforceError::refused(
            "a program cannot be bound to sockets",
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}
