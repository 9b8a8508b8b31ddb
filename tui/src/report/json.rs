//! One JSON object when the run ends: the contract `apisec-top/1`.

use super::{Page, Report, Shape};
use apisec_engine::snapshot::Snapshot;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io;

/// The format.
pub(super) const REPORT: Report = Report {
    name: "json",
    about: "one object when the run ends (schema: `apisec-top print schema`)",
    shape: Shape::AtEnd(write),
};

fn write(snapshot: &Snapshot, _page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let mut json = serde_json::Serializer::with_formatter(&mut *out, Harmless(CompactFormatter));
    snapshot.serialize(&mut json)?;
    out.write_all(b"\n")
}

/// JSON whose strings cannot steer a terminal: characters that move the cursor, hide or reorder text are
/// written as `\u` escapes, which every reader turns back into the same string.
struct Harmless(CompactFormatter);

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut clean_from = 0;
        for (at, character) in text.char_indices().filter(|(_, character)| steers_terminal(*character)) {
            out.write_all(text.get(clean_from..at).unwrap_or_default().as_bytes())?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            clean_from = at.saturating_add(character.len_utf8());
        }
        out.write_all(text.get(clean_from..).unwrap_or_default().as_bytes())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }
}

/// Control characters beyond ASCII's (which JSON escapes itself), and invisible or reordering ones.
fn steers_terminal(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::snapshot::{Capture, SCHEMA};

    fn printed(snapshot: &Snapshot) -> String {
        let mut out = Vec::new();
        write(snapshot, &Page { width: None, styled: false }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line_with_the_schema_named() {
        let text = printed(&Snapshot { schema: SCHEMA.into(), ..Snapshot::default() });
        assert!(text.starts_with("{\"schema\":\"apisec-top/1\",\"window\":{"), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn hostile_text_is_escaped_and_reads_back() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}evil\u{e0041}\"\\z";
        let capture = Capture { source: hostile.into(), ..Capture::default() };
        let text = printed(&Snapshot { capture, ..Snapshot::default() });
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}') && !text.contains('\u{e0041}'));
        let back: Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(back.capture.source, hostile);
    }
}
