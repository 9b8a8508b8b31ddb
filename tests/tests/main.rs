//! The integration tests, in one binary. Every file in this folder is a module here; `fences` checks that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod capture_file;
mod circumstances;
mod cluster_policy;
mod demo;
mod enforce;
mod fences;
mod fixtures;
mod frame;
mod kubernetes;
mod live;
mod outputs;
mod packages;
mod plugin;
mod record;
mod replay;
mod roundtrip;
mod scenarios;
