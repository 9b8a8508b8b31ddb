//! Fixtures shared by the integration tests: real servers, network namespaces, terminals and the real tool.
//!
//! A fixture waits for a condition with a deadline and cleans up when it is dropped; it never sleeps for a
//! fixed time, and it never turns a missing program or right into a silent pass: see [`skip`](skip::skip).

pub mod bpf;
pub mod certificate;
pub mod client;
pub mod conversation;
pub mod deadline;
pub mod held;
pub mod kubernetes;
pub mod neighbour;
pub mod netns;
pub mod nodes;
pub mod process;
pub mod pty;
pub mod script;
pub mod server;
pub mod skip;
pub mod terminal;
pub mod tool;
pub mod uring;
pub mod watch;

pub use deadline::eventually;
pub use skip::skip;
