//! The rows of `capture.coverage`, added up per workload.

use crate::view::World;
use crate::widget::escape::escape;
use apisec_engine::coverage::{CoverageView, Shares};
use std::collections::BTreeMap;

/// A workload, or what is known of the whole node over one protocol.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// The same for the same thing in every snapshot.
    pub(super) key: String,
    /// Workload id, empty for the whole node.
    pub(super) workload: String,
    /// What it is called, escaped.
    pub(super) label: String,
    pub(super) connections: Shares,
    pub(super) bytes: Shares,
    pub(super) library: String,
    /// Why most of what is not read is not.
    pub(super) reason: String,
    /// Bytes that `reason` stands for.
    reason_bytes: u64,
    pub(super) lost: u64,
    /// Its places in `capture.coverage`.
    pub(super) members: Vec<usize>,
}

impl Row {
    /// Adds the figures of another row.
    pub(super) fn add(&mut self, other: &Self) {
        sum(&mut self.connections, &other.connections);
        sum(&mut self.bytes, &other.bytes);
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn member(&mut self, place: usize, view: &CoverageView) {
        sum(&mut self.connections, &view.connections);
        sum(&mut self.bytes, &view.bytes);
        self.lost = self.lost.saturating_add(view.lost);
        self.members.push(place);
        if self.library.is_empty() {
            self.library.clone_from(&view.library);
        }
        if !view.reason.is_empty() && (self.reason.is_empty() || view.bytes.opaque > self.reason_bytes) {
            self.reason.clone_from(&view.reason);
            self.reason_bytes = view.bytes.opaque;
        }
    }
}

/// All of a quantity.
pub(super) const fn all(of: &Shares) -> u64 {
    of.plaintext.saturating_add(of.decrypted).saturating_add(of.opaque)
}

const fn sum(to: &mut Shares, from: &Shares) {
    to.plaintext = to.plaintext.saturating_add(from.plaintext);
    to.decrypted = to.decrypted.saturating_add(from.decrypted);
    to.opaque = to.opaque.saturating_add(from.opaque);
}

/// The rows that pass the filter.
pub(super) fn rows(world: &World<'_>) -> Vec<Row> {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for (place, view) in world.snapshot.capture.coverage.iter().enumerate() {
        if !world.shows_coverage(view) {
            continue;
        }
        // What is known of the whole node is no sum of its parts.
        let apart = if view.workload.is_empty() { view.protocol.as_str() } else { "" };
        rows.entry((&view.workload, apart)).or_insert_with(|| new(world, view, apart)).member(place, view);
    }
    rows.into_values().collect()
}

fn new(world: &World<'_>, view: &CoverageView, apart: &str) -> Row {
    let label = if view.workload.is_empty() {
        escape(&format!("{}: {}", view.name, view.protocol)).into_owned()
    } else {
        world.labels.get(&view.workload)
    };
    Row {
        key: format!("{}\u{1}{apart}", view.workload),
        workload: view.workload.clone(),
        label,
        ..Row::default()
    }
}
