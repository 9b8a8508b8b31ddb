//! What we cannot see or do, worst first, with what to do about it.

use crate::canvas::{Canvas, row};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::fit::Align;
use crate::widget::panel::panel;
use apisec_engine::degradation::Severity;
use apisec_engine::snapshot::Snapshot;
use ratatui::layout::Rect;

/// Most degradations that are listed; the header counts all.
const MAX_DEGRADATIONS: usize = 4;

/// Rows that it wants, without its frame.
pub(super) fn lines(snapshot: &Snapshot) -> u16 {
    let shown = snapshot.capture.degradations.iter().take(MAX_DEGRADATIONS);
    shown.map(|degradation| 1 + u16::from(!degradation.remedy.is_empty())).sum()
}

/// Draws it.
pub(super) fn draw(snapshot: &Snapshot, canvas: &mut Canvas<'_>, area: Rect) {
    let all = &snapshot.capture.degradations;
    let body = panel(canvas, area, "What we cannot see or do", &all.len().to_string(), false);
    let mut y = 0;
    for degradation in all.iter().take(MAX_DEGRADATIONS) {
        let (word, role) = (severity_word(degradation.severity), severity_role(degradation.severity));
        canvas.cell(
            Rect { x: body.x + 1, width: 8.min(body.width), ..row(body, y) },
            word,
            Align::Left,
            canvas.style(role),
        );
        let after = canvas.put(body, 10, y, &escape(&degradation.code), Role::Strong);
        canvas.put(body, after + 2, y, &escape(&degradation.what), Role::Text);
        y += 1;
        if !degradation.remedy.is_empty() {
            let arrow = canvas.look.glyphs.arrow;
            canvas.put(body, 10, y, &format!("{arrow} {}", escape(&degradation.remedy)), Role::Dim);
            y += 1;
        }
    }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "notice",
        Severity::Partial => "partial",
        Severity::Fatal => "fatal",
    }
}

/// The colour of a severity.
pub(crate) fn severity_role(severity: Severity) -> Role {
    match severity {
        Severity::Notice => Role::Notice,
        Severity::Partial => Role::Partial,
        Severity::Fatal => Role::Fatal,
    }
}
