//! Documented and observed, side by side.

use crate::layer::inspector::Line;
use crate::theme::Role;
use crate::widget::escape::escape;
use apisec_engine::export::schema::is_name;
use apisec_engine::looks::{Format, Look, REQUEST};
use apisec_engine::snapshot::EndpointView;
use apisec_engine::spec::{Content, Location, Operation, Outline, Status};
use std::collections::BTreeMap;

/// Width of the documented side.
const LEFT: usize = 34;
/// Levels of a documented body that are listed.
const MAX_DEPTH: usize = 5;

/// Something with what is documented of it and what was observed; empty when it is not.
type Pairs = BTreeMap<String, [String; 2]>;

/// The lines; without documentation, everything stands on the right.
pub(super) fn lines(own: &EndpointView) -> Vec<Line> {
    let documented = own.documentation.operation();
    let mut lines = vec![Line::new("", format!("{:<LEFT$} │ observed", "documented"), Role::Strong)];
    section("answers", answers(documented, own), &mut lines);
    section("query", queries(documented, own), &mut lines);
    section(
        "request",
        types(documented.and_then(|own| own.request.as_ref()), &own.request_types),
        &mut lines,
    );
    section("credentials", credentials(documented, own), &mut lines);
    let bodies = own.looks.iter().flat_map(|looks| looks.kept()).filter(|look| look.format != Format::Query);
    for look in bodies {
        let (title, content) = if look.status == REQUEST {
            ("request body".to_owned(), documented.and_then(|own| own.request.as_ref()))
        } else {
            (format!("body of answer {}", look.status), documented.and_then(|own| answer(own, look.status)))
        };
        section(&title, body(content, look), &mut lines);
    }
    lines
}

fn section(title: &str, pairs: Pairs, lines: &mut Vec<Line>) {
    if pairs.is_empty() {
        return;
    }
    lines.push(Line::heading(title));
    for (name, [documented, observed]) in pairs {
        let role = match (documented.is_empty(), observed.is_empty()) {
            (true, _) => Role::DriftFlag,
            (_, true) => Role::Dim,
            _ => Role::Text,
        };
        let left: String =
            if documented.is_empty() { "–".to_owned() } else { documented.chars().take(LEFT).collect() };
        let right = if observed.is_empty() { "–" } else { &observed };
        lines.push(Line::new(escape(&name), escape(&format!("{left:<LEFT$} │ {right}")), role));
    }
}

fn answers(documented: Option<&Operation>, own: &EndpointView) -> Pairs {
    let mut pairs = Pairs::new();
    for response in documented.iter().flat_map(|own| &own.responses) {
        let status = match response.status {
            Status::Code(code) => code.to_string(),
            Status::Class(class) => format!("{class}XX"),
            Status::Default => "default".to_owned(),
        };
        let content = response.content.as_ref().map_or_else(|| "anything".to_owned(), media);
        pairs.entry(status).or_default()[0] = if content.is_empty() { "no body".to_owned() } else { content };
    }
    for (status, calls) in &own.statuses {
        pairs.entry(status.clone()).or_default()[1] = format!("{calls} calls");
    }
    for (status, pair) in &mut pairs {
        let covering = |own: &&Operation| {
            let code: u16 = status.parse().unwrap_or(0);
            code > 0 && own.responses.iter().any(|response| response.status.covers(code))
        };
        if pair[0].is_empty() && documented.as_ref().is_some_and(covering) {
            pair[0] = "covered".to_owned();
        }
    }
    pairs
}

fn media(content: &Content) -> String {
    content.0.iter().map(|(media, _)| media.as_str()).collect::<Vec<_>>().join(" ")
}

fn queries(documented: Option<&Operation>, own: &EndpointView) -> Pairs {
    let mut pairs = Pairs::new();
    let parameters = documented.iter().flat_map(|own| &own.parameters);
    for parameter in parameters.filter(|parameter| parameter.location == Location::Query) {
        let word = if parameter.required { "required" } else { "optional" };
        pairs.entry(parameter.name.to_string()).or_default()[0] = word.to_owned();
    }
    for name in &own.query {
        let place = own.looks.as_ref().and_then(|looks| looks.parameter(name));
        pairs.entry(name.clone()).or_default()[1] =
            place.map_or_else(|| "seen".to_owned(), |own| own.words());
    }
    pairs
}

fn types(documented: Option<&Content>, observed: &[String]) -> Pairs {
    let mut pairs = Pairs::new();
    for (media, _) in documented.iter().flat_map(|content| content.0.iter()) {
        pairs.entry(media.to_string()).or_default()[0] = "documented".to_owned();
    }
    for media in observed {
        pairs.entry(media.clone()).or_default()[1] = "seen".to_owned();
    }
    pairs
}

fn credentials(documented: Option<&Operation>, own: &EndpointView) -> Pairs {
    let word = |secured: bool| if secured { "required" } else { "not required" };
    let left = documented.map_or_else(String::new, |own| word(own.secured).to_owned());
    Pairs::from([("scheme".to_owned(), [left, own.auth.join(" ")])])
}

fn answer(operation: &Operation, status: u16) -> Option<&Content> {
    let mut responses: Vec<_> =
        operation.responses.iter().filter(|response| response.status.covers(status)).collect();
    responses.sort_by_key(|response| response.status);
    responses.first()?.content.as_ref()
}

fn body(content: Option<&Content>, look: &Look) -> Pairs {
    let mut pairs = Pairs::new();
    let outline = content.and_then(|content| content.0.iter().find_map(|(_, outline)| outline.as_deref()));
    if let Some(outline) = outline {
        outlined(outline, "", MAX_DEPTH, &mut pairs);
    }
    for place in look.shape().places().iter().filter(|place| !place.path.is_empty()) {
        if place.path.rsplit('.').next().is_some_and(|key| is_name(key.trim_end_matches("[]"))) {
            pairs.entry(place.path.to_string()).or_default()[1] = place.words();
        }
    }
    pairs
}

/// The documented properties with their kinds.
fn outlined(outline: &Outline, path: &str, depth: usize, pairs: &mut Pairs) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (name, property) in outline.properties.iter() {
        let path = format!("{path}.{name}");
        let required = if property.required { ", required" } else { "" };
        pairs.entry(path.clone()).or_default()[0] = format!("{}{required}", property.outline.kinds);
        outlined(&property.outline, &path, depth, pairs);
    }
    if let Some(items) = &outline.items {
        outlined(items, &format!("{path}[]"), depth, pairs);
    }
}
