//! Everything with IO and no terminal: sources, kernel hooks, identity, the pipeline, recording.

pub mod attach;
pub mod clock;
pub mod cluster;
pub mod doctor;
pub mod enforce;
pub mod flow;
pub mod forward;
pub mod heap;
pub mod identity;
pub mod journal;
pub mod kubernetes;
pub mod metrics;
pub mod pipeline;
pub mod policy;
pub mod reach;
pub mod readiness;
pub mod record;
pub mod sever;
pub mod source;
pub mod spec;
pub mod store;
pub mod tls;
