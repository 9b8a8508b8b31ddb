//! The bodies of the fuzz targets: each takes bytes and panics when a promise of the crate is broken.

pub mod arrival;
pub mod cuts;
pub mod frames;
pub mod greeting;
pub mod messages;
pub mod naming;
pub mod specification;
