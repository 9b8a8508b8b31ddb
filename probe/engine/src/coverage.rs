//! How much of a workload's traffic is read, and why the rest is not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A quantity by what could be made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shares {
    /// Read as it was on the wire.
    pub plaintext: u64,
    /// Read inside TLS.
    pub decrypted: u64,
    /// Not read.
    pub opaque: u64,
}

/// A connection of HTTP/2 that was open before us: fields that rest on what was said then cannot be read, until it is replaced by
/// another. Or a WebSocket: its path cannot, and kinds of compressed messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HalfReadView {
    /// Kernel cookie of the socket that is observed.
    pub connection: u64,
    /// Workload id of the caller.
    pub src: String,
    /// Workload id of the callee.
    pub dst: String,
    /// Address of the caller.
    pub client: String,
    /// Address of the callee.
    pub server: String,
    /// The observed socket is the callee's.
    pub at_server: bool,
    /// Calls of which some field is not known.
    pub calls: u64,
    /// The last of them, Unix nanoseconds.
    pub last_seen: u64,
}

/// What was read of one workload's traffic over one protocol, where it is the probed end: the server, or a client
/// whose server is elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageView {
    /// Workload id; empty for what is known of the whole node only.
    pub workload: String,
    /// Display name.
    pub name: String,
    /// As of a call; `tls` for what could not be read inside TLS, `tls-other` for what was and is not HTTP, `other` for what is
    /// neither, `quic`, `unix`, `ktls`.
    pub protocol: String,
    /// TLS library of the workload, empty when none is known.
    pub library: String,
    /// How it is probed: `emulated` (about 1 µs a hit), `stepped` (about 10 µs), empty when it is not.
    pub attached: String,
    /// Connections.
    pub connections: Shares,
    /// Bytes: of messages where they were read, of packets where they were not.
    pub bytes: Shares,
    /// Why a part is opaque, empty when none is.
    pub reason: String,
    /// Of how many connections that were read inside TLS the server's certificate is not known, and why; empty when it is of all.
    #[serde(default)]
    pub certificates: String,
    /// Plaintext bytes that were lost on their way.
    pub lost: u64,
}
