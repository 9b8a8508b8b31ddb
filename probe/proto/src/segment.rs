//! What a source hands to the decoder: TCP payload with its position, not yet in order.

/// One TCP connection, as the source numbers it: a socket cookie, or a counter in a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the connection (or is believed to have).
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A run of TCP payload sent by one side. May be repeated, reordered, overlapping or cut.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The connection.
    pub conn: ConnId,
    /// When the kernel saw it, in Unix nanoseconds.
    pub at: u64,
    /// Who sent it, as far as the source knows. The decoder corrects a wrong guess by content.
    pub from: Side,
    /// The source observed the handshake: the first byte after it is the first of the stream.
    pub syn_seen: bool,
    /// Sequence number of the first byte (host order; wraps).
    pub seq: u32,
    /// Payload bytes on the wire.
    pub len: u32,
    /// The captured prefix of them, at most `len` bytes.
    pub bytes: &'a [u8],
    /// The sender will send nothing after this.
    pub fin: bool,
    /// The connection was reset.
    pub rst: bool,
}
