//! What a decoder may hold and how long it waits.

/// One second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Bounds of a decoder. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are followed; beyond it the one that was silent longest is given up.
    pub connections: usize,
    /// Bytes that all connections may hold together: segments behind holes, heads and bodies of open exchanges.
    pub buffered: usize,
    /// Captured body bytes that are kept of one message, for the dialects.
    pub body_prefix: usize,
    /// How long a segment waits for an earlier one. TCP fills real reordering within a round trip or a
    /// retransmission time-out; what is missing longer was lost on its way to us.
    pub reorder_wait: u64,
    /// After this an exchange is reported as it stands: unanswered, or with its response cut.
    pub longest_exchange: u64,
    /// A message whose end cannot be seen is taken to have ended after this silence.
    pub silence: u64,
    /// A connection without an open exchange is forgotten after this.
    pub idle: u64,
    /// A closed connection is remembered for so long, so that a late retransmission is not taken for a new one.
    pub linger: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            buffered: 32 * 1024 * 1024,
            body_prefix: 4096,
            reorder_wait: SECOND / 2,
            longest_exchange: 300 * SECOND,
            silence: 2 * SECOND,
            idle: 3600 * SECOND,
            linger: 5 * SECOND,
        }
    }
}
