//! The name of an operation: printable, bounded, and not a secret.

use crate::sensitive::classify;
use compact_str::CompactString;

/// Longest operation that a call shows.
pub(crate) const MAX_OPERATION: usize = 128;

/// Appends a name to an operation, as far as there is room; what no name contains becomes a question mark.
pub(crate) fn push(name: &[u8], operation: &mut CompactString) {
    if let Some(class) = classify(name) {
        if operation.len() + class.name().len() + 2 <= MAX_OPERATION {
            operation.push('{');
            operation.push_str(class.name());
            operation.push('}');
        }
        return;
    }
    let room = MAX_OPERATION.saturating_sub(operation.len());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:$-+#,".contains(&byte);
    let mut buffer = [0; MAX_OPERATION];
    let len = name.len().min(room);
    for (to, from) in buffer.iter_mut().zip(name) {
        *to = if is_name(*from) { *from } else { b'?' };
    }
    operation.push_str(str::from_utf8(buffer.get(..len).unwrap_or_default()).unwrap_or_default());
}

/// Replaces an operation by a name.
pub(crate) fn set(name: &[u8], operation: &mut CompactString) {
    if operation.as_bytes() == name && classify(name).is_none() {
        return;
    }
    operation.clear();
    push(name, operation);
}

/// Whether a value names a kind of message: a word, not an identifier, a number, or a secret.
pub(crate) fn is_kind(word: &[u8]) -> bool {
    const MAX_KIND: usize = 48;
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    (1..=MAX_KIND).contains(&word.len())
        && word.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-#$".contains(byte))
        && digits <= 3
        && letters > digits
        && classify(word).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_clean_and_bounded() {
        let mut operation = CompactString::default();
        set(b"tools/call", &mut operation);
        assert_eq!(operation, "tools/call");
        set("a\u{1b}b\"é".as_bytes(), &mut operation);
        assert_eq!(operation, "a?b???");
        set(b"ada@example.com", &mut operation);
        assert_eq!(operation, "{email}");
        set(&[b'x'; 500], &mut operation);
        push(b"y", &mut operation);
        assert_eq!(operation.len(), MAX_OPERATION);
    }

    #[test]
    fn kinds_are_words() {
        for kind in ["subscribe", "order.created", "chat:message", "v2/update", "PING", "connection_init"] {
            assert!(is_kind(kind.as_bytes()), "{kind}");
        }
        for other in [
            "",
            "42",
            "550e8400-e29b-41d4-a716-446655440000",
            "a b",
            "ada@example.com",
            "x1234",
            "sk_live_0123456789abcdef",
        ] {
            assert!(!is_kind(other.as_bytes()), "{other}");
        }
    }
}
