//! The graph as a picture: SVG with nothing outside of it, callers left, callees right.
//!
//! Columns by the longest way from a workload that nobody calls, circles cut where they close; rows by their neighbours. The
//! busiest workloads only, so that it can be read; what is left out is a number.

use super::graph::label;
use crate::json::steers;
use crate::snapshot::{EdgeView, Kind, Snapshot, WorkloadView};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Workloads in one picture.
const MAX_NODES: usize = 48;
/// Passes in which rows are put in order: more change nothing that the eye sees.
const PASSES: usize = 4;
const WIDTH: usize = 170;
const HEIGHT: usize = 44;
const GAP_X: usize = 130;
const GAP_Y: usize = 26;
const MARGIN: usize = 20;
/// Longest name in a box.
const LABEL: usize = 22;

/// The picture, and how many workloads are not in it.
#[must_use]
pub fn svg(snapshot: &Snapshot) -> (String, usize) {
    let mut nodes: Vec<&WorkloadView> = snapshot.workloads.iter().collect();
    nodes.sort_by_key(|own| std::cmp::Reverse(own.calls_in.saturating_add(own.calls_out)));
    let hidden = nodes.len().saturating_sub(MAX_NODES);
    nodes.truncate(MAX_NODES);
    let numbers: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(number, own)| (own.id.as_str(), number)).collect();
    let edge = |edge| -> Option<(usize, usize, &EdgeView)> {
        let edge: &EdgeView = edge;
        Some((*numbers.get(edge.src.as_str())?, *numbers.get(edge.dst.as_str())?, edge))
    };
    let edges: Vec<(usize, usize, &EdgeView)> = snapshot.edges.iter().filter_map(edge).collect();
    let columns = columns(nodes.len(), &edges);
    (draw(&nodes, &edges, &columns), hidden)
}

/// Numbers of nodes by column, in the order of their rows.
fn columns(count: usize, edges: &[(usize, usize, &EdgeView)]) -> Vec<Vec<usize>> {
    let mut rank = vec![0_usize; count];
    // A way through all nodes is no longer than this; circles stop growing there.
    for _ in 0..count.min(12) {
        for (src, dst, _) in edges.iter().filter(|(src, dst, _)| src != dst) {
            let next = rank.get(*src).map_or(0, |rank| rank + 1).min(11);
            if let Some(rank) = rank.get_mut(*dst) {
                *rank = next.max(*rank);
            }
        }
    }
    let used: BTreeSet<usize> = rank.iter().copied().collect();
    let mut columns: Vec<Vec<usize>> = used
        .iter()
        .map(|column| (0..count).filter(|node| rank.get(*node) == Some(column)).collect())
        .collect();
    for _ in 0..PASSES {
        let rows = rows(&columns);
        for column in &mut columns {
            column.sort_by_key(|node| {
                let near = edges.iter().filter_map(|(src, dst, _)| match node {
                    node if node == src => rows.get(dst),
                    node if node == dst => rows.get(src),
                    _ => None,
                });
                let (sum, n) = near.fold((0, 0), |(sum, n), row| (sum + row * 64, n + 1));
                let sum: usize = sum;
                sum.checked_div(n).unwrap_or_else(|| rows.get(node).copied().unwrap_or(0) * 64)
            });
        }
    }
    columns
}

fn rows(columns: &[Vec<usize>]) -> BTreeMap<usize, usize> {
    columns.iter().flat_map(|column| column.iter().enumerate().map(|(row, node)| (*node, row))).collect()
}

