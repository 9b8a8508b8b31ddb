//! What a decoder has done and what it could not do, counted.

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderStats {
    /// Segments taken.
    pub segments: u64,
    /// Exchanges reported.
    pub exchanges: u64,
    /// Exchanges reported without a response.
    pub unanswered: u64,
    /// Segments that repeated what was seen.
    pub retransmits: u64,
    /// Segments that came before an earlier one.
    pub reordered: u64,
    /// Bytes that the source skipped on purpose.
    pub skipped_bytes: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections recognised as HTTP/1.
    pub http1: u64,
    /// Connections recognised as TLS and left unread.
    pub opaque_tls: u64,
    /// Connections recognised as HTTP/2.
    pub http2: u64,
    /// Connections that left HTTP/1 by an upgrade or a tunnel.
    pub upgraded: u64,
    /// Connections that became WebSockets.
    pub websockets: u64,
    /// Pings and pongs of WebSockets.
    pub websocket_controls: u64,
    /// Connections in no protocol that we know.
    pub undecodable: u64,
    /// Responses that came after their exchange had been reported.
    pub late_responses: u64,
    /// Holes that were given up.
    pub holes: u64,
    /// Bytes in them.
    pub lost_bytes: u64,
    /// Times a direction had to look for the next start of a message.
    pub resyncs: u64,
    /// Bytes on HTTP/1 connections that belong to no message.
    pub unframed_bytes: u64,
    /// Heads that were larger than the cap or did not fit the memory bound.
    pub heads_too_large: u64,
    /// Heads of which the source gave only a part.
    pub heads_cut: u64,
    /// Heads that could not be read.
    pub bad_heads: u64,
    /// Responses without a request that was seen.
    pub orphan_responses: u64,
    /// Connections given up because there were too many.
    pub evicted: u64,
    /// Connections given up because too many requests were pipelined.
    pub pipelines_too_deep: u64,
    /// Header fields of HTTP/2 that rest on what was said before us.
    pub opaque_fields: u64,
    /// Header blocks that could not be read to their end.
    pub bad_blocks: u64,
    /// Frames of HTTP/2 and WebSockets that no peer may send.
    pub bad_frames: u64,
    /// Streams of HTTP/2 that were too many or did not fit the memory bound.
    pub streams_refused: u64,
    /// Streams that were reset.
    pub resets: u64,
    /// Responses that a server promised without being asked.
    pub pushes: u64,
    /// Connections that turned out not to be what they seemed.
    pub guesses_revised: u64,
}

impl DecoderStats {
    /// Everything that means «we may not have seen it all», by name.
    #[must_use]
    pub const fn losses(&self) -> [(&'static str, u64); 12] {
        [
            ("reassembly_holes", self.holes),
            ("reassembly_lost_bytes", self.lost_bytes),
            ("resyncs", self.resyncs),
            ("unframed_bytes", self.unframed_bytes),
            ("heads_too_large", self.heads_too_large),
            ("bad_heads", self.bad_heads),
            ("orphan_responses", self.orphan_responses),
            ("evicted_connections", self.evicted),
            ("pipelines_too_deep", self.pipelines_too_deep),
            ("bad_blocks", self.bad_blocks),
            ("bad_frames", self.bad_frames),
            ("streams_refused", self.streams_refused),
        ]
    }

    /// Everything else, by name.
    #[must_use]
    pub const fn counters(&self) -> [(&'static str, u64); 20] {
        [
            ("segments", self.segments),
            ("exchanges", self.exchanges),
            ("unanswered", self.unanswered),
            ("retransmits", self.retransmits),
            ("reordered", self.reordered),
            ("skipped_bytes", self.skipped_bytes),
            ("connections", self.connections),
            ("http1", self.http1),
            ("opaque_tls", self.opaque_tls),
            ("http2", self.http2),
            ("opaque_fields", self.opaque_fields),
            ("resets", self.resets),
            ("pushes", self.pushes),
            ("guesses_revised", self.guesses_revised),
            ("upgraded", self.upgraded),
            ("websockets", self.websockets),
            ("websocket_controls", self.websocket_controls),
            ("undecodable", self.undecodable),
            ("late_responses", self.late_responses),
            ("heads_cut", self.heads_cut),
        ]
    }
}
