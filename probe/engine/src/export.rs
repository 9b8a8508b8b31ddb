//! The read model in formats of others. Pure: values out, nothing is written here.

pub mod openapi;
