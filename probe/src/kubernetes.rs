//! A cluster as Kubernetes knows it: how it is reached, what one may do there, what is in it.
//!
//! This is the only place that talks to an API server. What comes from there is input like any other: bounded, and
//! never trusted to be what it should be.

pub mod access;
pub mod cargo;
pub mod census;
pub mod companions;
pub mod doctor;
pub mod documents;
pub mod fleet;
pub mod mark;
pub mod place;
pub mod policy;
pub mod rbac;
pub mod rights;
pub mod sweep;

mod atlas;
mod exec;
mod facts;
mod home;
mod job;
mod trouble;

#[cfg(test)]
mod api;

use crate::source::SourceError;
use std::future::Future;

/// Runs something that waits for an API server, on this thread.
///
/// # Errors
/// There is no event loop, or what `work` fails with.
pub fn wait<T>(work: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| SourceError {
        what: format!("there is no event loop: {error}"),
        remedy: "raise the limit of open files (ulimit -n)".into(),
    })?;
    runtime.block_on(work)
}
