//! The read model in formats of others. Pure: values and text out, no file is opened here.

pub mod csv;
pub mod graph;
pub mod har;
pub mod incident;
pub mod metrics;
pub mod ocsf;
pub mod openapi;
pub mod otlp;
pub mod overlay;
pub mod picture;
pub mod schema;
pub mod sensitive;
pub mod syslog;
pub mod working;
