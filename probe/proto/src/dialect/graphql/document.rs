//! A GraphQL document, skimmed: which operation, its root fields, and what it costs.
//!
//! Not a parser of the whole language: it follows braces, parentheses and names, which is all that is asked and
//! works on a text that was cut anywhere. One pass, no recursion; memory is bounded by the caps below.

use smallvec::SmallVec;

/// Root fields that are kept of one definition.
const MAX_FIELDS: usize = 16;
/// Definitions that are kept.
const MAX_DEFINITIONS: usize = 16;
/// Nested selections whose inline fragments are seen through.
const MAX_LEVELS: u32 = 64;

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Query => "QUERY",
            Self::Mutation => "MUTATION",
            Self::Subscription => "SUBSCRIPTION",
        }
    }
}

/// Names of root fields.
pub(super) type Fields<'a> = SmallVec<[&'a [u8]; MAX_FIELDS]>;

/// An operation or a fragment.
#[derive(Clone, Debug, Default)]
struct Definition<'a> {
    /// `None`: a fragment.
    kind: Option<Kind>,
    name: &'a [u8],
    fields: Fields<'a>,
    spreads: SmallVec<[&'a [u8]; 4]>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Document<'a> {
    definitions: SmallVec<[Definition<'a>; 2]>,
    pub(super) depth: u16,
    pub(super) aliases: u16,
    pub(super) tokens: u32,
}

/// A lexical token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a [u8]),
    Spread,
    Mark(u8),
    Value,
}

impl<'a> Document<'a> {
    /// Skims `text`; `whole` is false when it was cut.
    pub(super) fn skim(text: &'a [u8], whole: bool) -> Option<Self> {
        let mut skim = Skim { lexer: Lexer { rest: text, whole }, document: Self::default(), ahead: None };
        let mut found = false;
        while let Some(token) = skim.next() {
            found |= skim.definition(token)?;
        }
        found.then_some(skim.document)
    }

    /// Kind and root fields of the operation with this name, else of the first one.
    pub(super) fn operation(&self, name: &[u8]) -> Option<(Kind, Fields<'a>)> {
        let operations = || self.definitions.iter().filter(|definition| definition.kind.is_some());
        let chosen = operations().find(|definition| !name.is_empty() && definition.name == name);
        let chosen = chosen.or_else(|| operations().next())?;
        let mut fields = chosen.fields.clone();
        let fragments = self
            .definitions
            .iter()
            .filter(|definition| definition.kind.is_none() && chosen.spreads.contains(&definition.name));
        fields.extend(fragments.flat_map(|fragment| fragment.fields.iter().copied()));
        fields.sort_unstable();
        fields.dedup();
        Some((chosen.kind?, fields))
    }
}

struct Skim<'a> {
    lexer: Lexer<'a>,
    document: Document<'a>,
    ahead: Option<Token<'a>>,
}

