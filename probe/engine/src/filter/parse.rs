//! Text to terms, by recursive descent. Whatever is typed is bounded, and an error points at its place.

use super::pattern::duration;
use super::*;
use crate::nearest::nearest;

/// Longest filter, in bytes; nobody types more.
const MAX_TEXT: usize = 1024;
/// Most terms: a filter runs on every call.
const MAX_TERMS: usize = 64;
/// Deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 16;
/// Prefixes of workload ids: `process:nginx` is a text, not a field.
const ID_KINDS: [&str; 5] = ["process", "unit", "container", "pod", "external"];

pub(super) fn parse(text: &str) -> Result<Option<Term>, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError {
            at: text.floor_char_boundary(MAX_TEXT),
            message: format!("longer than {MAX_TEXT} bytes"),
        });
    }
    let mut parser = Parser { text, at: 0, terms: 0 };
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(None);
    }
    let term = parser.any(0)?;
    match parser.rest() {
        "" => Ok(Some(term)),
        _ => Err(parser.error("a parenthesis that was not opened")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    /// Terms with `|` between them.
    fn any(&mut self, depth: usize) -> Result<Term, FilterError> {
        let mut choices = vec![self.all(depth)?];
        while self.eat('|') {
            choices.push(self.all(depth)?);
        }
        Ok(single(choices, Term::Any))
    }

    /// Terms side by side.
    fn all(&mut self, depth: usize) -> Result<Term, FilterError> {
        let mut terms = Vec::new();
        while !self.rest().is_empty() && !self.rest().starts_with(['|', ')']) {
            terms.push(self.one(depth)?);
        }
        if terms.is_empty() {
            return Err(self.error("a term is missing here"));
        }
        Ok(single(terms, Term::All))
    }

    fn one(&mut self, depth: usize) -> Result<Term, FilterError> {
        self.terms += 1;
        if self.terms > MAX_TERMS || depth > MAX_DEPTH {
            return Err(self.error("too many terms"));
        }
        if self.eat('!') {
            return match self.rest() {
                "" => Err(self.error("a term is missing after !")),
                _ => Ok(Term::Not(Box::new(self.one(depth + 1)?))),
            };
        }
        if self.eat('(') {
            let inner = self.any(depth + 1)?;
            return if self.eat(')') { Ok(inner) } else { Err(self.error("a parenthesis is not closed")) };
        }
        self.atom()
    }

    /// A text, or a field with what it is compared with.
    fn atom(&mut self) -> Result<Term, FilterError> {
        if self.rest().starts_with('"') {
            return Ok(Term::Anywhere(Pattern::new(&self.quoted()?, false)));
        }
        let start = self.at;
        let name_end = self.rest().find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest().len());
        let name = self.rest().get(..name_end).unwrap_or_default();
        let after = self.rest().get(name_end..).unwrap_or_default();
        if after.starts_with('~') && !name.is_empty() {
            return self.form(name);
        }
        let Some((comparison, len)) =
            operator(after).filter(|_| !name.is_empty() && !ID_KINDS.contains(&name))
        else {
            return Ok(Term::Anywhere(Pattern::new(&self.word(), false)));
        };
        self.at += name_end + len;
        let value_at = self.at;
        let value = if self.rest().starts_with('"') { self.quoted()? } else { self.word() };
        let wrong = |at: usize, message: String| Err(FilterError { at, message });
        if value.is_empty() {
            return wrong(value_at, format!("what should {name} be?"));
        }
        let name = name.to_ascii_lowercase();
        let exact = after.starts_with('=');
        let equal = comparison == Comparison::Equal;
        match (name.as_str(), field(&name)) {
            ("status", _) => match Statuses::parse(comparison, &value) {
                Some(statuses) => Ok(Term::Status(statuses)),
                None => wrong(value_at, format!("{value:?} is no status: 404, 5xx, none, >=400")),
            },
            ("slow" | "duration", _) => match duration(&value) {
                Some(limit) if equal => Ok(Term::Slow(Comparison::AtLeast, limit)),
                Some(limit) => Ok(Term::Slow(comparison, limit)),
                None => wrong(value_at, format!("{value:?} is no time: 50ms, 1.5s, 200us")),
            },
            (_, Some(field)) if equal => {
                Ok(Term::Text(field, Pattern::new(&value, exact || field.is_word())))
            }
            (_, Some(_)) => wrong(value_at, format!("{name} is text: only {name}:text is possible")),
            (_, None) => wrong(start, unknown(&name)),
        }
    }

    /// A field with a regular expression, which goes as far as the next white space unless it is quoted.
    fn form(&mut self, name: &str) -> Result<Term, FilterError> {
        let start = self.at;
        self.at += name.len() + 1;
        let at = self.at;
        let name = name.to_ascii_lowercase();
        let text =
            if self.rest().starts_with('"') { self.quoted()? } else { self.up_to(char::is_whitespace) };
        let Some(field) = field(&name) else {
            return Err(FilterError { at: start, message: unknown(&name) });
        };
        if text.is_empty() {
            return Err(FilterError { at, message: format!("what should {name} look like?") });
        }
        Form::parse(&text).map(|form| Term::Form(field, form)).map_err(|message| FilterError { at, message })
    }

    /// Everything up to white space, `|` or `)`.
    fn word(&mut self) -> String {
        self.up_to(|c| c.is_whitespace() || matches!(c, '|' | ')'))
    }

    fn up_to(&mut self, ends: impl Fn(char) -> bool) -> String {
        let word = self.rest().split(ends).next().unwrap_or_default();
        self.at += word.len();
        self.skip_space();
        word.to_owned()
    }

    /// Everything up to the closing quote.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let inner = self.rest().get(1..).unwrap_or_default();
        let Some(end) = inner.find('"') else { return Err(self.error("a quote is not closed")) };
        let text = inner.get(..end).unwrap_or_default().to_owned();
        self.at += end + 2;
        self.skip_space();
        Ok(text)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
            self.skip_space();
        }
        there
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, message: &str) -> FilterError {
        FilterError { at: self.at, message: message.to_owned() }
    }
}

fn single(mut terms: Vec<Term>, many: fn(Vec<Term>) -> Term) -> Term {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            many(terms)
        }
    }
}

/// The comparison at the start of `text` and its length; `:` may stand before another one.
fn operator(text: &str) -> Option<(Comparison, usize)> {
    const OPERATORS: [(&str, Comparison); 10] = [
        (":>=", Comparison::AtLeast),
        (":<=", Comparison::AtMost),
        (":>", Comparison::More),
        (":<", Comparison::Less),
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::More),
        ("<", Comparison::Less),
        (":", Comparison::Equal),
        ("=", Comparison::Equal),
    ];
    OPERATORS
        .iter()
        .find(|(sign, _)| text.starts_with(sign))
        .map(|(sign, comparison)| (*comparison, sign.len()))
}

fn field(name: &str) -> Option<Field> {
    Field::ALL.iter().find(|(_, names)| names.contains(&name)).map(|(field, _)| *field)
}

/// Says that there is no such field, and which was perhaps meant.
fn unknown(name: &str) -> String {
    let names = Field::ALL.iter().flat_map(|(_, names)| names.iter().copied()).chain(["status", "slow"]);
    match nearest(name, names) {
        Some(near) => format!("no field {name:?}; did you mean {near}?"),
        None => format!("no field {name:?}; to look for the text, put it in \"quotes\""),
    }
}
