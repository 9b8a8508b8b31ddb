//! Cutting, wrapping and padding text to a number of columns. Expects escaped text.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Where the text stands in its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// `text` in at most `columns`, its end replaced by `mark` when it does not fit.
#[must_use]
pub fn clip<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(mark.width()) else { return Cow::Borrowed("") };
    let (head, _) = take(text.chars(), room);
    Cow::Owned(format!("{head}{mark}"))
}

/// `text` in at most `columns`, its start replaced by `mark` when it does not fit: the end tells more.
#[must_use]
pub fn clip_start<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(mark.width()) else { return Cow::Borrowed("") };
    let (tail, _) = take(text.chars().rev(), room);
    Cow::Owned(format!("{mark}{}", tail.chars().rev().collect::<String>()))
}

/// `text` in exactly `columns`.
#[must_use]
pub fn fit(text: &str, columns: usize, align: Align, mark: &str) -> String {
    let clipped = clip(text, columns, mark);
    let blank = " ".repeat(columns.saturating_sub(clipped.width()));
    match align {
        Align::Left => format!("{clipped}{blank}"),
        Align::Right => format!("{blank}{clipped}"),
    }
}

/// `text` in lines of at most `columns`, broken at blanks, or within a word that is longer than a line.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while rest.width() > columns.max(2) {
        let room = take(rest.chars(), columns.max(2)).0.len();
        let (head, tail) = rest.split_at_checked(room).unwrap_or((rest, ""));
        let whole = tail.starts_with(' ').then_some(room).or_else(|| head.rfind(' ').filter(|at| *at > 0));
        let (line, after) = rest.split_at_checked(whole.unwrap_or(room)).unwrap_or((rest, ""));
        lines.push(line.trim_end());
        rest = after.trim_start_matches(' ');
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest);
    }
    lines
}

fn take(chars: impl Iterator<Item = char>, columns: usize) -> (String, usize) {
    let mut used = 0;
    let mut out = String::new();
    for c in chars {
        let width = c.width().unwrap_or(0);
        if used + width > columns {
            break;
        }
        used += width;
        out.push(c);
    }
    (out, used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_with_a_mark() {
        assert_eq!(clip("gateway", 7, "…"), "gateway");
        assert_eq!(clip("gateway", 5, "…"), "gate…");
        assert_eq!(clip_start("/a/b/checkout", 6, "…"), "…ckout");
        assert_eq!(clip("日本語", 5, "…"), "日本…");
        assert_eq!(clip("日本語", 4, "…"), "日…");
        assert_eq!(clip("abc", 0, "…"), "");
    }

    #[test]
    fn wraps_at_blanks_and_within_long_words() {
        assert_eq!(wrap("what to do now", 7), ["what to", "do now"]);
        assert_eq!(wrap("/a/very/long/path x", 8), ["/a/very/", "long/pat", "h x"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("日本語", 0), ["日", "本", "語"]);
    }

    proptest! {
        #[test]
        fn nothing_but_blanks_is_lost_by_wrapping(text in "\\PC{0,60}", columns in 2usize..30) {
            let shown = crate::widget::escape::escape(&text);
            let lines = wrap(&shown, columns);
            prop_assert!(lines.iter().all(|line| line.width() <= columns));
            prop_assert_eq!(lines.concat().replace(' ', ""), shown.replace(' ', ""));
        }

        #[test]
        fn always_exactly_as_wide_as_asked(text in "\\PC{0,40}", columns in 0usize..60) {
            let shown = crate::widget::escape::escape(&text);
            prop_assert_eq!(fit(&shown, columns, Align::Left, "…").width(), columns);
            prop_assert_eq!(fit(&shown, columns, Align::Right, "~").width(), columns);
        }
    }
}
