//! Many nodes as one picture: an agent on each captures and counts, and somebody elsewhere merges.
//!
//! ```text
//! agent: capture ─Delta─► Outbox ─frames─► link (a command, ssh, exec, a socket) ─► Hub: names, clocks ─► Knowledge
//!        ◄─ beats, what was taken in, pace, end ─────────────────────────────────────┘
//! ```
//!
//! Deltas travel, not calls: bytes a second follow the active endpoints. What is in flight is bounded; behind that the
//! agent leaves out more and more, in a stated order ([`apisec_engine::node::Shed`]), and says so. Reports are numbered
//! within a run of an agent, so that none is counted twice. Whatever an agent sends is input like any other.

pub mod agent;
pub mod hub;
pub mod link;
pub mod names;
pub mod rehearsal;

mod directory;
mod frames;
mod message;
mod outbox;
mod station;

/// Version of the protocol: both ends must speak the same one.
pub const PROTOCOL: u16 = 2;
