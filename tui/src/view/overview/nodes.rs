//! The nodes of a cluster: who is heard, what listening costs, what is wrong. The worst first.

use crate::canvas::Canvas;
use crate::format::{bytes, count, micros};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Table};
use apisec_engine::node::{NodeState, NodeView, Shed};
use apisec_engine::snapshot::Snapshot;
use ratatui::layout::Rect;

/// Rows that are shown; the title counts all, and says how many are heard.
const ROWS: usize = 6;

const COLUMNS: &[Column] = &[
    Column::text("NODE", 12, 1, 0),
    Column::word("STATE", 10, 0),
    Column::number("CALLS", 7, 1),
    Column::number("LOST", 6, 1),
    Column::number("BYTES/S", 8, 2),
    Column::number("EVERY", 5, 5),
    Column::number("CLOCK", 8, 3),
    Column::number("WAY", 7, 4),
    Column::word("SHEDS", 7, 6),
    Column::text("WHY", 12, 3, 7),
];

/// Lines that it needs; none where this node is all there is.
pub(super) fn height(snapshot: &Snapshot) -> u16 {
    match snapshot.capture.nodes.len() {
        0 => 0,
        // A title and a header.
        nodes => 2 + nodes.min(ROWS) as u16,
    }
}

pub(super) fn draw(snapshot: &Snapshot, canvas: &mut Canvas<'_>, area: Rect) {
    let nodes = &snapshot.capture.nodes;
    let heard = nodes.iter().filter(|node| node.state == NodeState::Watching).count();
    let body = panel(canvas, area, "Nodes", &format!("{heard} of {}", nodes.len()), false);
    let mut worst: Vec<&NodeView> = nodes.iter().collect();
    worst.sort_by_key(|node| {
        (node.state == NodeState::Watching, std::cmp::Reverse((node.shed, node.bytes_per_s as u64)))
    });
    let cell =
        |index: usize, column: usize| worst.get(index).map_or_else(Cell::default, |node| told(node, column));
    let len = worst.len().min(ROWS);
    Table { columns: COLUMNS, order: None, list: &List::default(), len, focused: false, cell: &cell }
        .draw(canvas, body);
}

fn told(node: &NodeView, column: usize) -> Cell {
    match column {
        0 => Cell::new(escape(&node.name).into_owned(), Role::Workload),
        1 => Cell::new(node.state.word().to_owned(), role(node.state)),
        2 => count(node.calls).into(),
        3 => Cell::new(count(node.lost), if node.lost > 0 { Role::Partial } else { Role::Text }),
        4 => bytes(node.bytes_per_s as u64).into(),
        5 => format!("{}s", node.interval_s).into(),
        6 => clock(node.skew_us).into(),
        7 => micros(node.round_trip_us).into(),
        8 if node.shed == Shed::Nothing => Cell::default(),
        8 => Cell::new(node.shed.word().to_owned(), Role::Partial),
        _ => escape(&node.why).into_owned().into(),
    }
}

fn role(state: NodeState) -> Role {
    match state {
        NodeState::Watching => Role::Text,
        NodeState::Connecting => Role::Dim,
        NodeState::Lost | NodeState::Ended => Role::Partial,
        NodeState::Refused => Role::Fatal,
    }
}

/// How far its clock is ahead of ours.
fn clock(skew_us: i64) -> String {
    let sign = if skew_us < 0 { "-" } else { "+" };
    format!("{sign}{}", micros(skew_us.unsigned_abs()))
}
