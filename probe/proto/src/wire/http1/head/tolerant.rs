//! Reads heads that a strict parser refuses, and notes what is wrong with them.
//!
//! It decides nothing: two servers may disagree about such a head, and the notes say that they may.

use super::super::Role;
use super::super::start_line::is_line;
use super::{Field, Head, MAX_FIELDS, Span};
use crate::call::Notes;

/// Reads the lines of `bytes`, all of which are whole. `None`: the first is not a start line of that role.
pub(super) fn read(role: Role, bytes: &[u8], fields: &mut Vec<Field>) -> Option<Head> {
    fields.clear();
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().filter(|line| is_line(role, line))?;
    let mut head = start(role, bytes, first.trim_ascii_end())?;
    let mut learnt = Vec::new();
    for line in lines {
        let line = trim_end(line);
        if line.is_empty() {
            break;
        }
        if line.contains(&b'\r') {
            head.notes.add(Notes::ODD_WHITESPACE);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            fold(bytes, line, &mut learnt, &mut head);
        } else {
            split(bytes, line, &mut learnt, &mut head);
        }
    }
    for field in &learnt {
        head.learn(field.name.within(bytes), field.value.within(bytes));
    }
    if learnt.len() > MAX_FIELDS {
        head.notes.add(Notes::HEAD_TRUNCATED);
    }
    fields.extend(learnt.into_iter().take(MAX_FIELDS));
    Some(head)
}

/// Without the line end, and nothing but the line end.
fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn start(role: Role, bytes: &[u8], line: &[u8]) -> Option<Head> {
    let mut head = Head::default();
    match role {
        Role::Request => {
            let space = memchr::memchr(b' ', line)?;
            let (rest, version) = line.split_at_checked(line.len().checked_sub(9)?)?;
            let target = rest.get(space..)?.trim_ascii();
            let method = rest.get(..space)?;
            head.method = Span::of(bytes, method);
            head.target = Span::of(bytes, target);
            head.minor = version.last()?.checked_sub(b'0')?;
            if rest.len() != method.len() + 1 + target.len() || target.iter().any(u8::is_ascii_whitespace) {
                head.notes.add(Notes::ODD_WHITESPACE);
            }
        }
        Role::Response => {
            head.minor = line.get(7)?.checked_sub(b'0')?;
            let digits = line.get(9..12)?;
            head.status =
                digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.saturating_sub(b'0')));
        }
    }
    Some(head)
}

/// A line that continues the one before (obs-fold, RFC 9112 §5.2), or has nothing to continue.
fn fold(bytes: &[u8], line: &[u8], fields: &mut [Field], head: &mut Head) {
    head.notes.add(if fields.is_empty() { Notes::ODD_WHITESPACE } else { Notes::OBS_FOLD });
    if let Some(field) = fields.last_mut() {
        let here = Span::of(bytes, line.trim_ascii_end());
        let end = here.at.saturating_add(here.len);
        field.value.len = end.saturating_sub(field.value.at);
    }
}

fn split(bytes: &[u8], line: &[u8], fields: &mut Vec<Field>, head: &mut Head) {
    let Some((name, [_, value @ ..])) = memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at))
    else {
        head.notes.add(Notes::ODD_WHITESPACE);
        return;
    };
    if name.trim_ascii().len() != name.len() {
        head.notes.add(Notes::ODD_WHITESPACE);
    }
    let (name, value) = (Span::of(bytes, name.trim_ascii()), Span::of(bytes, value.trim_ascii()));
    fields.push(Field { name, value });
}
