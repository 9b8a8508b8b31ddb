//! JSON as a flat run of tokens, read from what may be only a prefix.
//!
//! Nothing is recursive, allocated or trusted: nesting beyond a bound ends the reading, as the end of the captured
//! bytes does. It checks structure, not the inside of numbers.

use memchr::{memchr, memchr2};

/// Deepest nesting that is followed.
pub(crate) const MAX_DEPTH: u32 = 64;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The innermost object or array ends.
    Close,
    /// The key of a member.
    Key(Text<'a>),
    /// A string.
    Text(Text<'a>),
    /// A number.
    Number(&'a [u8]),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`.
    Null,
}

/// The inside of a string, with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// Without the quotes.
    pub(crate) raw: &'a [u8],
    /// The closing quote was there.
    pub(crate) whole: bool,
}

/// How the reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The document is complete.
    Whole,
    /// The bytes end, or the nesting is too deep, before the document does.
    Cut,
    /// It is not JSON.
    Bad,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    /// A value, or the end of the array that has just begun.
    ValueOrEnd,
    Key,
    /// A key, or the end of the object that has just begun.
    KeyOrEnd,
    CommaOrEnd,
    Done(Ending),
}

/// Reads tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    next: Next,
    depth: u32,
    /// The bit of each level: it is an array.
    arrays: u64,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, next: Next::Value, depth: 0, arrays: 0 }
    }

    /// How the reading ended, once there are no tokens any more.
    pub(crate) const fn ending(&self) -> Ending {
        match self.next {
            Next::Done(ending) => ending,
            _ => Ending::Cut,
        }
    }

    /// The next member of the object that was opened last: its key and value. `None` at its end.
    pub(crate) fn member(&mut self) -> Option<(Text<'a>, Value<'a>)> {
        match self.next()? {
            Token::Key(key) => Some((key, self.value()?)),
            _ => None,
        }
    }

    /// The next element of the array that was opened last. `None` at its end.
    pub(crate) fn element(&mut self) -> Option<Value<'a>> {
        self.value()
    }

    /// Passes over the next value.
    fn value(&mut self) -> Option<Value<'a>> {
        let depth = self.depth;
        let first = self.next()?;
        if first == Token::Close {
            return None;
        }
        let start = self.started(first);
        while self.depth > depth {
            if self.next().is_none() {
                break;
            }
        }
        Some(Value { raw: self.bytes.get(start..self.at).unwrap_or_default(), first })
    }

    /// Where the token that was just read began.
    const fn started(&self, token: Token<'_>) -> usize {
        let len = match token {
            Token::Object | Token::Array | Token::Close => 1,
            Token::Key(text) | Token::Text(text) => text.raw.len() + 1 + text.whole as usize,
            Token::Number(digits) => digits.len(),
            Token::Boolean(true) | Token::Null => 4,
            Token::Boolean(false) => 5,
        };
        self.at.saturating_sub(len)
    }

    fn blank(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    fn stop(&mut self, ending: Ending) -> Option<Token<'a>> {
        self.next = Next::Done(ending);
        None
    }

    const fn is_array(&self) -> bool {
        self.depth > 0 && self.arrays >> (self.depth - 1) & 1 == 1
    }

    /// A value has ended.
    const fn ended(&mut self) {
        self.next = if self.depth == 0 { Next::Done(Ending::Whole) } else { Next::CommaOrEnd };
    }

    fn open(&mut self, array: bool) -> Option<Token<'a>> {
        if self.depth == MAX_DEPTH {
            return self.stop(Ending::Cut);
        }
        let bit = 1 << self.depth;
        self.arrays = if array { self.arrays | bit } else { self.arrays & !bit };
        self.depth += 1;
        self.at += 1;
        self.next = if array { Next::ValueOrEnd } else { Next::KeyOrEnd };
        Some(if array { Token::Array } else { Token::Object })
    }

    fn close(&mut self) -> Option<Token<'a>> {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
        self.ended();
        Some(Token::Close)
    }

    fn string(&mut self) -> Text<'a> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let mut end = 0;
        loop {
            let tail = rest.get(end..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', tail) else { break };
            end += found;
            if rest.get(end) == Some(&b'"') {
                self.at += end + 2;
                return Text { raw: rest.get(..end).unwrap_or_default(), whole: true };
            }
            end += 2;
        }
        self.at = self.bytes.len();
        Text { raw: rest, whole: false }
    }

    fn scalar(&mut self) -> Option<Token<'a>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = rest.iter().take_while(is_part).count();
        let word = rest.get(..len).unwrap_or_default();
        let token = match word {
            b"true" => Token::Boolean(true),
            b"false" => Token::Boolean(false),
            b"null" => Token::Null,
            [b'-' | b'0'..=b'9', ..] => Token::Number(word),
            _ => {
                let cut = len == rest.len()
                    && [&b"true"[..], b"false", b"null"].iter().any(|full| full.starts_with(word));
                return self.stop(if cut { Ending::Cut } else { Ending::Bad });
            }
        };
        self.at += len;
        self.ended();
        Some(token)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.blank();
            let byte = self.bytes.get(self.at).copied();
            match (self.next, byte) {
                (Next::Done(Ending::Whole), Some(_)) => return self.stop(Ending::Bad),
                (Next::Done(_), _) => return None,
                (_, None) => return self.stop(Ending::Cut),
                (Next::Value | Next::ValueOrEnd, Some(b'{')) => return self.open(false),
                (Next::Value | Next::ValueOrEnd, Some(b'[')) => return self.open(true),
                (Next::Value | Next::ValueOrEnd, Some(b'"')) => {
                    let text = self.string();
                    self.ended();
                    return Some(Token::Text(text));
                }
                (Next::ValueOrEnd, Some(b']')) | (Next::KeyOrEnd, Some(b'}')) => return self.close(),
                (Next::Value | Next::ValueOrEnd, Some(_)) => return self.scalar(),
                (Next::Key | Next::KeyOrEnd, Some(b'"')) => {
                    let key = self.string();
                    self.blank();
                    match self.bytes.get(self.at) {
                        Some(b':') if key.whole => self.at += 1,
                        Some(_) => return self.stop(Ending::Bad),
                        None => return self.stop(Ending::Cut),
                    }
                    self.next = Next::Value;
                    return Some(Token::Key(key));
                }
                (Next::CommaOrEnd, Some(b',')) => {
                    self.at += 1;
                    self.next = if self.is_array() { Next::Value } else { Next::Key };
                }
                (Next::CommaOrEnd, Some(b']')) if self.is_array() => return self.close(),
                (Next::CommaOrEnd, Some(b'}')) if !self.is_array() => return self.close(),
                (Next::Key | Next::KeyOrEnd | Next::CommaOrEnd, Some(_)) => return self.stop(Ending::Bad),
            }
        }
    }
}

