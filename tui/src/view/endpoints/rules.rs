//! Merge and split: what they would change, in words, before they are sent.

use super::forest::{Kind, Row, segments};
use crate::action::Action;
use crate::format::count;
use crate::view::World;
use crate::widget::escape::escape;
use apisec_engine::command::{Command, TemplateRule};
use std::collections::BTreeSet;

/// Siblings that the preview names.
const NAMED: usize = 5;

/// Which rules make sense for a row.
pub(super) fn possible(row: &Row) -> impl Iterator<Item = Action> {
    let merge = merge_target(row).map(|_| Action::Merge);
    merge.into_iter().chain(split_target(row).map(|_| Action::Split))
}

/// Title, lines and command of the rule that `action` asks for.
///
/// # Errors
/// The rule makes no sense here, and why.
pub(super) fn preview(
    action: &Action,
    row: &Row,
    world: &World<'_>,
) -> Result<(&'static str, Vec<String>, Command), &'static str> {
    let service = row.service.clone();
    if *action == Action::Merge {
        let path = merge_target(row).ok_or("only a literal path segment can be merged with its siblings")?;
        let lines = merge_lines(&service, path, world);
        return Ok((
            "Merge siblings",
            lines,
            Command::Add(TemplateRule::Merge { service, path: path.to_owned() }),
        ));
    }
    let path = split_target(row).ok_or("only a parameter can be split")?;
    let lines = split_lines(&service, path, world);
    Ok(("Split a parameter", lines, Command::Add(TemplateRule::Split { service, path: path.to_owned() })))
}

/// The path up to the segment in which the row differs from its siblings, if that is literal.
fn merge_target(row: &Row) -> Option<&str> {
    let path = match row.kind {
        Kind::Service => return None,
        Kind::Method(_) => &row.path,
        Kind::Path => {
            let first = segments(&row.label).next()?.len();
            row.path.get(..row.path.len().checked_sub(row.label.len())? + first)?
        }
    };
    last(path).filter(|segment| !segment.contains('{')).map(|_| path)
}

/// The path up to the last parameter of the row.
fn split_target(row: &Row) -> Option<&str> {
    let shown = if row.kind == Kind::Path { row.label.as_str() } else { last(&row.path)? };
    let after: usize = segments(shown)
        .collect::<Vec<_>>()
        .iter()
        .rev()
        .take_while(|s| !s.contains('{'))
        .map(|s| s.len())
        .sum();
    let path = row.path.get(..row.path.len().checked_sub(after)?)?;
    last(path).filter(|segment| segment.contains('{') && shown.contains('{')).map(|_| path)
}

fn merge_lines(service: &str, path: &str, world: &World<'_>) -> Vec<String> {
    let parent = parent(path);
    let depth = segments(path).count();
    let siblings: Vec<_> = world
        .snapshot
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.service == service && segments(&endpoint.path).count() >= depth)
        .filter_map(|endpoint| {
            Some((endpoint.path.strip_prefix(parent).and_then(|rest| segments(rest).next())?, endpoint))
        })
        .filter(|(segment, _)| !segment.contains('{'))
        .collect();
    let names: BTreeSet<&str> = siblings.iter().map(|(segment, _)| *segment).collect();
    let calls: u64 = siblings.iter().map(|(_, endpoint)| endpoint.calls).sum();
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| escape(name)).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![
        format!("In {} below {}/ these become one parameter:", world.labels.get(service), escape(parent)),
        format!("  {}{more}", shown.join("  ")),
        format!("{} endpoints with {} calls are concerned.", siblings.len(), count(calls)),
        "The undo key takes it back.".to_owned(),
    ]
}

fn split_lines(service: &str, path: &str, world: &World<'_>) -> Vec<String> {
    let below = world.snapshot.endpoints.iter().filter(|e| e.service == service && e.path.starts_with(path));
    let (endpoints, calls) = below.fold((0u64, 0u64), |(n, calls), endpoint| (n + 1, calls + endpoint.calls));
    vec![
        format!("In {} the values of the last segment of", world.labels.get(service)),
        format!("  {}", escape(path)),
        "are shown literally from now on. What was counted until now stays as it is.".to_owned(),
        format!("{endpoints} endpoints with {} calls are concerned.", count(calls)),
        "The undo key takes it back.".to_owned(),
    ]
}

fn last(path: &str) -> Option<&str> {
    segments(path).last().filter(|segment| *segment != "/")
}

/// The path without its last segment.
fn parent(path: &str) -> &str {
    let length = last(path).map_or(0, str::len);
    path.get(..path.len().saturating_sub(length)).unwrap_or_default()
}
