//! Plaintext of TLS: probes in the libraries (`uprobe`), and the tracepoints that tell which socket a thread uses.
//!
//! Which files hold a TLS library and where in them the probes belong is not decided here: see [`crate::tls`].

use super::batch::Batches;
use super::{Hook, HookError, Place, btf, once};
use aya::Ebpf;
use aya::programs::uprobe::{UProbeLink, UProbeLinkId, UProbeScope};
use aya::programs::{RawTracePoint, UProbe};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
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
/// The same for writes, of sockets of every kind. A kernel older than 6.3 has none; sessions are then tied by reads alone, and
/// there is no figure of what unix sockets send, which is said where it would stand.
const SENDS: &str = "sock_send_length";
const IO: &str = "apisec_tls_io";
const SENT: &str = "apisec_sent";

/// Threads that take probes out. The kernel waits each time until nobody can be in the probe any more, up to a tenth of a
/// second; for many batches at once when they are let go at once.
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
    /// It returns.
    Shook,
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
    /// A library is asked something of a session.
    Asks,
    /// OpenSSL tells the protocol.
    Alpn,
    /// GnuTLS tells the protocol.
    GnuAlpn,
    /// GnuTLS tells the peer's certificates.
    GnuPeers,
    /// OpenSSL decodes a certificate.
    Decodes,
    /// OpenSSL encodes a certificate.
    Encodes,
    /// It has.
    Encoded,
}

impl Probe {
    /// Whether it runs when the function returns, wherever that is.
    pub(super) const fn is_at_return(self) -> bool {
        matches!(
            self,
            Self::ReadReturn
                | Self::WroteReturn
                | Self::RustlsTook
                | Self::Shook
                | Self::Alpn
                | Self::GnuAlpn
                | Self::GnuPeers
                | Self::Encoded
        )
    }
}

/// Every probe, with the name of its program.
pub(super) const PROGRAMS: [(Probe, &str); 22] = [
    (Probe::Call, "apisec_tls_call"),
    (Probe::CallEx, "apisec_tls_call_ex"),
    (Probe::Handshake, "apisec_tls_hands"),
    (Probe::Shook, "apisec_tls_shook"),
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
    (Probe::Asks, "apisec_tls_asks"),
    (Probe::Alpn, "apisec_tls_alpn"),
    (Probe::GnuAlpn, "apisec_tls_galpn"),
    (Probe::GnuPeers, "apisec_tls_peers"),
    (Probe::Decodes, "apisec_tls_d2i"),
    (Probe::Encodes, "apisec_tls_i2d"),
    (Probe::Encoded, "apisec_tls_i2dr"),
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
pub struct Links {
    batches: Vec<OwnedFd>,
    single: Vec<(Probe, UProbeLinkId)>,
}

/// What holds probes in a file until it is dropped.
#[expect(dead_code, reason = "it is only dropped")]
enum Held {
    Batch(OwnedFd),
    Single(UProbeLink),
}

fn attach(ebpf: &mut Ebpf, _: &Place) -> Result<(), HookError> {
    if btf::offsets().is_none_or(|offsets| offsets.sock.cookie == 0) {
        return Err(HookError::Unsuitable("the kernel does not describe its sockets (no BTF)"));
    }
    let io: &mut RawTracePoint = ebpf.program_mut(IO).ok_or(HookError::Missing(IO))?.try_into()?;
    io.load()?;
    io.attach(RECEIVES)?;
    let sent: &mut RawTracePoint = ebpf.program_mut(SENT).ok_or(HookError::Missing(SENT))?.try_into()?;
    sent.load()?;
    let _without = sent.attach(SENDS);
    Ok(())
}

/// Puts probes into a file: all of them, or none.
pub(super) fn probe(ebpf: &mut Ebpf, batches: Option<&Batches>, plan: &Plan) -> Result<Links, HookError> {
    match batches {
        Some(batches) => probe_by_batch(batches, plan),
        None => probe_one_by_one(ebpf, plan),
    }
}

fn probe_by_batch(batches: &Batches, plan: &Plan) -> Result<Links, HookError> {
    let mut places: BTreeMap<Probe, Vec<u64>> = BTreeMap::new();
    for (probe, offset) in &plan.sites {
        places.entry(*probe).or_default().push(*offset);
    }
    let put = |(probe, offsets): (&Probe, &Vec<u64>)| batches.put(*probe, &plan.file, offsets);
    let batches = places.iter().map(put).collect::<Result<_, _>>().map_err(HookError::NotPut)?;
    Ok(Links { batches, single: Vec::new() })
}

fn probe_one_by_one(ebpf: &mut Ebpf, plan: &Plan) -> Result<Links, HookError> {
    let mut links = Links::default();
    let path = format!("/proc/self/fd/{}", plan.file.as_raw_fd());
    for (probe, offset) in &plan.sites {
        let attached = program(ebpf, name(*probe)).and_then(|program| {
            once(program.load())?;
            Ok(program.attach(*offset, &path, UProbeScope::AllProcesses)?)
        });
        match attached {
            Ok(link) => links.single.push((*probe, link)),
            Err(error) => {
                for (probe, link) in links.single {
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
    let mut links: Vec<Held> = Vec::new();
    for Links { batches, single } in all {
        links.extend(batches.into_iter().map(Held::Batch));
        for (probe, id) in single {
            // One that is gone already is released.
            let link = program(ebpf, name(probe)).ok().and_then(|program| program.take_link(id).ok());
            links.extend(link.map(Held::Single));
        }
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
