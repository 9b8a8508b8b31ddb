//! Ids by which a call can be followed through proxies, as keyed hashes.

use crate::keyed_hash::KeyedHash;

/// Longest id that is taken; a UUID has 36 bytes.
const MAX_ID: usize = 128;
/// Sets these hashes apart from others under the same key.
const PURPOSE: u64 = 0x7472_6163;

/// Where an id came from, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    TraceParent,
    B3,
    Request,
}

/// Whether the field `name` (lower case) carries an id.
pub(super) const fn source(name: &[u8]) -> Option<Source> {
    match name {
        b"traceparent" => Some(Source::TraceParent),
        b"b3" | b"x-b3-traceid" => Some(Source::B3),
        b"x-request-id" | b"x-correlation-id" => Some(Source::Request),
        _ => None,
    }
}

/// The id within the value of a field, the same whichever way it was carried.
pub(super) fn id(source: Source, value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let mut parts = value.split(|byte| *byte == b'-');
    let id = match source {
        Source::TraceParent => parts.nth(1).filter(|id| id.len() == 32)?,
        Source::B3 => parts.next().filter(|id| matches!(id.len(), 16 | 32))?,
        Source::Request => return (1..=MAX_ID).contains(&value.len()).then_some(value),
    };
    (id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|byte| *byte != b'0')).then_some(id)
}

/// Hashes an id, whose letters may be of either case.
pub(super) fn hash(hash: &KeyedHash, id: &[u8]) -> u64 {
    let mut lower = [0; MAX_ID];
    let Some(lower) = lower.get_mut(..id.len()) else { return hash.quick(PURPOSE, id) };
    lower.copy_from_slice(id);
    lower.make_ascii_lowercase();
    hash.quick(PURPOSE, lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trace_by_any_field() {
        let parent =
            id(Source::TraceParent, b"00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let b3 = id(Source::B3, b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1").unwrap();
        let keyed = KeyedHash::new(&[1; 32]);
        assert_eq!(hash(&keyed, parent), hash(&keyed, b3));
        assert_eq!(id(Source::TraceParent, b"00-00000000000000000000000000000000-1-01"), None);
        assert_eq!(id(Source::TraceParent, b"garbage"), None);
        assert_eq!(id(Source::B3, b"0"), None);
        assert_eq!(id(Source::Request, b""), None);
        assert_eq!(id(Source::Request, b" abc "), Some(&b"abc"[..]));
    }
}
