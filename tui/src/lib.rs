//! `apisec-top`: the command line, the terminal and the reports over one pipeline.

pub mod cli;
pub mod command;
pub mod config;
pub mod exit;
pub mod export;
pub mod gate;
pub mod headless;
pub mod insistence;
pub mod line_queue;
pub mod progress;
pub mod report;
pub mod session;
pub mod settings;
pub mod shop;
pub mod suppressions;

pub mod action;
pub mod app;
pub mod canvas;
pub mod drill;
pub mod event;
pub mod format;
pub mod frame;
pub mod keymap;
pub mod label;
pub mod layer;
pub mod past;
pub mod run;
pub mod theme;
pub mod view;
pub mod widget;

#[cfg(test)]
mod fixture;
