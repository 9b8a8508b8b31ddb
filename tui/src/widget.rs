//! What views are made of: one widget per file, none knows what it shows.

pub mod dialog;
pub mod escape;
pub mod fit;
pub mod footer;
pub mod gauge;
pub mod input;
pub mod list;
pub mod panel;
pub mod shares;
pub mod sparkline;
pub mod table;
pub mod tree;
