//! Plaintext of TLS: probes in the libraries (`uprobe`), and the tracepoints that tell which socket a thread uses.
//!
//! Which files hold a TLS library and where in them the probes belong is not decided here: see [`crate::tls`].

use super::{Hook, HookError, Place, btf};
use aya::Ebpf;
use aya::programs::uprobe::{UProbeLinkId, UProbeScope};
use aya::programs::{RawTracePoint, UProbe};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::thread;

/// See the module.
pub const HOOK: Hook = Hook {
    name: "tls",
    purpose: "reads the plaintext at the edge of TLS libraries (uprobes, tcp_rcv_space_adjust)",
    without: "calls inside TLS cannot be seen",
    required: false,
    attach,
};

/// Tracepoints whose first argument is the socket that the current thread reads.
const RECEIVES: &str = "tcp_rcv_space_adjust";
/// The same for writes: the newer ones first. A kernel older than 6.3 has none; sessions are then tied by reads alone.
const SENDS: [&str; 2] = ["sock_send_length", "tcp_sendmsg_locked"];
const IO: &str = "apisec_tls_io";
/// Counts what unix sockets send, on kernels that tell.
const UNIX: &str = "apisec_unix_sent";

/// Threads that take probes out. The kernel waits each time until nobody can be in the probe any more, up to a tenth of a
/// second; one after the other, a node with many libraries took a minute to let go.
const RELEASERS: usize = 64;

/// A kernel program for one kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// The call of a function that returns a length.
    Call,
    /// The call of a function that returns success and stores a length.
    CallEx,
    /// The call of a handshake.
    Handshake,
    /// The session is given up.
    Free,
    /// A read has its result.
    Read,
    /// A write has its result.
    Wrote,
    /// A read returns.
    ReadReturn,
    /// A write returns.
    WroteReturn,
    /// A call in Go.
    GoCall,
    /// A `ret` of Go's read.
    GoRead,
    /// A `ret` of Go's write.
    GoWrote,
    /// rustls has decrypted a record.
    RustlsRead,
    /// rustls is given plaintext.
    RustlsWrite,
    /// It has taken some of it.
    RustlsTook,
}

/// Every probe, with the name of its program.
const PROGRAMS: [(Probe, &str); 14] = [
    (Probe::Call, "apisec_tls_call"),
    (Probe::CallEx, "apisec_tls_call_ex"),
    (Probe::Handshake, "apisec_tls_hands"),
    (Probe::Free, "apisec_tls_free"),
    (Probe::Read, "apisec_tls_read"),
    (Probe::Wrote, "apisec_tls_wrote"),
    (Probe::ReadReturn, "apisec_tls_readr"),
    (Probe::WroteReturn, "apisec_tls_wroter"),
    (Probe::GoCall, "apisec_tls_gocal"),
    (Probe::GoRead, "apisec_tls_gorea"),
    (Probe::GoWrote, "apisec_tls_gowro"),
    (Probe::RustlsRead, "apisec_tls_rured"),
    (Probe::RustlsWrite, "apisec_tls_ruwro"),
    (Probe::RustlsTook, "apisec_tls_rutak"),
];

/// Where in a file probes belong.
#[derive(Debug)]
pub struct Plan {
    /// The file itself, held open: whatever is at its path later, or in whatever mount namespace, it is this one.
    pub file: File,
    /// Offsets in the file.
    pub sites: Vec<(Probe, u64)>,
}

/// Probes that are in a file.
#[derive(Debug, Default)]
pub struct Links(Vec<(Probe, UProbeLinkId)>);

fn attach(ebpf: &mut Ebpf, _: &Place) -> Result<(), HookError> {
    if btf::offsets().is_none_or(|offsets| offsets.sock.cookie == 0) {
        return Err(HookError::Unsuitable("the kernel does not describe its sockets (no BTF)"));
    }
    for (_, name) in PROGRAMS {
        program(ebpf, name)?.load()?;
    }
    let io: &mut RawTracePoint = ebpf.program_mut(IO).ok_or(HookError::Missing(IO))?.try_into()?;
    io.load()?;
    io.attach(RECEIVES)?;
    let _sends = SENDS.into_iter().any(|name| io.attach(name).is_ok());
    let unix: &mut RawTracePoint = ebpf.program_mut(UNIX).ok_or(HookError::Missing(UNIX))?.try_into()?;
    unix.load()?;
    // Without it there is no figure, which is said where it would stand.
    let _uncounted = unix.attach(SENDS[0]);
    Ok(())
}

/// Puts probes into a file: all of them, or none.
pub(super) fn probe(ebpf: &mut Ebpf, plan: &Plan) -> Result<Links, HookError> {
    let mut links = Links::default();
    let path = format!("/proc/self/fd/{}", plan.file.as_raw_fd());
    for (probe, offset) in &plan.sites {
        let attached = program(ebpf, name(*probe))
            .and_then(|program| Ok(program.attach(*offset, &path, UProbeScope::AllProcesses)?));
        match attached {
            Ok(link) => links.0.push((*probe, link)),
            Err(error) => {
                for (probe, link) in links.0 {
                    // What is not detached now goes with the process.
                    let _later = program(ebpf, name(probe)).map(|program| program.detach(link));
                }
                return Err(error);
            }
        }
    }
    Ok(links)
}

/// Takes all probes out.
pub(super) fn release(ebpf: &mut Ebpf, all: impl Iterator<Item = Links>) {
    let mut links = Vec::new();
    for (probe, id) in all.flat_map(|links| links.0) {
        // One that is gone already is released.
        links.extend(program(ebpf, name(probe)).ok().and_then(|program| program.take_link(id).ok()));
    }
    let share = links.len().div_ceil(RELEASERS).max(1);
    thread::scope(|scope| {
        while !links.is_empty() {
            let part = links.split_off(links.len().saturating_sub(share));
            // Without a thread they are dropped here and now.
            let _joined = thread::Builder::new().spawn_scoped(scope, move || drop(part));
        }
    });
}

fn name(probe: Probe) -> &'static str {
    PROGRAMS.iter().find(|(known, _)| *known == probe).map_or("", |(_, name)| name)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut UProbe, HookError> {
    Ok(ebpf.program_mut(name).ok_or(HookError::Missing(name))?.try_into()?)
}
