//! What a request asks for, in every way that a server could read it.
//!
//! Servers disagree about a few bytes of a path. A block must not be passed by a spelling that the server
//! undoes, so there are two [`Reading`]s, and a request is cut when either of them matches:
//!
//! | | plain | lenient |
//! | --- | --- | --- |
//! | `%61` (once) | undone | undone |
//! | `%2F`, `%5C`, `\` | part of the segment | `/` |
//! | `%2561` | `%61` | undone again |
//! | `;a=b` | part of the segment | left out, to the next `/` |
//! | `#` | the end | part of the segment |
//!
//! Both: the scheme and authority of an absolute form are left out, `?` ends the path, empty and `.` segments
//! vanish, `..` takes the segment before it away, letters are folded unless the policy minds their case.
//! Not undone: overlong UTF-8, `%u0061`, look-alikes of other scripts, a method in a form's body.
//!
//! The kernel's matcher does the same, and is compared with this one.

/// Bytes of a target that are looked at. A longer one cannot be decided.
pub const MAX_TARGET: usize = 1_024;

/// How lenient a server is thought to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// As RFC 3986 has it.
    Plain,
    /// As the most obliging server has it.
    Lenient,
}

/// Both.
pub const READINGS: [Reading; 2] = [Reading::Plain, Reading::Lenient];

/// The segments of a request target. `None` when it is no path, or too long to be decided.
#[must_use]
pub fn segments(target: &[u8], reading: Reading, case_sensitive: bool) -> Option<Vec<Vec<u8>>> {
    let path = path_of(target)?;
    let mut bytes = Bytes { rest: path, reading };
    let (mut segments, mut segment) = (Vec::new(), Vec::new());
    let mut parameters = false;
    while let Some(byte) = bytes.next() {
        match byte {
            Byte::Border => {
                close(&mut segments, std::mem::take(&mut segment));
                parameters = false;
            }
            Byte::Parameters => parameters = true,
            Byte::Plain(_) if parameters => {}
            Byte::Plain(byte) => segment.push(if case_sensitive { byte } else { byte.to_ascii_lowercase() }),
        }
    }
    close(&mut segments, segment);
    Some(segments)
}

/// The end of a segment: what it does to those before it.
fn close(segments: &mut Vec<Vec<u8>>, segment: Vec<u8>) {
    match segment.as_slice() {
        b"" | b"." => {}
        b".." => {
            segments.pop();
        }
        _ => segments.push(segment),
    }
}

/// The path of a target, and of an absolute form what follows its authority. `None` for what is no path.
fn path_of(target: &[u8]) -> Option<&[u8]> {
    if target.len() > MAX_TARGET {
        return None;
    }
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let scheme = target.iter().take_while(|byte| is_scheme(**byte)).count();
    let rest = target.get(scheme..)?.strip_prefix(b"://").filter(|_| scheme > 0)?;
    let authority = rest.iter().take_while(|byte| !matches!(byte, b'/' | b'\\' | b'?' | b'#')).count();
    rest.get(authority..)
}

const fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// One character of a path, after its encoding was undone.
enum Byte {
    Plain(u8),
    Border,
    Parameters,
}

struct Bytes<'a> {
    rest: &'a [u8],
    reading: Reading,
}

impl Bytes<'_> {
    fn next(&mut self) -> Option<Byte> {
        let (first, _) = self.rest.split_first()?;
        let lenient = self.reading == Reading::Lenient;
        match first {
            b'?' => return None,
            b'#' if !lenient => return None,
            b'/' => return self.skip(1, Byte::Border),
            b';' if lenient => return self.skip(1, Byte::Parameters),
            b'%' => {}
            byte => return self.skip(1, plain(*byte, lenient)),
        }
        let Some(mut byte) = escaped(self.rest) else { return self.skip(1, Byte::Plain(b'%')) };
        let mut length = 3;
        // `%2561`: an encoded percent sign and two digits.
        if byte == b'%'
            && lenient
            && let (Some(high), Some(low)) = (digit(self.rest, 3), digit(self.rest, 4))
        {
            (byte, length) = (high << 4 | low, 5);
        }
        self.skip(length, plain(byte, lenient))
    }

    fn skip(&mut self, length: usize, byte: Byte) -> Option<Byte> {
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(byte)
    }
}

