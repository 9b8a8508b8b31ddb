//! Tells names that a developer chose from values that users bring.
//!
//! A small vocabulary of APIs and business with its inflections, and the way compounds are written. What is
//! not recognised is not thereby a value: it only may fold with many siblings of its kind.

use super::segment::extension;
use std::collections::HashSet;
use std::sync::LazyLock;

static WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("words.txt").split_whitespace().collect());

/// First words of method names: what follows is a name even when it is not in the vocabulary.
const VERBS: [&str; 36] = [
    "add", "apply", "approve", "assign", "batch", "cancel", "check", "close", "count", "create", "delete",
    "describe", "disable", "do", "enable", "execute", "fetch", "find", "get", "has", "insert", "is", "list",
    "make", "open", "post", "put", "query", "remove", "reset", "search", "send", "set", "start", "update",
    "validate",
];
/// Path segments below which resources stand rather than the members of a collection.
const NAMESPACES: [&str; 22] = [
    "api", "apis", "app", "apps", "backend", "public", "private", "internal", "external", "rest", "rpc",
    "service", "services", "static", "assets", "admin", "web", "www", "gateway", "oauth", "auth", "actuator",
];
/// Longest part of a name that is looked up; longer than any word.
const LONGEST: usize = 24;
/// A name with more parts than this is a title, not a name.
const PARTS: usize = 3;

/// Whether a segment is a name that a developer chose.
#[must_use]
pub fn is_name(segment: &str) -> bool {
    let stem = extension(segment).map_or(segment, |(stem, _)| stem);
    let stem = stem.trim_start_matches(['.', '@', '$', '_', '~']);
    if stem.is_empty() || is_dotted(stem) || stem.contains([':', '(']) {
        return true;
    }
    let parts = parts(stem);
    if parts.len() > 1
        && parts.first().is_some_and(|verb| VERBS.binary_search(&verb.to_lowercase().as_str()).is_ok())
    {
        return stem.bytes().all(|b| b.is_ascii_alphanumeric());
    }
    let humps = stem.bytes().all(|b| b.is_ascii_alphabetic());
    (parts.len() <= PARTS || humps) && parts.iter().all(|part| is_part(part))
}

/// Whether a segment cannot be a name in any language: digits, escapes, a title, no vowels.
#[must_use]
pub fn is_odd(segment: &str) -> bool {
    let vowels = |part: &&str| part.len() >= 5 && !part.bytes().any(|b| b"aeiouyAEIOUY".contains(&b));
    !segment.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.'))
        || parts(segment).len() > PARTS
        || parts(segment).iter().any(vowels)
        || segment.len() > LONGEST
}

/// Whether what stands below `parent` are resources: the root, `api`, a version, a dotted RPC service.
#[must_use]
pub fn is_namespace(parent: &str) -> bool {
    let version = parent.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    parent.is_empty() || version || NAMESPACES.contains(&parent)
}

/// `hello.world`, `users.list`, `grpc.health.v1.Health`: dotted names of remote procedures and their services.
#[must_use]
pub fn is_dotted(segment: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    segment.contains('.') && segment.split('.').all(part)
}

/// Cuts a name at separators and where lower case turns to upper case.
fn parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for run in name.split(['-', '_', '.', '+', ' ']).filter(|run| !run.is_empty()) {
        let mut from = 0;
        for (at, [before, after]) in run.as_bytes().array_windows().enumerate() {
            if before.is_ascii_lowercase() && after.is_ascii_uppercase() {
                parts.extend(run.get(from..=at));
                from = at + 1;
            }
        }
        parts.extend(run.get(from..));
    }
    parts
}

/// A word, its inflection, two words written together, or at most two letters or digits.
fn is_part(part: &str) -> bool {
    if part.len() > LONGEST || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let word = part.to_ascii_lowercase();
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - word.len();
    digits <= 2 && !word.is_empty() && (word.len() <= 2 || is_inflected(word) || is_two_words(word))
}

fn is_inflected(word: &str) -> bool {
    if WORDS.contains(word) {
        return true;
    }
    const ENDINGS: [(&str, &[&str]); 9] = [
        ("ies", &["y"]),
        ("es", &["", "e"]),
        ("s", &[""]),
        ("ied", &["y"]),
        ("ed", &["", "e"]),
        ("ing", &["", "e"]),
        ("er", &["", "e"]),
        ("able", &["", "e"]),
        ("ly", &[""]),
    ];
    ENDINGS.iter().any(|(ending, replaced)| {
        word.strip_suffix(ending).filter(|stem| stem.len() >= 2).is_some_and(|stem| {
            let doubled =
                stem.len() > 3 && stem.as_bytes().array_windows().next_back().is_some_and(|[a, b]| a == b);
            replaced.iter().any(|end| WORDS.contains(format!("{stem}{end}").as_str()))
                || (doubled && stem.get(..stem.len() - 1).is_some_and(|single| WORDS.contains(single)))
        })
    })
}

fn is_two_words(word: &str) -> bool {
    (3..word.len().saturating_sub(2)).any(|at| {
        let (first, second) = (word.get(..at).unwrap_or_default(), word.get(at..).unwrap_or_default());
        WORDS.contains(first) && is_inflected(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_has_no_word_twice() {
        assert!(VERBS.is_sorted());
        assert_eq!(WORDS.len(), include_str!("words.txt").split_whitespace().count());
    }

    #[test]
    fn names_are_recognised() {
        for name in [
            "users",
            "orders",
            "categories",
            "addresses",
            "statuses",
            "me",
            "whoami",
            "search",
            "checkout",
            "order-items",
            "orderItems",
            "user_profiles",
            "forgot-password",
            "hello.world",
            "chat.postMessage",
            "getFoobar",
            "ListQuuxes",
            "healthz",
            "userinfo",
            "webhooks",
            "oauth2",
            "index.html",
            "app.js",
            "messages:batchGet",
            "shipped",
            "shipping",
            "planning",
            "favourites",
            "grpc.health.v1.Health",
            ".well-known",
            "RefreshToken",
        ] {
            assert!(is_name(name), "{name}");
        }
    }

    #[test]
    fn values_are_not_names() {
        for value in [
            "alice",
            "bob",
            "blue-suede-shoes",
            "falcon",
            "how-to-sell-a-house",
            "xkcd",
            "M%C3%BCnchen",
            "jsmith",
        ] {
            assert!(!is_name(value), "{value}");
        }
        for odd in ["item-5", "how-to-sell-a-house", "M%C3%BCnchen", "qzxvk"] {
            assert!(is_odd(odd), "{odd}");
        }
        for plain in ["alice", "falcon", "blue-shoes"] {
            assert!(!is_odd(plain), "{plain}");
        }
    }
}
