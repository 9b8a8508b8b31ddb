//! The one function between the wire and the screen: afterwards a text can neither steer the terminal nor
//! pretend to be another text by invisible, reordering or blank characters.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// Longest text that is drawn, in bytes: no field of a snapshot needs more, and a longer one only costs time.
const LONGEST: usize = 2_048;

/// `text` with everything that is not plainly visible written as `\x1b` or `\u{202e}`, and `\` doubled.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(LONGEST) + 8);
    for c in text.chars() {
        if out.len() >= LONGEST {
            break;
        }
        push(&mut out, c);
    }
    Cow::Owned(out)
}

/// As [`escape`], for bytes that may not be UTF-8: what is not is written as `\xff`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _infallible = write!(out, "\\x{byte:02x}");
        }
        if out.len() >= LONGEST {
            break;
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    let _infallible = match c {
        '\\' => write!(out, "\\\\"),
        '\0'..='\u{9f}' if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)),
        _ if hidden(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        _ => {
            out.push(c);
            Ok(())
        }
    };
}

/// Whether `c` is invisible, blank, reorders its neighbours, joins them, or has no agreed shape.
fn hidden(c: char) -> bool {
    c.width().unwrap_or(0) == 0
        || (c != ' ' && c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffc}'
            | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr as _;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(escape("/users/{id:int}?q"), Cow::Borrowed(_)));
    }

    #[test]
    fn hostile_strings() {
        let table = [
            ("\x1b[2J\x07", "\\x1b[2J\\x07"),
            ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
            ("\u{9b}31m", "\\x9b31m"),
            ("x\u{202e}gpj.exe", "x\\u{202e}gpj.exe"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("\u{2066}l\u{2069}", "\\u{2066}l\\u{2069}"),
            ("e\u{301}", "e\\u{301}"),
            ("a\u{a0}b\u{3000}c", "a\\u{a0}b\\u{3000}c"),
            ("\u{e0041}\u{f8ff}", "\\u{e0041}\\u{f8ff}"),
            ("a\\x1b", "a\\\\x1b"),
            ("日本 é", "日本 é"),
            ("\0", "\\x00"),
            ("\u{7f}", "\\x7f"),
        ];
        for (input, shown) in table {
            assert_eq!(escape(input), shown, "{input:?}");
        }
    }

    #[test]
    fn invalid_utf8_is_shown_as_bytes() {
        assert_eq!(escape_bytes(b"ok\xff\xfe\x1bz"), "ok\\xff\\xfe\\x1bz");
    }

    #[test]
    fn every_character_becomes_visible_and_measurable() {
        for c in (0..=0x10_ffffu32).filter_map(char::from_u32) {
            let text = c.to_string();
            let shown = escape(&text);
            assert!(shown.width() >= 1, "{c:?}");
            assert!(!shown.chars().any(char::is_control), "{c:?}");
            assert_eq!(shown.width(), shown.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>(), "{c:?}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let long = "\u{202e}".repeat(100_000);
        assert!(escape(&long).len() <= LONGEST + 16);
        assert!(escape_bytes(&[0xff; 100_000]).len() <= 500_000);
    }
}
