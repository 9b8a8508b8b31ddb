//! Calls to deltas, deltas to knowledge, knowledge to snapshots.
//!
//! Pure: no IO, no clock, no randomness, no threads. `at` and `now` are parameters (Unix nanoseconds).
//! Depends on `apisec-proto` for [`Call`](apisec_proto::call::Call) only.
//!
//! ```text
//! Call ─Observer::observe─► (tables of one node) ─take_delta, once a second─► Delta
//!      Delta ─Knowledge::merge─► inventory · graph · ticks · log ─snapshot─► Arc<Snapshot>
//! ```

pub mod baseline;
pub mod call_log;
pub mod case;
pub mod command;
pub mod coverage;
mod cue;
pub mod degradation;
pub mod delta;
pub mod detect;
pub mod distinct;
pub mod drift;
pub mod endpoint;
pub mod export;
pub mod family;
pub mod filter;
pub mod finding;
pub mod fingerprint;
mod flow;
pub mod graph;
pub mod inventory;
pub mod json;
pub mod knowledge;
pub mod limits;
pub mod load;
pub mod looks;
pub mod moment;
pub mod name_set;
pub mod ndjson;
pub mod nearest;
pub mod node;
pub mod observe;
pub mod policy;
pub mod rename;
pub mod schema;
pub mod sketch;
pub mod snapshot;
pub mod spec;
pub mod suppression;
pub mod tick;
pub mod trail;
pub mod vocabulary;

#[cfg(test)]
mod fixture;