/// A value that was passed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    /// Its text, as far as it was there.
    pub(crate) raw: &'a [u8],
    first: Token<'a>,
}

impl<'a> Value<'a> {
    /// A string.
    pub(crate) const fn text(&self) -> Option<Text<'a>> {
        match self.first {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that fits.
    pub(crate) fn integer(&self) -> Option<i32> {
        match self.first {
            Token::Number(digits) => str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        self.first == Token::Boolean(true)
    }

    /// The tokens inside an object, ready for [`Tokens::member`].
    pub(crate) fn object(&self) -> Option<Tokens<'a>> {
        open(self.raw, Token::Object)
    }

    /// The tokens inside an array, ready for [`Tokens::element`].
    pub(crate) fn array(&self) -> Option<Tokens<'a>> {
        open(self.raw, Token::Array)
    }
}

/// The tokens of a document that is an object, ready for [`Tokens::member`].
pub(crate) fn object(bytes: &[u8]) -> Option<Tokens<'_>> {
    open(bytes, Token::Object)
}

/// The tokens of a document that is an array, ready for [`Tokens::element`].
pub(crate) fn array(bytes: &[u8]) -> Option<Tokens<'_>> {
    open(bytes, Token::Array)
}

fn open<'a>(bytes: &'a [u8], wanted: Token<'_>) -> Option<Tokens<'a>> {
    let mut tokens = Tokens::new(bytes);
    (tokens.next()? == wanted).then_some(tokens)
}

