//! A workload's coverage protocol by protocol, and how its TLS is read.

use super::row::{Row, all};
use crate::format::{bytes, count, share};
use crate::layer::inspector::Line;
use crate::theme::Role;
use crate::view::World;
use crate::widget::escape::escape;
use apisec_engine::coverage::{CoverageView, Shares};

/// The fields of a row.
pub(super) fn lines(world: &World<'_>, row: &Row) -> Vec<Line> {
    let mut lines = vec![Line::new("workload", row.label.clone(), Role::Strong)];
    if !row.workload.is_empty() {
        lines.push(Line::new("id", escape(&row.workload), Role::Dim));
    }
    for view in row.members.iter().filter_map(|place| world.snapshot.capture.coverage.get(*place)) {
        lines.push(Line::heading(escape(&view.protocol).into_owned()));
        lines.extend(protocol(view));
    }
    lines.extend(half_read(world, row));
    lines
}

/// Connections that began before us.
fn half_read(world: &World<'_>, row: &Row) -> Vec<Line> {
    let mine: Vec<_> = super::resync::connections(world, row).collect();
    if mine.is_empty() {
        return Vec::new();
    }
    let mut lines =
        vec![Line::heading("read in part: open before us, so that some fields rest on what was not seen")];
    lines.extend(mine.into_iter().map(|view| {
        let text =
            format!("{} to {}, {} calls", escape(&view.client), escape(&view.server), count(view.calls));
        Line::new(world.labels.get(&view.src), text, Role::Partial)
    }));
    lines
}

fn protocol(view: &CoverageView) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, of, format) in [
        ("connections", &view.connections, count as fn(u64) -> String),
        ("bytes", &view.bytes, bytes as fn(u64) -> String),
    ] {
        if all(of) > 0 {
            lines.push(Line::new(name, parts(of, format), Role::Text));
        }
    }
    if view.connections.opaque > 0 && all(&view.bytes) == 0 {
        lines.push(Line::new("bytes", "not counted", Role::Dim));
    }
    if !view.library.is_empty() {
        lines.push(Line::new("TLS library", escape(&view.library), Role::Text));
    }
    let attached = match view.attached.as_str() {
        "" => None,
        "emulated" => Some("at instructions that the kernel emulates, about 1 us a hit".to_owned()),
        "stepped" => Some("at instructions that the kernel steps over, about 10 us a hit".to_owned()),
        other => Some(escape(other).into_owned()),
    };
    lines.extend(attached.map(|how| Line::new("probed", how, Role::Text)));
    if !view.reason.is_empty() {
        lines.push(Line::new("not read because", escape(&view.reason), Role::Partial));
    }
    if !view.certificates.is_empty() {
        lines.push(Line::new("no certificate of", escape(&view.certificates), Role::Dim));
    }
    if view.lost > 0 {
        lines.push(Line::new("lost", bytes(view.lost), Role::Lost));
    }
    lines
}

fn parts(of: &Shares, format: fn(u64) -> String) -> String {
    let named = [("in clear", of.plaintext), ("inside TLS", of.decrypted), ("not read", of.opaque)];
    let parts = named.into_iter().filter(|(_, part)| *part > 0);
    let parts: Vec<String> =
        parts.map(|(name, part)| format!("{} {name} ({})", format(part), share(part, all(of)))).collect();
    parts.join(", ")
}
