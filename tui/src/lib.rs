//! `apisec-top`: the command line, the terminal and the reports over one pipeline.

pub mod cli;
pub mod command;
pub mod config;
pub mod exit;
pub mod headless;
pub mod line_queue;
pub mod progress;
pub mod report;
pub mod session;
pub mod settings;
pub mod shop;