impl<'a> Text<'a> {
    /// Its characters; `scratch` is only used when there are escapes.
    pub(crate) fn unescaped<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        if memchr(b'\\', self.raw).is_none() {
            return self.raw;
        }
        scratch.clear();
        let mut rest = self.raw;
        while let Some(at) = memchr(b'\\', rest) {
            scratch.extend_from_slice(rest.get(..at).unwrap_or_default());
            let (byte, len) = match rest.get(at + 1) {
                Some(b'n') => (b'\n', 2),
                Some(b't') => (b'\t', 2),
                Some(b'r') => (b'\r', 2),
                Some(b'b' | b'f') => (b' ', 2),
                Some(b'u') => (ascii(rest.get(at + 2..at + 6)), 6),
                Some(byte) => (*byte, 2),
                None => break,
            };
            scratch.push(byte);
            rest = rest.get(at + len..).unwrap_or_default();
        }
        if memchr(b'\\', rest).is_none() {
            scratch.extend_from_slice(rest);
        }
        scratch
    }
}

/// The character of four hexadecimal digits when it is ASCII, else a question mark: names are ASCII.
fn ascii(digits: Option<&[u8]>) -> u8 {
    let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
    let code = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
    code.and_then(|code| u8::try_from(code).ok()).filter(u8::is_ascii).unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ending(text: &[u8]) -> Ending {
        let mut tokens = Tokens::new(text);
        tokens.by_ref().for_each(drop);
        tokens.ending()
    }

    #[test]
    fn endings() {
        for whole in ["{}", " [1, -2.5e+3, true,false ,null,\"a\\\"b\"] ", "\"x\"", "7", r#"{"a":{"b":[]}}"#]
        {
            assert_eq!(ending(whole.as_bytes()), Ending::Whole, "{whole}");
        }
        for cut in ["", " ", "{", "[1,", r#"{"a"#, r#"{"a""#, r#"{"a":"#, r#"{"a":"x\"#, "[tr", "[[["] {
            assert_eq!(ending(cut.as_bytes()), Ending::Cut, "{cut}");
        }
        for bad in
            ["}", "{]", "[}", "[1 2]", "{a:1}", r#"{"a" 1}"#, "[1,]", "tru", "{} {}", "nope", "[,1]", "{,}"]
        {
            let expected = if bad == "tru" { Ending::Cut } else { Ending::Bad };
            assert_eq!(ending(bad.as_bytes()), expected, "{bad}");
        }
        assert_eq!(ending(&b"[".repeat(100_000)), Ending::Cut);
    }

    #[test]
    fn members_and_elements() {
        let text = br#"{"a": {"x": [1]}, "b" : "t\u0041\n", "c": 12, "d": [1, {}, "z"], "e": tr"#;
        let mut members = object(text).unwrap();
        let (key, value) = members.member().unwrap();
        assert_eq!((key.raw, value.raw), (&b"a"[..], &br#"{"x": [1]}"#[..]));
        let (_, value) = members.member().unwrap();
        assert_eq!(value.text().unwrap().unescaped(&mut Vec::new()), b"tA\n");
        assert_eq!(value.raw, br#""t\u0041\n""#);
        assert_eq!(members.member().unwrap().1.integer(), Some(12));
        let (_, list) = members.member().unwrap();
        let mut elements = list.array().unwrap();
        assert_eq!(elements.element().unwrap().raw, b"1");
        assert!(elements.element().unwrap().object().is_some());
        assert_eq!(elements.element().unwrap().text().unwrap().raw, b"z");
        assert!(elements.element().is_none());
        assert!(members.member().is_none());
        assert_eq!(members.ending(), Ending::Cut);
    }

    proptest! {
        #[test]
        fn agrees_with_serde(text in r#"[\[\]{}:, "a1tn\\-]{0,24}"#) {
            let ours = ending(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            if theirs.is_ok() {
                prop_assert_eq!(ours, Ending::Whole);
            }
        }

        #[test]
        fn every_prefix_of_a_document_is_cut(depth in 0_usize..5, width in 1_usize..5) {
            let mut value = serde_json::json!({"k\"ey": [1.5, "te\\xt", null, true], "n": {}});
            for _ in 0..depth {
                value = serde_json::Value::Array(vec![value; width]);
            }
            let text = value.to_string();
            for end in 0..text.len() {
                prop_assert_eq!(ending(&text.as_bytes()[..end]), Ending::Cut, "{}", &text[..end]);
            }
            prop_assert_eq!(ending(text.as_bytes()), Ending::Whole);
        }
    }
}
