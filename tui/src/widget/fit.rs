//! Cutting and padding text to a number of columns. Expects escaped text.

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

    proptest! {
        #[test]
        fn always_exactly_as_wide_as_asked(text in "\\PC{0,40}", columns in 0usize..60) {
            let shown = crate::widget::escape::escape(&text);
            prop_assert_eq!(fit(&shown, columns, Align::Left, "…").width(), columns);
            prop_assert_eq!(fit(&shown, columns, Align::Right, "~").width(), columns);
        }
    }
}