fn draw(nodes: &[&WorkloadView], edges: &[(usize, usize, &EdgeView)], columns: &[Vec<usize>]) -> String {
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let (width, height) = (
        2 * MARGIN + columns.len().max(1) * (WIDTH + GAP_X) - GAP_X,
        2 * MARGIN + tallest * (HEIGHT + GAP_Y),
    );
    let mut places = BTreeMap::new();
    for (x, column) in columns.iter().enumerate() {
        let top = MARGIN + (tallest - column.len()) * (HEIGHT + GAP_Y) / 2;
        for (y, node) in column.iter().enumerate() {
            places.insert(*node, (MARGIN + x * (WIDTH + GAP_X), top + y * (HEIGHT + GAP_Y)));
        }
    }
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"Graph of calls\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#667\"/></marker></defs>\n"
    );
    for (src, dst, edge) in edges {
        if let Some((from, to)) = places.get(src).zip(places.get(dst)) {
            draw_edge(&mut out, *from, *to, edge);
        }
    }
    for (number, own) in nodes.iter().enumerate() {
        if let Some((x, y)) = places.get(&number) {
            draw_node(&mut out, *x, *y, own);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn draw_edge(out: &mut String, from: (usize, usize), to: (usize, usize), edge: &EdgeView) {
    let colour = if edge.errors > 0 { "#c0392b" } else { "#667" };
    let thick = 1.0 + (edge.calls as f64).log10().max(0.0) / 2.0;
    let (y1, y2) = (from.1 + HEIGHT / 2, to.1 + HEIGHT / 2);
    // Forwards from the right side to the left one; backwards, and within a column, around.
    let (x1, x2, bend) =
        if from.0 < to.0 { (from.0 + WIDTH, to.0, GAP_X / 2) } else { (from.0 + WIDTH, to.0 + WIDTH, GAP_X) };
    let c2 = if from.0 < to.0 { x2.saturating_sub(bend) } else { x2 + bend };
    let _infallible = writeln!(
        out,
        "<path d=\"M{x1} {y1}C{} {y1} {c2} {y2} {x2} {y2}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thick:.1}\" \
         marker-end=\"url(#tip)\"><title>{} to {}: {}</title></path>",
        x1 + bend,
        markup(&edge.src),
        markup(&edge.dst),
        markup(&label(edge)),
    );
}

fn draw_node(out: &mut String, x: usize, y: usize, own: &WorkloadView) {
    let (fill, radius) = if own.kind == Kind::External { ("#fdf2e0", HEIGHT / 2) } else { ("#eaf1fb", 5) };
    let name: String = own.name.chars().take(LABEL).collect();
    let (middle, first, second) = (x + WIDTH / 2, y + 19, y + 35);
    let _infallible = writeln!(
        out,
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{radius}\" fill=\"{fill}\" \
         stroke=\"#345\"/><text x=\"{middle}\" y=\"{first}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\
         <text x=\"{middle}\" y=\"{second}\" text-anchor=\"middle\" fill=\"#556\">in {} · out {}</text></g>",
        markup(&own.id),
        markup(&name),
        own.calls_in,
        own.calls_out,
    );
}

/// Text within HTML, XML and their attributes.
#[must_use]
pub fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            steering if steers(steering) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot(edges: &[(u8, u8)]) -> Snapshot {
        let id = |n: u8| format!("process:<n{n}>&\"");
        let all: BTreeSet<u8> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
        Snapshot {
            workloads: all
                .iter()
                .map(|n| WorkloadView { id: id(*n), name: id(*n), ..WorkloadView::default() })
                .collect(),
            edges: edges
                .iter()
                .map(|(a, b)| EdgeView {
                    src: id(*a),
                    dst: id(*b),
                    calls: 3,
                    errors: 1,
                    ..EdgeView::default()
                })
                .collect(),
            ..Snapshot::default()
        }
    }

    proptest! {
        #[test]
        fn every_graph_has_a_picture(edges in proptest::collection::vec((0_u8..70, 0_u8..70), 0..90)) {
            let snapshot = snapshot(&edges);
            let (svg, hidden) = svg(&snapshot);
            prop_assert_eq!(svg.matches("<rect").count() + hidden, snapshot.workloads.len());
            prop_assert!(!svg.contains("<n") && svg.ends_with("</svg>\n"));
            if hidden == 0 {
                prop_assert_eq!(svg.matches("<path d=\"M").count() - 1, edges.len());
            }
        }
    }

    #[test]
    fn callers_stand_left_of_callees_also_around_a_circle() {
        let (svg, _) = svg(&snapshot(&[(0, 1), (1, 2), (2, 1)]));
        let x = |n: u8| {
            let node = svg
                .split("<g>")
                .find(|part| part.contains(&format!("&lt;n{n}&gt;")) && part.contains("<rect"));
            let rest = node.unwrap().split("rect x=\"").nth(1).unwrap();
            rest.split('"').next().unwrap().parse::<usize>().unwrap()
        };
        assert!(x(0) < x(1));
    }
}