impl<'a> Skim<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.ahead.take().or_else(|| {
            let token = self.lexer.next()?;
            self.document.tokens = self.document.tokens.saturating_add(1);
            Some(token)
        })
    }

    fn peek(&mut self) -> Option<Token<'a>> {
        self.ahead = self.next();
        self.ahead
    }

    /// A definition that begins with `first`; whether it is an operation. `None`: this is no executable document.
    fn definition(&mut self, first: Token<'a>) -> Option<bool> {
        let kind = match first {
            Token::Mark(b'{') => {
                self.selections(Definition { kind: Some(Kind::Query), ..Definition::default() });
                return Some(true);
            }
            Token::Name(b"query") => Some(Kind::Query),
            Token::Name(b"mutation") => Some(Kind::Mutation),
            Token::Name(b"subscription") => Some(Kind::Subscription),
            Token::Name(b"fragment") => None,
            _ => return None,
        };
        let mut definition = Definition { kind, ..Definition::default() };
        if let Some(Token::Name(name)) = self.peek() {
            self.ahead = None;
            definition.name = name;
        }
        // Variables, the type of a fragment, directives: up to the selections.
        let mut parentheses = 0_u32;
        while let Some(token) = self.next() {
            match token {
                Token::Mark(b'(') => parentheses += 1,
                Token::Mark(b')') => parentheses = parentheses.checked_sub(1)?,
                Token::Mark(b'{') if parentheses == 0 => {
                    self.selections(definition);
                    return Some(kind.is_some());
                }
                Token::Mark(b'}') if parentheses == 0 => return None,
                _ => {}
            }
        }
        // Cut before its selections: an operation without fields.
        self.keep(definition);
        Some(kind.is_some())
    }

    fn keep(&mut self, definition: Definition<'a>) {
        if self.document.definitions.len() < MAX_DEFINITIONS {
            self.document.definitions.push(definition);
        }
    }

    /// Everything up to the brace that closes the definition.
    fn selections(&mut self, mut definition: Definition<'a>) {
        // The bit of each level: it belongs to an inline fragment, which is no level of its own.
        let (mut levels, mut inline, mut depth) = (1_u32, 0_u64, 1_u32);
        let mut fragment = false;
        while let Some(token) = self.next() {
            match token {
                Token::Mark(b'{') => {
                    if levels < MAX_LEVELS {
                        inline = inline & !(1 << levels) | u64::from(fragment) << levels;
                    }
                    depth += u32::from(!fragment);
                    levels += 1;
                    fragment = false;
                    let seen = u16::try_from(depth).unwrap_or(u16::MAX);
                    self.document.depth = self.document.depth.max(seen);
                }
                Token::Mark(b'}') => {
                    levels -= 1;
                    let was_inline = levels < MAX_LEVELS && inline >> levels & 1 == 1;
                    depth = depth.saturating_sub(u32::from(!was_inline));
                    if levels == 0 {
                        break;
                    }
                }
                Token::Mark(b'(') => self.arguments(),
                Token::Mark(b'@') => {
                    self.next();
                }
                Token::Spread => fragment = self.spread(depth, &mut definition),
                Token::Name(name) => {
                    self.document.depth = self.document.depth.max(1);
                    fragment = false;
                    if let Some(field) = self.unaliased(name)
                        && depth == 1
                        && definition.fields.len() < MAX_FIELDS
                    {
                        definition.fields.push(field);
                    }
                }
                Token::Mark(_) | Token::Value => {}
            }
        }
        self.keep(definition);
    }

    /// The field behind an alias, or the name itself; `None` where the text was cut before that could be told.
    fn unaliased(&mut self, name: &'a [u8]) -> Option<&'a [u8]> {
        match self.peek() {
            Some(Token::Mark(b':')) => self.ahead = None,
            None if !self.lexer.whole => return None,
            _ => return Some(name),
        }
        self.document.aliases = self.document.aliases.saturating_add(1);
        match self.peek()? {
            Token::Name(field) => {
                self.ahead = None;
                Some(field)
            }
            _ => None,
        }
    }

    /// Passes over arguments, braces of input objects included.
    fn arguments(&mut self) {
        let mut open = 1_u32;
        while open > 0 {
            match self.next() {
                Some(Token::Mark(b'(')) => open += 1,
                Some(Token::Mark(b')')) => open -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }

    /// What follows `...`; whether it is an inline fragment.
    fn spread(&mut self, depth: u32, definition: &mut Definition<'a>) -> bool {
        match self.peek() {
            Some(Token::Name(b"on")) => {
                self.ahead = None;
                if matches!(self.peek(), Some(Token::Name(_))) {
                    self.ahead = None;
                }
                true
            }
            Some(Token::Name(name)) => {
                self.ahead = None;
                if depth == 1 && definition.spreads.len() < MAX_FIELDS {
                    definition.spreads.push(name);
                }
                false
            }
            _ => true,
        }
    }
}

struct Lexer<'a> {
    rest: &'a [u8],
    whole: bool,
}

impl<'a> Lexer<'a> {
    /// The first `len` bytes of the rest.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let first = *self.rest.first()?;
            match first {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf => drop(self.take(1)),
                b'#' => {
                    let end = memchr::memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
                    self.take(end);
                }
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
                    let name = self.take(self.rest.iter().take_while(is_name).count());
                    // A name at the cut may be the beginning of another.
                    return (self.whole || !self.rest.is_empty()).then_some(Token::Name(name));
                }
                b'.' if self.rest.starts_with(b"...") => {
                    self.take(3);
                    return Some(Token::Spread);
                }
                b'"' => {
                    self.string();
                    return Some(Token::Value);
                }
                b'0'..=b'9' | b'-' | b'.' => {
                    let is_number =
                        |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
                    self.take(self.rest.iter().take_while(is_number).count());
                    return Some(Token::Value);
                }
                mark => {
                    self.take(1);
                    return Some(Token::Mark(mark));
                }
            }
        }
    }

    fn string(&mut self) {
        if self.rest.starts_with(b"\"\"\"") {
            self.take(3);
            let end = memchr::memmem::find(self.rest, b"\"\"\"").map_or(self.rest.len(), |end| end + 3);
            self.take(end);
            return;
        }
        self.take(1);
        while let Some(at) = memchr::memchr3(b'"', b'\\', b'\n', self.rest) {
            let escape = self.rest.get(at) == Some(&b'\\');
            self.take(at + 1 + usize::from(escape));
            if !escape {
                return;
            }
        }
        self.rest = &[];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skim(text: &str) -> Option<(Kind, String)> {
        let document = Document::skim(text.as_bytes(), true)?;
        let (kind, fields) = document.operation(b"")?;
        Some((kind, String::from_utf8(fields.join(&b","[..])).unwrap()))
    }

    #[test]
    fn operations_and_their_root_fields() {
        for (text, kind, fields) in [
            ("{ users { id } orders(first: 3) { id } }", Kind::Query, "orders,users"),
            (
                "query Q($id: ID = \"}\") @live { me: user(id: $id, in: {a: {b: 1}}) @skip(if: true) { name } }",
                Kind::Query,
                "user",
            ),
            ("mutation { addUser(name: \"a{b\") { id } }", Kind::Mutation, "addUser"),
            ("subscription S { ticks }", Kind::Subscription, "ticks"),
            (
                "# {\nquery { a b: c ...F ... on Query { d } ... @include(if: true) { e { x } } } fragment F on Query { f { y } }",
                Kind::Query,
                "a,c,d,e,f",
            ),
            ("{ a(text: \"\"\"b \" { c\"\"\") { d } }", Kind::Query, "a"),
            ("{__schema{types{name}}}", Kind::Query, "__schema"),
            ("query { a }  mutation M { b }", Kind::Query, "a"),
        ] {
            assert_eq!(skim(text), Some((kind, fields.to_owned())), "{text}");
        }
        let document = Document::skim(b"query A { a } mutation B { b }", true).unwrap();
        assert_eq!(document.operation(b"B").unwrap().0, Kind::Mutation);
    }

    #[test]
    fn what_is_no_document() {
        for text in ["", "select * from users", "type User { id: ID }", "users", "}", "query }", "? {a}"] {
            assert_eq!(skim(text), None, "{text}");
        }
    }

    #[test]
    fn costs() {
        let document = Document::skim(b"{ a { b { c: d } ... on T { e { f: g } } } h: i }", true).unwrap();
        assert_eq!((document.depth, document.aliases), (3, 3));
        let bomb = [&b"{a".repeat(100_000)[..], b"{ a }"].concat();
        assert_eq!(Document::skim(&bomb, true).unwrap().depth, u16::MAX);
        let aliases = format!("{{ {} }}", "a: b ".repeat(70_000));
        assert_eq!(Document::skim(aliases.as_bytes(), true).unwrap().aliases, u16::MAX);
    }

    #[test]
    fn a_name_at_the_cut_is_not_believed() {
        let document = Document::skim(b"{ users { id } ord", false).unwrap();
        assert_eq!(document.operation(b"").unwrap().1.to_vec(), [b"users"]);
    }

    proptest! {
        #[test]
        fn anything_is_skimmed_within_bounds(text in r#"[{}()\[\].@:"\\#a-c \n$!]{0,200}"#, whole in any::<bool>()) {
            if let Some(document) = Document::skim(text.as_bytes(), whole) {
                prop_assert!(document.tokens as usize <= text.len());
                if let Some((_, fields)) = document.operation(b"") {
                    prop_assert!(fields.len() <= MAX_FIELDS * (MAX_DEFINITIONS + 1));
                }
            }
        }

        #[test]
        fn a_prefix_names_only_fields_of_the_whole(end in 0_usize..120) {
            let text = "query Q($a: Int) { alpha { x } beta: gamma(a: {b: \"}\"}) { y } ... on Query { delta } epsilon }";
            let end = end.min(text.len());
            let whole = Document::skim(text.as_bytes(), true).unwrap().operation(b"").unwrap().1;
            if let Some((_, fields)) = Document::skim(&text.as_bytes()[..end], end == text.len()).and_then(|document| document.operation(b"")) {
                prop_assert!(fields.iter().all(|field| whole.contains(field)), "{:?}", &text[..end]);
            }
        }
    }
}
