//! A regular expression as a term. The engine behind it takes time that is linear in the text whatever is typed, and no
//! more memory than these bounds.

use regex::{Regex, RegexBuilder};

/// Largest compiled expression, bytes: `\w{40}` fits, bombs do not.
const COMPILED: usize = 1 << 19;
/// Most memory for the states that are met while it runs, bytes.
const STATES: usize = 1 << 19;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Form(Regex);

impl Form {
    /// Compiles `text`; otherwise what is wrong with it, in one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(text);
        let built = builder.case_insensitive(true).size_limit(COMPILED).dfa_size_limit(STATES).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "too large a regular expression".to_owned(),
            other => {
                let text = other.to_string();
                let last = text.lines().next_back().unwrap_or_default();
                format!("no regular expression: {}", last.trim_start_matches("error: "))
            }
        })
    }

    /// Whether it matches somewhere.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Form {}