const fn plain(byte: u8, lenient: bool) -> Byte {
    if lenient && matches!(byte, b'/' | b'\\') { Byte::Border } else { Byte::Plain(byte) }
}

/// The byte that an escape at the beginning stands for.
pub(super) fn escaped(rest: &[u8]) -> Option<u8> {
    if rest.first() != Some(&b'%') {
        return None;
    }
    Some(digit(rest, 1)? << 4 | digit(rest, 2)?)
}

fn digit(rest: &[u8], at: usize) -> Option<u8> {
    char::from(*rest.get(at)?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(target: &str, reading: Reading) -> String {
        segments(target.as_bytes(), reading, false).map_or("no path".into(), |segments| {
            segments.iter().map(|one| format!("/{}", one.escape_ascii())).collect()
        })
    }

    #[test]
    fn both_readings() {
        for (target, plain, lenient) in [
            ("/", "", ""),
            ("*", "no path", "no path"),
            ("example.com:443", "no path", "no path"),
            ("http://h", "", ""),
            ("http://u:p@h:80/A//b?c=/d", "/a/b", "/a/b"),
            ("/a/%2E%2e/b/./c/", "/b/c", "/b/c"),
            ("/../../a", "/a", "/a"),
            ("/%61/%zz%", "/a/%zz%", "/a/%zz%"),
            ("/a?b%2Fc", "/a", "/a"),
        ] {
            assert_eq!(read(target, Reading::Plain), plain, "{target}");
            assert_eq!(read(target, Reading::Lenient), lenient, "{target}");
        }
        let one = |target: &str, reading| segments(target.as_bytes(), reading, true).unwrap();
        assert_eq!(one("/a%2fB", Reading::Plain), [b"a/B".to_vec()]);
        assert_eq!(one("/a\\..\\b", Reading::Lenient), [b"b".to_vec()]);
        assert_eq!(one("/x/..;/a;v=1/%2561", Reading::Lenient), [b"a".to_vec(), b"a".to_vec()]);
        assert_eq!(one("/a#b", Reading::Plain), [b"a".to_vec()]);
        assert_eq!(one("/a#b", Reading::Lenient), [b"a#b".to_vec()]);
        assert!(segments(&[b'/'; MAX_TARGET + 1], Reading::Plain, false).is_none());
    }

    proptest! {
        /// Never a panic, and no segment that a server would still have to resolve.
        #[test]
        fn hostile_targets(target in proptest::collection::vec(prop_oneof![
            4 => prop::sample::select(b"/.%2e5Fc;\\a?#".to_vec()), 1 => any::<u8>()], 0..300)) {
            for reading in READINGS {
                for segment in segments(&target, reading, false).into_iter().flatten() {
                    prop_assert!(!matches!(segment.as_slice(), b"" | b"." | b".."));
                    prop_assert!(!segment.iter().any(u8::is_ascii_uppercase));
                    prop_assert!(reading == Reading::Plain || !segment.contains(&b'/'));
                }
            }
        }

        /// Encoding any of the bytes changes nothing.
        #[test]
        fn encoding_is_undone(path in "(/[a-z]{1,5}){1,5}", mask in any::<u64>()) {
            let mut spelt = String::new();
            for (at, byte) in path.bytes().enumerate() {
                if byte != b'/' && mask >> (at % 64) & 1 == 1 {
                    spelt.push_str(&format!("%{byte:02x}"));
                } else {
                    spelt.push(char::from(byte));
                }
            }
            for reading in READINGS {
                prop_assert_eq!(
                    segments(path.as_bytes(), reading, true), segments(spelt.as_bytes(), reading, true));
            }
        }
    }
}
