//! What of the bodies is not as documented, told from their shapes.
//!
//! Undocumented and missing required properties, kinds, forms of text that have a name, texts longer than any documented
//! value. Not told, because no value is kept: whether a text of the right length is one of an `enum`, numbers out of range,
//! patterns. Nothing is called missing that may have been cut off.

use super::difference::ANYBODYS;
use crate::endpoint::EndpointStats;
use crate::export::schema::{Step, is_name, steps};
use crate::looks::{Look, REQUEST};
use crate::spec::{Content, Kinds, Operation, Outline, Status};
use apisec_proto::body::Format;
use apisec_proto::body::shape::{Kinds as Seen, Place, Shape};

/// The kinds of a shape with those of an outline, and their words.
const KINDS: [(Seen, Kinds, &str); 7] = [
    (Seen::NULL, Kinds::NULL, "null"),
    (Seen::BOOLEAN, Kinds::BOOLEAN, "boolean"),
    (Seen::INTEGER, Kinds::INTEGER, "integer"),
    (Seen::NUMBER, Kinds::NUMBER, "number"),
    (Seen::STRING, Kinds::STRING, "string"),
    (Seen::ARRAY, Kinds::ARRAY, "array"),
    (Seen::OBJECT, Kinds::OBJECT, "object"),
];

/// The differences, in words that stay the same: `answer 200 has .debug`, `request lacks .name`, `answer 200 .age is string`.
pub(super) fn differences(operation: &Operation, stats: &EndpointStats) -> Vec<String> {
    let mut found = Vec::new();
    for look in stats.looks.iter().flat_map(|looks| looks.kept()) {
        let Some(outline) = documented(operation, look) else { continue };
        let what =
            if look.status == REQUEST { "request".to_owned() } else { format!("answer {}", look.status) };
        let shape = look.shape();
        for place in shape.places() {
            compare(&what, outline, place, look.format, &mut found);
        }
        if !look.whole.more() && look.whole_bodies > 0 {
            lacking(&what, outline, "", look.status == REQUEST, &look.whole, &mut found);
        }
    }
    found
}

/// What is documented of such bodies; `None` when nothing is, or different things.
fn documented<'a>(operation: &'a Operation, look: &Look) -> Option<&'a Outline> {
    let content =
        if look.status == REQUEST { operation.request.as_ref()? } else { answer(operation, look.status)? };
    let mut outlines =
        content.0.iter().filter(|(media, _)| is_of(look.format, media)).map(|(_, outline)| outline);
    let first = outlines.next()?.as_ref()?;
    outlines.all(|other| other.as_ref() == Some(first)).then_some(&**first)
}

/// The answer with this status, the nearest description of it. What anybody may answer on behalf of the operation is
/// compared only where it is described on its own.
fn answer(operation: &Operation, status: u16) -> Option<&Content> {
    let mut responses: Vec<_> =
        operation.responses.iter().filter(|response| response.status.covers(status)).collect();
    responses.sort_by_key(|response| response.status);
    let nearest = responses.first()?;
    let own = nearest.status == Status::Code(status);
    nearest.content.as_ref().filter(|_| own || !ANYBODYS.contains(&status))
}

fn is_of(format: Format, media: &str) -> bool {
    match format {
        Format::Json => media.contains("json") || media == "*/*",
        Format::Form => media == "application/x-www-form-urlencoded",
        Format::Multipart => media.starts_with("multipart/"),
        Format::Binary | Format::Xml | Format::Text | Format::Query => false,
    }
}

fn compare(what: &str, outline: &Outline, place: &Place, format: Format, found: &mut Vec<String>) {
    let mut at = outline;
    let mut walked = 0;
    for step in steps(&place.path) {
        match step {
            Step::Element => {
                walked += "[]".len();
                match &at.items {
                    Some(items) => at = items,
                    None => return,
                }
            }
            Step::Member(name) => {
                walked += name.len() + 1;
                match at.properties.get(name) {
                    Some(property) => at = &property.outline,
                    None if at.open || !is_name(name) || !at.kinds.allows(Kinds::OBJECT) => return,
                    None => {
                        let undocumented = place.path.get(..walked).unwrap_or(&place.path);
                        let said = format!("{what} has {undocumented}");
                        // Everything within it is undocumented for the same reason.
                        return found.extend(Some(said).filter(|said| !found.contains(said)));
                    }
                }
            }
        }
    }
    let path = if place.path.is_empty() { "as a whole" } else { place.path.as_str() };
    // All that a form holds is text.
    if format == Format::Json {
        let strange =
            KINDS.iter().filter(|(seen, kind, _)| place.kinds.contains(*seen) && !at.kinds.allows(*kind));
        found.extend(strange.map(|(_, _, word)| format!("{what} {path} is {word}")));
    }
    if !at.kinds.allows(Kinds::STRING) || !place.kinds.contains(Seen::STRING) {
        return;
    }
    if at.forms.is_some_and(|forms| place.formats.0 & !forms.0 != 0) {
        found.push(format!("{what} {path} is not of the documented form"));
    } else if at.longest.is_some_and(|longest| place.longest > longest && !place.kinds.contains(Seen::ARRAY))
    {
        found.push(format!("{what} {path} is longer than documented"));
    }
}

/// Required properties that some object lacked which was read whole.
fn lacking(what: &str, outline: &Outline, path: &str, request: bool, whole: &Shape, found: &mut Vec<String>) {
    let Some(place) = whole.at(path) else { return };
    for (name, property) in outline.properties.iter().filter(|_| place.objects > 0) {
        let below = format!("{path}.{name}");
        let [answers_only, requests_only] = property.only;
        let expected = property.required && !if request { answers_only } else { requests_only };
        if expected && whole.at(&below).is_none_or(|member| member.count < place.objects) {
            found.push(format!("{what} lacks {below}"));
        }
        lacking(what, &property.outline, &below, request, whole, found);
    }
    if let Some(items) = &outline.items {
        lacking(what, items, &format!("{path}[]"), request, whole, found);
    }
}

#[cfg(test)]
mod tests;
