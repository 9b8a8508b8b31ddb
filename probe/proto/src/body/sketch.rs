//! A shape in the making: where in a document the reader stands, and what it finds there.

use super::format::format;
use super::shape::{Kinds, Shape, Tally};
use crate::sensitive::value::{classify_value, is_of_health};
use crate::sensitive::{Sensitive, classify};

/// Longest key that is kept; longer ones are cut.
const MAX_KEY: usize = 64;

/// Words of a text without structure that are looked at.
const MAX_WORDS: usize = 2_000;

/// A shape and the classes that were found on the way.
#[derive(Default)]
pub(super) struct Sketch {
    pub(super) shape: Shape,
    pub(super) sensitive: Tally,
    path: String,
}

impl Sketch {
    /// Enters a member; gives what [`leave`](Self::leave) wants.
    pub(super) fn enter(&mut self, key: &[u8]) -> usize {
        let before = self.path.len();
        self.path.push('.');
        push_key(key, &mut self.path);
        before
    }

    /// Enters the elements of an array.
    pub(super) fn enter_elements(&mut self) {
        self.path.push_str("[]");
    }

    /// Length of the path.
    pub(super) fn position(&self) -> usize {
        self.path.len()
    }

    /// Goes back to where the path was so long.
    pub(super) fn leave(&mut self, before: usize) {
        self.path.truncate(before);
    }

    /// The last key of the path.
    fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]")
    }

    /// A value that is no text.
    pub(super) fn value(&mut self, kind: Kinds) {
        self.shape.add(&self.path, |place| {
            place.kinds.insert(kind);
            place.count = place.count.saturating_add(1);
            place.objects = place.objects.saturating_add(u32::from(kind == Kinds::OBJECT));
        });
    }

    /// A number, which may be a card.
    pub(super) fn number(&mut self, digits: &[u8]) {
        let whole = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        self.value(if whole { Kinds::INTEGER } else { Kinds::NUMBER });
        if whole && digits.len() >= 8 {
            self.classify(digits);
        } else if is_of_health(&self.path) {
            self.hold(Sensitive::Health);
        }
    }

    /// A text; `whole` when it was not cut.
    pub(super) fn text(&mut self, text: &[u8], kind: Kinds, whole: bool) {
        let form = whole.then(|| format(text));
        self.shape.add(&self.path, |place| {
            place.kinds.insert(kind);
            form.into_iter().for_each(|form| place.formats.insert(form));
            place.count = place.count.saturating_add(1);
            place.longest = place.longest.max(u32::try_from(text.len()).unwrap_or(u32::MAX));
        });
        self.classify(text);
    }

    /// A value of a query: text, that says what its kind would be.
    pub(super) fn query(&mut self, text: &[u8]) {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        // What begins with a nought is a code.
        let is_whole = |part: &[u8]| is_number(part) && (part.len() == 1 || part.first() != Some(&b'0'));
        let halves = memchr::memchr(b'.', digits).and_then(|at| digits.split_at_checked(at));
        let is_fraction = halves
            .is_some_and(|(whole, rest)| is_whole(whole) && is_number(rest.get(1..).unwrap_or_default()));
        if is_whole(digits) || is_fraction {
            self.number(text);
        } else if matches!(text, b"true" | b"false") {
            self.value(Kinds::BOOLEAN);
        } else {
            self.text(text, Kinds::STRING, true);
        }
    }

    /// A file of so many bytes.
    pub(super) fn file(&mut self, len: usize) {
        self.value(Kinds::FILE);
        self.elements(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Words of a text that has no structure.
    pub(super) fn words(&mut self, text: &[u8]) {
        let is_border = |byte: &u8| byte.is_ascii_whitespace() || b"<>\"'`,;()[]{}|".contains(byte);
        for word in text.split(is_border).filter(|word| word.len() >= 7).take(MAX_WORDS) {
            let word = word.strip_suffix(b".").or_else(|| word.strip_suffix(b":")).unwrap_or(word);
            if let Some(class) = classify_value(b"", word) {
                self.sensitive.add(class);
            }
        }
        if classify_value(b"", text) == Some(Sensitive::PrivateKey) {
            self.sensitive.add(Sensitive::PrivateKey);
        }
    }

    /// An array had so many elements.
    pub(super) fn elements(&mut self, count: u32) {
        self.shape.add(&self.path, |place| place.longest = place.longest.max(count));
    }

    fn classify(&mut self, value: &[u8]) {
        let of_health = || (!value.is_empty() && is_of_health(&self.path)).then_some(Sensitive::Health);
        if let Some(class) = classify_value(self.key().as_bytes(), value).or_else(of_health) {
            self.hold(class);
        }
    }

    fn hold(&mut self, class: Sensitive) {
        self.sensitive.add(class);
        self.shape.add(&self.path, |place| place.classes.insert(class));
    }
}

/// Appends a key, or the class of one that is an identifier or sensitive: maps are keyed by them.
fn push_key(key: &[u8], path: &mut String) {
    if let Some(class) = classify(key).or_else(|| classify_value(b"", key)) {
        path.push('{');
        path.push_str(class.name());
        path.push('}');
    } else if is_identifier(key) {
        path.push_str("{id}");
    } else {
        let clean = |byte: &u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'$' | b'@' | b':' | b'/' => {
                char::from(*byte)
            }
            _ => '?',
        };
        path.extend(key.iter().take(MAX_KEY).map(clean));
    }
}

/// Digits, hexadecimal with digits in it, or a name with a long number.
fn is_identifier(key: &[u8]) -> bool {
    let digits = key.iter().filter(|byte| byte.is_ascii_digit()).count();
    let hex =
        key.len() >= 8 && digits > 1 && key.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    !key.is_empty() && (digits == key.len() || hex || digits >= 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (key, shown) in [
            ("name", "name"),
            ("grö", "gr??"),
            ("a.b", "a?b"),
            ("42", "{id}"),
            ("550e8400-e29b-41d4-a716-446655440000", "{id}"),
            ("user_123456", "{id}"),
            ("ada@example.com", "{email}"),
            ("address2", "address2"),
            ("", ""),
        ] {
            let mut path = String::new();
            push_key(key.as_bytes(), &mut path);
            assert_eq!(path, shown, "{key}");
        }
    }
}
