//! JSON whose strings cannot steer a terminal: what moves the cursor, hides or reorders text is written as
//! a `\u` escape, which every reader turns back into the same character.

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::io;

/// Writes `value` in one line, without its end.
///
/// # Errors
/// `out` failed, or `value` is nothing that JSON can hold.
pub fn write(value: &impl Serialize, out: impl io::Write) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Harmless))?)
}

struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        // Almost all text is plain ASCII, whose control characters are escaped before they come here.
        if text.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(text.as_bytes());
        }
        for character in text.chars() {
            if steers(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            } else {
                out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Whether a character moves the cursor, hides or reorders text: what no text from outside may do to a reader.
#[must_use]
pub const fn steers(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(&text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_text_is_escaped() {
        let text = written("a\u{1b}[2J\u{9b}31m\u{202e}evil\u{e0041}\"\\é日");
        assert_eq!(text, r#""a\u001b[2J\u009b31m\u202eevil\udb40\udc41\"\\é日""#);
    }

    proptest! {
        #[test]
        fn every_text_reads_back_and_is_harmless(text in any::<String>()) {
            let written = written(&text);
            prop_assert!(!written.chars().any(|character| character.is_control() || steers(character)));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
