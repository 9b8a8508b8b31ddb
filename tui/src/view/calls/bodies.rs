//! What the bodies of a call look like: keys, types and sensitive classes, which is all that is known of them.

use crate::format::bytes;
use crate::layer::inspector::Line;
use crate::theme::Role;
use crate::widget::escape::escape;
use apisec_engine::call_log::{Bodies, Body};

/// Places that are shown of one body.
const SHOWN: usize = 64;

/// The lines of the query and both bodies, those that were read.
pub(super) fn lines(bodies: &Bodies) -> Vec<Line> {
    let known =
        [("query", &bodies.query), ("request body", &bodies.request), ("response body", &bodies.response)];
    let known = known.into_iter().filter_map(|(title, body)| Some((title, body.as_ref()?)));
    known.flat_map(|(title, body)| body_lines(title, body)).collect()
}

fn body_lines(title: &str, body: &Body) -> Vec<Line> {
    let part = if body.whole { "whole" } else { "beginning only" };
    let mut lines = vec![
        Line::heading(title),
        Line::new("form", format!("{}, {}, {part}", summary(body), bytes(body.read)), Role::Text),
    ];
    lines.extend(
        body.sensitive
            .iter()
            .map(|(class, n)| Line::new("holds", format!("{} × {n}", class.name()), Role::Masked)),
    );
    for place in body.shape.places().iter().take(SHOWN) {
        let path = if place.path.is_empty() { "." } else { place.path.as_str() };
        let role = if place.classes.0 == 0 { Role::Dim } else { Role::Masked };
        lines.push(Line::new("", format!("{}  {}", escape(path), place.words()), role));
    }
    let hidden = body.shape.places().len().saturating_sub(SHOWN);
    if hidden > 0 || body.shape.more() {
        lines.push(Line::new("", format!("and {} more places", hidden.max(1)), Role::Dim));
    }
    lines
}

/// Format and coding in words.
fn summary(body: &Body) -> String {
    let format = format!("{:?}", body.format).to_lowercase();
    let coding = format!("{:?}", body.coding).to_lowercase();
    if coding == "identity" { format } else { format!("{format} in {coding}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_was_read() {
        assert!(lines(&Bodies::default()).is_empty());
    }

    #[test]
    fn a_body_has_a_heading_and_its_form() {
        let bodies =
            Bodies { request: Some(Body { read: 7, whole: true, ..Body::default() }), ..Bodies::default() };
        assert_eq!(lines(&bodies).len(), 2);
        assert_eq!(summary(bodies.request.as_ref().expect("a body")), "binary");
    }
}
