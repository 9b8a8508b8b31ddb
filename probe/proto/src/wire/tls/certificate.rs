//! The subject of an X.509 certificate (RFC 5280 §4.1), and nothing else of it: just enough DER to walk there.

use compact_str::CompactString;
use std::fmt::Write as _;

/// A subject is cut to this.
const MAX_SUBJECT: usize = 128;
/// Names of which a subject may consist.
const MAX_NAMES: usize = 16;

/// Of a certificate whose names are elsewhere.
const NAMELESS: &str = "(empty)";

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// `[0]`, which holds the version.
const VERSION: u8 = 0xa0;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;

/// The kinds of names that are told, by the last byte of their object identifier below 2.5.4.
const KINDS: [(u8, &str); 3] = [(3, "CN"), (10, "O"), (11, "OU")];

/// Organisation, unit and common name, such as `O=Shop, CN=shop.example`; `None` when this is no certificate.
/// What stands behind the subject may be missing.
#[must_use]
pub(super) fn subject(der: &[u8]) -> Option<CompactString> {
    let certificate = beginning(der)?;
    let signed = beginning(certificate)?;
    let rest = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // Serial number, algorithm, issuer, validity.
    let mut rest = rest;
    for _ in 0..4 {
        rest = any(rest)?.2;
    }
    let (mut names, _) = element(rest, SEQUENCE)?;
    let mut subject = CompactString::default();
    for _ in 0..MAX_NAMES {
        let Some((set, others)) = element(names, SET) else { break };
        names = others;
        if let Some((kind, value)) = name(set) {
            let comma = if subject.is_empty() { "" } else { ", " };
            // Writing to memory does not fail.
            let _ok = write!(subject, "{comma}{kind}={value}");
        }
    }
    let mut end = subject.len().min(MAX_SUBJECT);
    while !subject.is_char_boundary(end) {
        end -= 1;
    }
    subject.truncate(end);
    Some(if subject.is_empty() { NAMELESS.into() } else { subject })
}

/// One name of a subject, when it is of a kind that is told.
fn name(set: &[u8]) -> Option<(&'static str, &str)> {
    let (pair, _) = element(set, SEQUENCE)?;
    let (object, rest) = element(pair, OBJECT)?;
    let &[0x55, 4, last] = object else { return None };
    let (_, kind) = KINDS.into_iter().find(|(number, _)| *number == last)?;
    let (tag, value, _) = any(rest)?;
    let text = std::str::from_utf8(value).ok()?;
    let good = matches!(tag, UTF8 | PRINTABLE | TELETEX | IA5) && !text.chars().any(char::is_control);
    good.then_some((kind, text))
}

/// The contents of the first element, when it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = any(der)?;
    (found == tag).then_some((contents, rest))
}

/// What there is of a sequence.
fn beginning(der: &[u8]) -> Option<&[u8]> {
    let (tag, len, rest) = header(der)?;
    (tag == SEQUENCE).then(|| rest.get(..len).unwrap_or(rest))
}

/// Tag and contents of the first element, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len, rest) = header(der)?;
    Some((tag, rest.get(..len)?, rest.get(len..)?))
}

/// Tag and length of the first element, and what follows them. Lengths of up to three bytes.
fn header(der: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let size = usize::from(first & 3);
            let len = rest.get(..size)?.iter().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
            (len, rest.get(size..)?)
        }
        _ => return None,
    };
    Some((*tag, len, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_a_real_certificate_is_read() {
        let der = include_bytes!("certificate/example.der");
        assert_eq!(subject(der).as_deref(), Some("O=Test, CN=shop.example"));
    }

    #[test]
    fn a_cut_certificate_has_its_subject_or_none() {
        let der = include_bytes!("certificate/example.der");
        let whole = subject(der);
        let first = (0..der.len()).find(|len| subject(&der[..*len]).is_some()).unwrap();
        assert!(first < der.len() / 2, "{first} of {}", der.len());
        assert!((first..der.len()).all(|len| subject(&der[..len]) == whole));
    }
}
