//! Calls to deltas, deltas to knowledge, knowledge to snapshots.
//!
//! Pure: no IO, no clock, no randomness, no threads. `at` and `now` are parameters (Unix nanoseconds).
//! Depends on `apisec-proto` for [`Call`](apisec_proto::call::Call) only.

pub mod call_log;
pub mod command;
pub mod degradation;
pub mod snapshot;
