//! Bytes to exchanges to calls: stream reassembly, wire protocols, and the naming of what was said.
//!
//! Pure: no IO, no clock, no environment, no threads. Time comes in with every segment. Nothing here
//! ever fails on what the wire holds: what cannot be read becomes a [`note`](call::Notes) or a counter.

pub mod body;
pub mod call;
mod clue;
mod credential;
pub mod decoder;
pub mod dialect;
pub mod exchange;
#[cfg(test)]
mod fixture;
mod json;
mod keyed_hash;
pub mod namer;
pub mod naming_source;
mod object;
mod operation;
pub mod path;
pub mod redact;
pub mod secret;
pub mod segment;
pub mod sensitive;
pub mod stream;
pub mod wire;
