//! Bytes to exchanges to calls: stream reassembly, wire protocols, and the naming of what was said.
//!
//! Pure: no IO, no clock, no environment, no threads. Time comes in with every segment. Nothing here
//! ever fails on what the wire holds: what cannot be read becomes a [`note`](call::Notes) or a counter.

pub mod call;
pub mod exchange;
pub mod segment;
