//! A document as Markdown.

use super::document::{Block, Document};
use crate::json::steers;
use std::fmt::Write;

pub(super) fn write(document: &Document) -> String {
    let mut out = format!("# {}\n", text(&document.title));
    for block in &document.blocks {
        out.push('\n');
        add(block, &mut out);
    }
    out
}

fn add(block: &Block, out: &mut String) {
    let _infallible = match block {
        Block::Heading(heading) => writeln!(out, "## {}", text(heading)),
        Block::Text(paragraph) => writeln!(out, "{}", text(paragraph)),
        Block::Graph { mermaid, .. } => writeln!(out, "```mermaid\n{mermaid}```"),
        Block::Table { heading, rows, hidden } => {
            row(out, heading);
            row(out, &vec!["---".to_owned(); heading.len()]);
            rows.iter().for_each(|cells| row(out, &cells.iter().map(|cell| text(cell)).collect::<Vec<_>>()));
            if *hidden > 0 { writeln!(out, "\n{hidden} more rows are left out.") } else { Ok(()) }
        }
    };
}

fn row(out: &mut String, cells: &[String]) {
    let _infallible = writeln!(out, "| {} |", cells.join(" | "));
}

/// Text in which nothing is markup.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(character);
            }
            steering if steers(steering) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
