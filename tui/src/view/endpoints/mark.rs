//! How drift is marked: a glyph and a colour per state and flag, and the lines that explain them.

use super::forest::Sums;
use crate::canvas::Glyphs;
use crate::format::{SECOND, count, span};
use crate::layer::inspector::Line;
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::table::Cell;
use apisec_engine::moment::rfc3339;
use apisec_engine::snapshot::{Drift, EndpointView, InventoryView};

/// The colour of a state.
pub(in crate::view) const fn role(drift: Drift) -> Role {
    match drift {
        Drift::Active => Role::DriftActive,
        Drift::Shadow => Role::DriftShadow,
        Drift::Zombie => Role::DriftZombie,
        Drift::Orphan => Role::DriftOrphan,
        Drift::Unconfirmed => Role::DriftUnconfirmed,
        Drift::Unspecified => Role::Dim,
    }
}

/// The glyph of a state; none where there is no specification.
pub(in crate::view) fn glyph(drift: Drift, glyphs: &Glyphs) -> &'static str {
    let place = Drift::ALL.iter().position(|(state, _)| *state == drift);
    place.and_then(|place| glyphs.drift.get(place)).copied().unwrap_or_default()
}

/// The marks behind the name of an endpoint.
pub(super) fn of(endpoint: &EndpointView, glyphs: &Glyphs) -> Vec<Cell> {
    let mut marks = Vec::new();
    let glyph = glyph(endpoint.drift, glyphs);
    if !glyph.is_empty() {
        marks.push(Cell::new(format!(" {glyph}"), role(endpoint.drift)));
    }
    let flags = [endpoint.deprecated_in_use, endpoint.schema_drift];
    let set = glyphs.flags.iter().zip(flags).filter(|(_, set)| *set);
    marks.extend(set.map(|(glyph, _)| Cell::new(*glyph, Role::DriftFlag)));
    marks
}

/// The marks behind a node, with how many are below; what is active goes without saying.
pub(super) fn sums(sums: &Sums, glyphs: &Glyphs) -> Vec<Cell> {
    let states = Drift::ALL.iter().zip(sums.drift).zip(glyphs.drift);
    let states = states.filter(|(((state, _), n), _)| *n > 0 && *state != Drift::Active);
    let states = states.map(|(((state, _), n), glyph)| Cell::new(format!(" {glyph}{n}"), role(*state)));
    let flags = glyphs.flags.iter().zip(sums.flags).filter(|(_, n)| *n > 0);
    states.chain(flags.map(|(glyph, n)| Cell::new(format!(" {glyph}{n}"), Role::DriftFlag))).collect()
}

/// What there is to say about the drift of an endpoint.
pub(super) fn lines(endpoint: &EndpointView, inventory: &InventoryView) -> Vec<Line> {
    if endpoint.drift == Drift::Unspecified && endpoint.documentation.file.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::heading("drift")];
    lines.push(Line::new(
        "state",
        format!("{}: {}", endpoint.drift.word(), meaning(endpoint.drift)),
        role(endpoint.drift),
    ));
    lines.push(Line::new("known since", rfc3339(inventory.since_ns), Role::Dim));
    if endpoint.drift == Drift::Zombie {
        lines.push(Line::new("zombie after", span(inventory.zombie_after_s), Role::Dim));
    }
    let history = endpoint.history;
    if history.calls > 0 {
        let text = format!(
            "{} calls, {} to {}",
            count(history.calls),
            rfc3339(history.first_seen / SECOND * SECOND),
            rfc3339(history.last_seen / SECOND * SECOND)
        );
        lines.push(Line::new("earlier", text, Role::Text));
    }
    let documentation = &endpoint.documentation;
    let fields = [
        ("documented", &documentation.file),
        ("at", &documentation.pointer),
        ("operation id", &documentation.id),
        ("owner", &documentation.owner),
    ];
    let known = fields.into_iter().filter(|(_, value)| !value.is_empty());
    lines.extend(known.map(|(name, value)| Line::new(name, escape(value), Role::Text)));
    if endpoint.deprecated_in_use {
        lines.push(Line::new("deprecated", "but still called", Role::DriftFlag));
    }
    lines.extend(
        documentation
            .differences
            .iter()
            .map(|text| Line::new("not documented", escape(text), Role::DriftFlag)),
    );
    lines
}

/// A state in a few words.
pub(in crate::view) const fn meaning(drift: Drift) -> &'static str {
    match drift {
        Drift::Active => "documented and called",
        Drift::Shadow => "called, not documented",
        Drift::Zombie => "documented, no longer called",
        Drift::Orphan => "documented, never called",
        Drift::Unconfirmed => "not documented, only ever refused",
        Drift::Unspecified => "no specification, or no such operation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::{ASCII, UNICODE};
    use crate::fixture;

    #[test]
    fn every_state_but_one_has_its_own_glyph() {
        for glyphs in [&UNICODE, &ASCII] {
            let mut seen: Vec<&str> =
                Drift::ALL.iter().map(|(state, _)| glyph(*state, glyphs)).chain(glyphs.flags).collect();
            assert_eq!(glyph(Drift::Unspecified, glyphs), "");
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 8);
        }
    }

    #[test]
    fn without_a_specification_nothing_is_marked() {
        let snapshot = fixture::shop();
        assert!(snapshot.endpoints.iter().all(|endpoint| of(endpoint, &UNICODE).is_empty()));
        assert!(snapshot.endpoints.iter().all(|endpoint| lines(endpoint, &snapshot.inventory).is_empty()));
    }
}
