//! The form of a text: what a schema would call its format.

use super::shape::Formats;

/// The form of a text.
pub fn format(text: &[u8]) -> Formats {
    let is = |part: Option<&[u8]>, test: fn(&u8) -> bool| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(test))
    };
    match text {
        [] => Formats::EMPTY,
        _ if is(Some(text), u8::is_ascii_digit) => Formats::DIGITS,
        _ if is_uuid(text) => Formats::UUID,
        _ if is_date(text) => Formats::DATE,
        _ if text.len() > 15
            && text.get(..10).is_some_and(is_date)
            && is_time(text.get(10..).unwrap_or_default()) =>
        {
            Formats::DATE_TIME
        }
        _ if is_ipv4(text) => Formats::IPV4,
        _ if text.len() >= 16 && text.len().is_multiple_of(2) && is(Some(text), u8::is_ascii_hexdigit) => {
            Formats::HEX
        }
        _ if is_ipv6(text) => Formats::IPV6,
        _ if is_uri(text) => Formats::URI,
        _ if crate::sensitive::classify(text) == Some(crate::sensitive::Sensitive::Email) => Formats::EMAIL,
        _ => Formats::PLAIN,
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `YYYY-MM-DD`.
fn is_date(text: &[u8]) -> bool {
    text.len() == 10
        && text
            .iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
}

/// `THH:MM…`, with what may follow.
fn is_time(text: &[u8]) -> bool {
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, rest @ ..] = text else { return false };
    [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit)
        && rest.iter().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'Z' | b'z' | b'+' | b'-' | b' ')
        })
}

fn is_ipv4(text: &[u8]) -> bool {
    text.len() <= 15
        && text.contains(&b'.')
        && str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok())
}

fn is_ipv6(text: &[u8]) -> bool {
    text.len() <= 45
        && text.contains(&b':')
        && str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// `scheme://…`, without blanks.
fn is_uri(text: &[u8]) -> bool {
    let scheme = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    scheme > 0
        && text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.get(scheme..).is_some_and(|rest| rest.starts_with(b"://"))
        && text.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, form) in [
            ("", Formats::EMPTY),
            ("0042", Formats::DIGITS),
            ("550e8400-e29b-41d4-a716-446655440000", Formats::UUID),
            ("2026-11-24", Formats::DATE),
            ("2026-11-24T05:28:28.123Z", Formats::DATE_TIME),
            ("2026-11-24 05:28:28+01:00", Formats::DATE_TIME),
            ("192.0.2.7", Formats::IPV4),
            ("2001:db8::1", Formats::IPV6),
            ("https://example.com/a?b", Formats::URI),
            ("ada@example.com", Formats::EMAIL),
            ("d41d8cd98f00b204e9800998ecf8427e", Formats::HEX),
            ("Ada", Formats::PLAIN),
            ("a b://c", Formats::PLAIN),
        ] {
            assert_eq!(format(text.as_bytes()), form, "{text}");
        }
    }
}
