//! Segments in, exchanges out: the table of connections with its bounds.
//!
//! An exchange is lent to the caller as soon as it is complete by its framing, also when its bodies were not
//! captured. What cannot be completed is reported by [`Decoder::close`] or [`Decoder::sweep`].

mod connection;
pub mod limits;
mod openness;
pub mod stats;

use crate::exchange::Exchange;
use crate::segment::{ConnId, Segment};
use crate::stream::Room;
use crate::wire::{Context, http1, http2};
use connection::Connection;
use foldhash::fast::FixedState;
use limits::Limits;
use lru::LruCache;
use stats::DecoderStats;
use std::collections::VecDeque;

/// Decodes any number of connections.
pub struct Decoder {
    limits: Limits,
    stats: DecoderStats,
    connections: LruCache<ConnId, Connection, FixedState>,
    /// Closed connections that are still remembered, with the time of their end.
    over: VecDeque<(ConnId, u64)>,
    /// Connections on which something was open when they last spoke: those that time can change.
    watched: Vec<ConnId>,
    room: Room,
    pool: http1::Pool,
    streams: http2::Pool,
}

impl Decoder {
    /// An empty decoder.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            stats: DecoderStats::default(),
            connections: LruCache::unbounded_with_hasher(FixedState::default()),
            over: VecDeque::new(),
            watched: Vec::new(),
            room: Room { used: 0, limit: limits.buffered },
            pool: http1::Pool::default(),
            streams: http2::Pool::default(),
            limits,
        }
    }

    /// Takes a segment and lends every exchange that it completes.
    pub fn segment(&mut self, segment: &Segment<'_>, out: &mut dyn FnMut(&Exchange<'_>)) {
        self.stats.segments += 1;
        if !self.take(segment, out) {
            self.admit(segment, out);
            self.take(segment, out);
        }
    }

    /// Gives the segment to its connection. Whether that is known.
    fn take(&mut self, segment: &Segment<'_>, out: &mut dyn FnMut(&Exchange<'_>)) -> bool {
        let (connection, room, mut cx) = self.open(segment.conn, segment.at, out);
        let Some(connection) = connection else { return false };
        let was_over = connection.is_over();
        connection.segment(segment, room, &mut cx);
        let watch = !connection.watched && !connection.is_idle();
        connection.watched |= watch;
        let is_over = connection.is_over() && !was_over;
        if watch {
            self.watched.push(segment.conn);
        }
        if is_over {
            self.over.push_back((segment.conn, segment.at));
        }
        true
    }

    /// The connection is known to be gone: reports what is open on it.
    pub fn close(&mut self, conn: ConnId, at: u64, out: &mut dyn FnMut(&Exchange<'_>)) {
        let (connection, room, mut cx) = self.open(conn, at, out);
        let Some(connection) = connection else { return };
        if !connection.is_over() {
            connection.close(false, room, &mut cx);
            self.over.push_back((conn, at));
        }
    }

    /// Reports what has waited too long and forgets what is idle. To be called about once a second.
    pub fn sweep(&mut self, now: u64, out: &mut dyn FnMut(&Exchange<'_>)) {
        self.forget_over(now);
        let Self { connections, limits, stats, pool, streams, room, watched, .. } = self;
        watched.retain(|conn| {
            let Some(connection) = connections.peek_mut(conn) else { return false };
            let mut cx = Context { conn: *conn, at: now, pool, streams, stats, limits, out: &mut *out };
            connection.sweep(now, room, &mut cx);
            connection.watched = !connection.is_idle();
            connection.watched
        });
        while self.connections.peek_lru().is_some_and(|(_, connection)| {
            connection.is_idle() && connection.last.saturating_add(self.limits.idle) < now
        }) {
            self.evict(now, out);
        }
    }

    /// Reports everything that is open, as at the end of a capture file.
    pub fn finish(&mut self, at: u64, out: &mut dyn FnMut(&Exchange<'_>)) {
        while self.evict(at, out) {}
        self.over.clear();
    }

    /// What was done and what was lost.
    #[must_use]
    pub const fn stats(&self) -> &DecoderStats {
        &self.stats
    }

    /// Connections that are followed now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that all connections hold now.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.room.used + self.pool.held()
    }

    fn open<'a>(
        &'a mut self,
        conn: ConnId,
        at: u64,
        out: &'a mut dyn FnMut(&Exchange<'_>),
    ) -> (Option<&'a mut Connection>, &'a mut Room, Context<'a>) {
        let Self { limits, stats, connections, room, pool, streams, .. } = self;
        (connections.get_mut(&conn), room, Context { conn, at, pool, streams, stats, limits, out })
    }

    /// Makes room for a connection and remembers it.
    fn admit(&mut self, segment: &Segment<'_>, out: &mut dyn FnMut(&Exchange<'_>)) {
        self.stats.connections += 1;
        self.forget_over(segment.at);
        while self.connections.len() >= self.limits.connections.max(1) {
            if let Some((conn, _)) = self.over.pop_front() {
                self.connections.pop(&conn);
            } else {
                self.stats.evicted += u64::from(self.evict(segment.at, out));
            }
        }
        self.connections.put(segment.conn, Connection::new(segment));
    }

    /// Gives up the connection that was silent longest.
    fn evict(&mut self, at: u64, out: &mut dyn FnMut(&Exchange<'_>)) -> bool {
        let Some((conn, mut connection)) = self.connections.pop_lru() else { return false };
        let (_, room, mut cx) = self.open(conn, at, out);
        connection.close(false, room, &mut cx);
        true
    }

    fn forget_over(&mut self, now: u64) {
        let linger = self.limits.linger;
        while self.over.front().is_some_and(|(_, at)| at.saturating_add(linger) < now) {
            if let Some((conn, _)) = self.over.pop_front() {
                self.connections.pop(&conn);
            }
        }
    }
}

#[cfg(test)]
mod tests;
