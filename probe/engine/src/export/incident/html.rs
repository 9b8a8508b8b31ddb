//! A document as one HTML file: no script, no reference to anything outside.

use super::document::{Block, Document};
use crate::export::picture::markup;
use std::fmt::Write;

const STYLE: &str = "body{font:14px/1.5 sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#223}\
table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}\
th,td{border:1px solid #ccd;padding:.25em .6em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:#eef}svg{max-width:100%;height:auto}h2{margin-top:2em;border-bottom:1px solid #ccd}\
@media(prefers-color-scheme:dark){body{background:#181a20;color:#dde}th{background:#2a2d38}th,td,h2{border-color:#445}\
svg{background:#f7f8fc}}";

pub(super) fn write(document: &Document) -> String {
    let title = markup(&document.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for block in &document.blocks {
        add(block, &mut out);
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn add(block: &Block, out: &mut String) {
    let _infallible = match block {
        Block::Heading(text) => writeln!(out, "<h2>{}</h2>", markup(text)),
        Block::Text(text) => writeln!(out, "<p>{}</p>", markup(text)),
        Block::Graph { svg, hidden, .. } => {
            writeln!(out, "<figure>\n{svg}</figure>{}", left_out(*hidden, "workloads"))
        }
        Block::Table { heading, rows, hidden } => {
            out.push_str("<table>\n");
            if heading.iter().any(|name| !name.is_empty()) {
                row(out, "th", heading);
            }
            rows.iter().for_each(|cells| row(out, "td", cells));
            writeln!(out, "</table>{}", left_out(*hidden, "rows"))
        }
    };
}

fn row(out: &mut String, tag: &str, cells: &[String]) {
    out.push_str("<tr>");
    for cell in cells {
        let _infallible = write!(out, "<{tag}>{}</{tag}>", markup(cell));
    }
    out.push_str("</tr>\n");
}

fn left_out(hidden: usize, what: &str) -> String {
    if hidden == 0 { String::new() } else { format!("\n<p>{hidden} more {what} are left out.</p>") }
}
