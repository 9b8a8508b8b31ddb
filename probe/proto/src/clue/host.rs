//! Hosts that the values of a request name, such as `{"url": "http://169.254.169.254/latest"}`, in every way of
//! writing that clients accept.

use crate::call::{Call, Clues, Notes};
use compact_str::{CompactString, ToCompactString, format_compact};
use memchr::memmem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Hosts of one call that are kept: whoever names more does it to hide one.
pub(crate) const MAX_NAMED: usize = 4;
/// Places of one value that are looked at.
const MAX_TRIED: usize = 32;
/// Longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
/// What stands between scheme and host: as it is, percent-encoded, escaped in JSON.
const BORDERS: [&[u8]; 4] = [b"://", b"%3A%2F%2F", b"%3a%2f%2f", b":\\/\\/"];
/// Schemes that servers fetch.
const SCHEMES: [&[u8]; 6] = [b"http", b"https", b"ftp", b"gopher", b"dict", b"ws"];
/// Names that only exist inside.
const INSIDE: [&str; 6] = ["localhost", ".internal", ".local", ".svc", ".cluster.local", "metadata"];

/// Notes the hosts of the URLs in `text`, but for the host that was asked itself.
pub(super) fn named_in(text: &[u8], call: &mut Call, clues: &mut Clues) {
    // Nearly every text ends here.
    if memchr::memchr2(b':', b'%', text).is_none() {
        return;
    }
    for border in BORDERS {
        for at in memmem::find_iter(text, border).take(MAX_TRIED) {
            let before = text.get(..at).unwrap_or_default();
            let rest = text.get(at + border.len()..).unwrap_or_default();
            if SCHEMES.iter().any(|scheme| ends_with(before, scheme)) {
                note(rest, call, clues);
            }
        }
    }
}

/// Notes that an answer sends its reader to another host.
pub(super) fn elsewhere(location: &[u8], call: &mut Call, clues: &mut Clues) {
    let named = clues.hosts.len();
    if let Some(at) = memmem::find(location, b"://") {
        note(location.get(at + 3..).unwrap_or_default(), call, clues);
    }
    if clues.hosts.len() > named {
        call.notes.add(Notes::REDIRECTED);
    }
}

fn ends_with(text: &[u8], scheme: &[u8]) -> bool {
    let Some(begin) = text.len().checked_sub(scheme.len()) else { return false };
    let (before, last) = text.split_at_checked(begin).unwrap_or_default();
    last.eq_ignore_ascii_case(scheme) && !before.last().is_some_and(u8::is_ascii_alphabetic)
}

/// Notes the authority that `rest` begins with.
fn note(rest: &[u8], call: &mut Call, clues: &mut Clues) {
    let is_authority = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]@".contains(byte);
    let end =
        rest.iter().take(MAX_HOST).position(|byte| !is_authority(byte)).unwrap_or(rest.len().min(MAX_HOST));
    let authority = rest.get(..end).unwrap_or_default();
    let begin = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let authority = authority.get(begin..).unwrap_or_default();
    let Ok(authority) = str::from_utf8(authority) else { return };
    let (host, is_inside) = normal(authority);
    if host.is_empty() || host == call.host {
        return;
    }
    call.notes.add(if is_inside { Notes::NAMES_INSIDE } else { Notes::NAMES_HOST });
    if clues.hosts.contains(&host) {
        return;
    }
    if clues.hosts.len() < MAX_NAMED {
        clues.hosts.push(host);
    } else if is_inside && let Some(last) = clues.hosts.last_mut() {
        // What matters is not pushed out by what was put in front of it.
        *last = host;
    }
}

/// Host and port in one way of writing, and whether it is inside.
fn normal(authority: &str) -> (CompactString, bool) {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or_default()),
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    let port: u16 = port.parse().unwrap_or(0);
    let ip = host.parse::<IpAddr>().ok().or_else(|| loose(host).map(IpAddr::V4));
    if let Some(ip) = ip.map(|ip| ip.to_canonical()) {
        let text =
            if port == 0 { ip.to_compact_string() } else { SocketAddr::new(ip, port).to_compact_string() };
        return (text, is_inside(ip));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_inside = INSIDE.iter().any(|inside| match inside.strip_prefix('.') {
        Some(_) => host.ends_with(inside),
        None => host == *inside,
    });
    // One label without a dot is a name of the local network.
    let is_inside = is_inside || (!host.is_empty() && !host.contains('.'));
    (if port == 0 { host.into() } else { format_compact!("{host}:{port}") }, is_inside)
}

/// An IPv4 address as `inet_aton` reads it: fewer than four parts, octal and hexadecimal.
fn loose(host: &str) -> Option<Ipv4Addr> {
    let parts = host.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|byte| *byte > 255) {
        return None;
    }
    let room = 32 - 8 * bytes.len() as u32;
    if room < 32 && *last >> room != 0 {
        return None;
    }
    let high = bytes.iter().zip([24_u32, 16, 8]).fold(0, |sum, (byte, shift)| sum | (byte << shift));
    Some(Ipv4Addr::from_bits(high | last))
}

fn number(part: &str) -> Option<u32> {
    match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    }
}

/// Loopback, link-local, private: nobody outside has it.
pub(super) fn is_inside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            ip.is_loopback() || ip.is_link_local() || ip.is_private() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_many_spellings() {
        for text in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.16689662",
            "[::ffff:169.254.169.254]",
        ] {
            assert_eq!(normal(text), ("169.254.169.254".into(), true), "{text}");
        }
        assert_eq!(normal("127.1:8080"), ("127.0.0.1:8080".into(), true));
        assert_eq!(normal("[::1]"), ("::1".into(), true));
        assert_eq!(normal("Metadata.Google.Internal."), ("metadata.google.internal".into(), true));
        assert_eq!(normal("users:8080"), ("users:8080".into(), true));
        assert_eq!(normal("203.0.113.9"), ("203.0.113.9".into(), false));
        assert_eq!(normal("Pictures.Example"), ("pictures.example".into(), false));
        for none in ["256.1.1.1.1", "1.2.3.4.5", "0x", "1.16777216"] {
            assert!(loose(none).is_none(), "{none}");
        }
    }
}
