//! The two ends of a connection as a source sees them.

use apisec_proto::call::Vantage;
use std::net::SocketAddr;

/// Addresses of a connection and where it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The end that opened the connection. IPv4-mapped addresses are given as IPv4.
    pub client: SocketAddr,
    /// The end that accepted it.
    pub server: SocketAddr,
    /// Whose socket was probed.
    pub vantage: Vantage,
}

impl Flow {
    /// The same connection with its ends exchanged: for a source that guessed them the wrong way round.
    #[must_use]
    pub const fn flipped(self) -> Self {
        let vantage = match self.vantage {
            Vantage::Server => Vantage::Client,
            Vantage::Client => Vantage::Server,
        };
        Self { client: self.server, server: self.client, vantage }
    }
}
