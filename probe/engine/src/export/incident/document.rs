//! A document as blocks, before anybody decides how it is written.

use super::ROWS;
use crate::export::{graph, picture};
use crate::snapshot::Snapshot;

/// A document.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// A part of it.
pub(super) enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A table; `hidden` rows are left out.
    Table { heading: Vec<String>, rows: Vec<Vec<String>>, hidden: usize },
    /// The graph, in both of its forms; `hidden` workloads are not in the picture.
    Graph { svg: String, mermaid: String, hidden: usize },
}

impl Document {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new() }
    }

    pub(super) fn add(&mut self, block: Block) {
        self.blocks.push(block);
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.add(Block::Heading(text.to_owned()));
    }

    pub(super) fn say(&mut self, text: &str) {
        self.add(Block::Text(text.to_owned()));
    }

    /// A table, unless it would be empty.
    pub(super) fn table(&mut self, heading: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let mut rows = rows;
        let shown: Vec<Vec<String>> = rows.by_ref().take(ROWS).collect();
        let hidden = rows.count();
        self.add_table(heading, shown, hidden);
    }

    /// A table of which nothing is left out.
    pub(super) fn whole_table(&mut self, heading: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        self.add_table(heading, rows.collect(), 0);
    }

    fn add_table(&mut self, heading: &[&str], rows: Vec<Vec<String>>, hidden: usize) {
        if !rows.is_empty() {
            let heading = heading.iter().map(|name| (*name).to_owned()).collect();
            self.add(Block::Table { heading, rows, hidden });
        }
    }
}

impl Block {
    pub(super) fn graph(snapshot: &Snapshot) -> Self {
        let (svg, hidden) = picture::svg(snapshot);
        Self::Graph { svg, mermaid: graph::mermaid(snapshot), hidden }
    }
}
