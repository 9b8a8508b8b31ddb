//! Start lines: telling whether bytes can be the beginning of a request or of a response.

use super::Role;
use crate::wire::{Match, prefix};

/// Longest method token that is looked at; the longest registered one has 18 bytes (RFC 4437, WebDAV).
pub(super) const MAX_METHOD: usize = 24;

/// What every response starts with.
const RESPONSE: &[u8] = b"HTTP/1.";

/// Methods whose name, followed by a space, is evidence enough (RFC 9110, 5789, 4918, 3253 in part).
const METHODS: [&[u8]; 20] = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"PATCH",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"PURGE",
    b"QUERY",
];

/// `tchar` of RFC 9110 §5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether `bytes` can begin a message of `role`.
pub(super) fn plausible(role: Role, bytes: &[u8]) -> Match {
    match role {
        Role::Request => request(bytes),
        Role::Response => response(bytes),
    }
}

fn response(bytes: &[u8]) -> Match {
    match prefix(bytes, RESPONSE) {
        Match::Yes if bytes.get(RESPONSE.len()).is_some_and(|minor| !minor.is_ascii_digit()) => Match::No,
        fit => fit,
    }
}

fn request(bytes: &[u8]) -> Match {
    let end = bytes.iter().take(MAX_METHOD + 1).position(|byte| !is_token(*byte));
    let Some((method, [b' ', target @ ..])) = end.and_then(|end| bytes.split_at_checked(end)) else {
        return if end.is_none() && bytes.len() <= MAX_METHOD { Match::Maybe } else { Match::No };
    };
    if method.is_empty() {
        return Match::No;
    }
    if METHODS.contains(&method) {
        return match target.first() {
            None => Match::Maybe,
            Some(first) if first.is_ascii_graphic() => Match::Yes,
            Some(_) => Match::No,
        };
    }
    match memchr::memchr(b'\n', target) {
        None => Match::Maybe,
        Some(end) if is_line(Role::Request, bytes.get(..=method.len() + 1 + end).unwrap_or_default()) => {
            Match::Yes
        }
        Some(_) => Match::No,
    }
}

/// Whether a whole line, with its LF, is a start line of `role`.
pub(super) fn is_line(role: Role, line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    match role {
        Role::Request => {
            let version = line.len().checked_sub(9).and_then(|at| line.get(at..)).unwrap_or_default();
            matches!(version, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'])
                && memchr::memchr(b' ', line).is_some_and(|space| space > 0 && space + 9 < line.len())
        }
        Role::Response => matches!(
            line,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', rest @ ..]
                if rest.first().is_none_or(|byte| *byte == b' ')
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines() {
        for good in
            ["GET / HTTP/1.1\r\n", "X y HTTP/1.0\n", "GET /a b HTTP/1.1\r\n", "M-SEARCH * HTTP/1.1\r\n"]
        {
            assert!(is_line(Role::Request, good.as_bytes()), "{good}");
        }
        for bad in [
            "GET /\r\n",
            "GET HTTP/1.1\r\n",
            " / HTTP/1.1\r\n",
            "GET / HTTP/2.0\r\n",
            "OPTIONS * RTSP/1.0\r\n",
        ] {
            assert!(!is_line(Role::Request, bad.as_bytes()), "{bad}");
        }
        for good in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\r\n", "HTTP/1.1 999 \n"] {
            assert!(is_line(Role::Response, good.as_bytes()), "{good}");
        }
        for bad in ["HTTP/1.1 099 No\r\n", "HTTP/1.1 2000\r\n", "HTTP/2 200\r\n", "HTTP/1.1  200 OK\r\n"] {
            assert!(!is_line(Role::Response, bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn beginnings() {
        assert_eq!(plausible(Role::Request, b"GE"), Match::Maybe);
        assert_eq!(plausible(Role::Request, b"GET /"), Match::Yes);
        assert_eq!(plausible(Role::Request, b"FOO /"), Match::Maybe);
        assert_eq!(plausible(Role::Request, b"FOO / HTTP/1.1\n"), Match::Yes);
        assert_eq!(plausible(Role::Request, b"{\"a\":1}"), Match::No);
        assert_eq!(plausible(Role::Request, &[b'A'; 30]), Match::No);
        assert_eq!(plausible(Role::Response, b"HTT"), Match::Maybe);
        assert_eq!(plausible(Role::Response, b"HTTP/1.x"), Match::No);
    }
}
