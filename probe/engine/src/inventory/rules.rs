//! The operator's decisions about one service, which go before everything that is inferred.

use super::segment::MAX_LITERAL;
use super::template::segments;
use crate::command::TemplateRule;
use crate::endpoint::PARAMETERS;
use smallvec::SmallVec;

/// Longest parameter name that an operator can give.
const LABEL: usize = 32;

/// The rules of one service, oldest first: path above the ruled siblings, and the parameter's name or none.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<(String, Option<String>)>);

impl Rules {
    /// The rules among `all` that concern `service`.
    #[must_use]
    pub fn of(all: &[TemplateRule], service: &str) -> Self {
        Self(all.iter().filter_map(|rule| parse(rule, service)).collect())
    }

    /// No rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the newest rule says about the siblings below `prefix`: `Some(Some(name))` folds all of them,
    /// `Some(None)` none of them.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Option<Option<&str>> {
        self.0.iter().rev().find(|(ruled, _)| ruled == prefix).map(|(_, name)| name.as_deref())
    }

    /// Some siblings are never to be folded.
    #[must_use]
    pub fn has_splits(&self) -> bool {
        self.0.iter().any(|(_, name)| name.is_none())
    }

    /// Puts the segments of `path` back into `typed` where the operator wants them as they are. `values` are
    /// the fingerprints of the replaced segments; those put back are removed.
    pub fn untype(&self, path: &str, typed: &mut String, values: &mut SmallVec<[u64; PARAMETERS]>) {
        let mut kept = String::with_capacity(typed.len());
        let mut replaced = 0;
        for (shown, own) in segments(typed).iter().zip(segments(path)) {
            let is_value = *shown != own && shown.contains('{');
            let split = is_value && own.len() <= MAX_LITERAL && self.below(&kept) == Some(None);
            if split && replaced < values.len() {
                values.remove(replaced);
            } else if is_value {
                replaced += 1;
            }
            kept.extend(["/", if split { own } else { shown }]);
        }
        *typed = kept;
    }
}

fn parse(rule: &TemplateRule, wanted: &str) -> Option<(String, Option<String>)> {
    let (service, path, name) = match rule {
        TemplateRule::Merge { service, path } => (service, path, true),
        TemplateRule::Split { service, path } => (service, path, false),
    };
    let (prefix, last) = path.rsplit_once('/')?;
    (service == wanted).then(|| (prefix.to_owned(), name.then(|| label(last))))
}

/// The operator's name for a parameter, `{name}` when it cannot be one.
fn label(last: &str) -> String {
    let inner = last.strip_prefix('{').and_then(|open| open.strip_suffix('}'));
    let good = |inner: &&str| {
        (1..=LABEL).contains(&inner.len())
            && inner.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':'))
    };
    inner.filter(good).map_or_else(|| "{name}".to_owned(), |_| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(path: &str) -> TemplateRule {
        TemplateRule::Merge { service: "shop".into(), path: path.into() }
    }

    #[test]
    fn the_newest_rule_counts_and_others_services_do_not() {
        let split = TemplateRule::Split { service: "shop".into(), path: "/a/{name}".into() };
        let other = TemplateRule::Split { service: "bank".into(), path: "/b/{name}".into() };
        let rules = Rules::of(&[merge("/a/{item}"), split, merge("/b/{item}"), other], "shop");
        assert_eq!(rules.below("/a"), Some(None));
        assert_eq!(rules.below("/b"), Some(Some("{item}")));
        assert_eq!(rules.below("/c"), None);
    }

    #[test]
    fn split_values_are_shown_as_they_are() {
        let split = TemplateRule::Split { service: "shop".into(), path: "/v/{id:int}".into() };
        let rules = Rules::of(&[split], "shop");
        assert!(rules.has_splits());
        let mut typed = "/v/{id:int}/parts/{id:int}".to_owned();
        let mut values = SmallVec::from_slice(&[1, 2]);
        rules.untype("/v/2026/parts/7", &mut typed, &mut values);
        assert_eq!((typed.as_str(), values.as_slice()), ("/v/2026/parts/{id:int}", &[2][..]));
    }

    #[test]
    fn hostile_names_are_replaced() {
        for path in ["/a/plain", "/a/{}", "/a/{x y}", "/a/{\u{1b}}"] {
            assert_eq!(Rules::of(&[merge(path)], "shop").below("/a"), Some(Some("{name}")), "{path}");
        }
    }
}
