//! What the first payload bytes of a stream are.

/// Bytes that are looked at.
pub const PREFIX: usize = 16;

/// The verdict on a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An HTTP/1 request line begins here.
    Request,
    /// An HTTP/1 status line begins here.
    Response,
    /// A TLS record.
    Tls,
    /// The HTTP/2 client preface.
    Http2,
    /// Too short to tell; nothing contradicts HTTP/1 so far.
    Undecided,
    /// Something else.
    Other,
}

/// Classifies the first `len` bytes of a payload (`len` ≤ [`PREFIX`], the rest is zero).
#[inline(always)]
pub fn classify(bytes: &[u8; PREFIX], len: usize) -> Class {
    if (0x14..=0x17).contains(&bytes[0]) && (len < 2 || bytes[1] == 3) && (len < 3 || bytes[2] <= 4) {
        return if len < 3 { Class::Undecided } else { Class::Tls };
    }
    if begins(bytes, len, b"HTTP/1.") {
        return if len < 7 { Class::Undecided } else { Class::Response };
    }
    if begins(bytes, len, b"PRI * HT") {
        return if len < 8 { Class::Undecided } else { Class::Http2 };
    }
    request(bytes, len)
}

/// Whether as much of `pattern` as `len` allows stands at the start.
#[inline(always)]
fn begins<const N: usize>(bytes: &[u8; PREFIX], len: usize, pattern: &[u8; N]) -> bool {
    let mut same = true;
    for i in 0..N {
        if i < len && bytes[i] != pattern[i] {
            same = false;
        }
    }
    same
}

/// Method token, one space, then what can begin a request target. `EHLO x` of SMTP is not one.
#[inline(always)]
fn request(bytes: &[u8; PREFIX], len: usize) -> Class {
    let mut letters = 0usize;
    // An empty line may come before a request line (RFC 9112 §2.2).
    let mut leading = true;
    for i in 0..PREFIX - 1 {
        if i >= len {
            return Class::Undecided;
        }
        let byte = bytes[i];
        if leading && (byte == b'\r' || byte == b'\n') {
            continue;
        }
        leading = false;
        if byte.is_ascii_uppercase() || byte == b'-' || byte == b'_' {
            letters += 1;
        } else if byte == b' ' && letters >= 3 {
            return target(bytes[i + 1], i + 1 < len, bytes[0] == b'C' && letters == 7);
        } else {
            return Class::Other;
        }
    }
    Class::Other
}

#[inline(always)]
fn target(first: u8, present: bool, connect: bool) -> Class {
    match first {
        _ if !present => Class::Undecided,
        b'/' | b'*' | b'h' | b'H' | b'?' | b'%' => Class::Request,
        _ if connect => Class::Request,
        _ => Class::Other,
    }
}
