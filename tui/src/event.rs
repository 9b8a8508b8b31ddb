//! What happens to the terminal, as one closed enum: the only thing that the reducer hears.

use apisec_engine::snapshot::Snapshot;
use std::fmt;
use std::sync::Arc;

/// One happening.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Chord),
    /// The mouse did something at a cell.
    Mouse {
        /// What.
        gesture: Gesture,
        /// Column.
        column: u16,
        /// Row.
        row: u16,
    },
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size.
    Resize(u16, u16),
    /// There is a newer snapshot.
    Snapshot(Arc<Snapshot>),
    /// The pipeline has ended: no newer snapshot will come.
    Ended,
    /// A second has passed.
    Second,
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// The first button went down.
    Click,
    /// The wheel turned away from the user.
    WheelUp,
    /// The wheel turned towards the user.
    WheelDown,
}

/// A key without its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A printable character.
    Char(char),
    /// A function key.
    F(u8),
    /// Any other key, by its name in keymaps.
    Named(&'static str),
}

/// Names of keys that are not characters.
pub const KEY_NAMES: &[&str] = &[
    "enter",
    "esc",
    "tab",
    "backspace",
    "delete",
    "insert",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "page-up",
    "page-down",
];

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chord {
    /// The key.
    pub key: Key,
    /// With Control.
    pub ctrl: bool,
    /// With Alt.
    pub alt: bool,
    /// With Shift; never set for characters, whose case already says it.
    pub shift: bool,
}

impl Chord {
    /// A key without modifiers.
    #[must_use]
    pub const fn plain(key: Key) -> Self {
        Self { key, ctrl: false, alt: false, shift: false }
    }

    /// Reads `ctrl-c`, `shift-tab`, `space`, `[`, `f5`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut chord = Self::plain(Key::Char(' '));
        let mut rest = text;
        loop {
            if let Some(tail) = rest.strip_prefix("ctrl-").filter(|tail| !tail.is_empty()) {
                (chord.ctrl, rest) = (true, tail);
            } else if let Some(tail) = rest.strip_prefix("alt-").filter(|tail| !tail.is_empty()) {
                (chord.alt, rest) = (true, tail);
            } else if let Some(tail) = rest.strip_prefix("shift-").filter(|tail| !tail.is_empty()) {
                (chord.shift, rest) = (true, tail);
            } else {
                break;
            }
        }
        chord.key = parse_key(rest)?;
        Some(chord)
    }

    /// The character that it types, if it types one.
    #[must_use]
    pub fn typed(&self) -> Option<char> {
        match self.key {
            Key::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

fn parse_key(text: &str) -> Option<Key> {
    if text == "space" {
        return Some(Key::Char(' '));
    }
    if let Some(name) = KEY_NAMES.iter().find(|name| **name == text) {
        return Some(Key::Named(name));
    }
    let mut chars = text.chars();
    match (chars.next(), chars.as_str()) {
        (Some(c), "") => Some(Key::Char(c)),
        (Some('f'), number) => number.parse().ok().filter(|n| (1..=24).contains(n)).map(Key::F),
        _ => None,
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (on, name) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if on {
                f.write_str(name)?;
            }
        }
        match self.key {
            Key::Char(' ') => f.write_str("space"),
            Key::Char(c) => write!(f, "{c}"),
            Key::F(n) => write!(f, "f{n}"),
            Key::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_print_as_they_parse() {
        for text in
            ["q", "Q", "ctrl-c", "shift-tab", "space", "[", "-", "f5", "alt-enter", "ctrl-alt-x", "page-up"]
        {
            assert_eq!(Chord::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "ctrl-", "f0", "f99", "hyper-x", "enterr"] {
            let parsed = Chord::parse(text);
            assert!(parsed.is_none(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn only_bare_characters_type() {
        assert_eq!(Chord::parse("x").and_then(|c| c.typed()), Some('x'));
        assert_eq!(Chord::parse("ctrl-x").and_then(|c| c.typed()), None);
        assert_eq!(Chord::parse("enter").and_then(|c| c.typed()), None);
    }
}
