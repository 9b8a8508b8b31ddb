//! One POST over HTTP/1.1, and what came of it: all that a web hook or a collector needs.

use super::Refusal;
use super::address::Access;
use super::stream::Stream;
use std::io::{Read, Write};
use std::time::Duration;

/// Longest head of an answer that is read.
const MAX_HEAD: usize = 16 << 10;

/// A place that takes documents.
#[derive(Clone)]
pub(super) struct Place {
    authority: String,
    host: String,
    path: String,
    tls: bool,
}

impl Place {
    /// Reads `http://HOST[:PORT]/PATH`, or `https://`.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(format!("`{url}` is not http:// or https://")),
        };
        let (host, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
        if host.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{url}` names no host"));
        }
        let after = host.rsplit(']').next().unwrap_or(host);
        let port = if tls { 443 } else { 80 };
        let authority = if after.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { authority, host: host.to_owned(), path: path.to_owned(), tls })
    }

    /// The same host with another path, where none was given.
    pub(super) fn or_path(mut self, path: &str) -> Self {
        if self.path == "/" {
            self.path = path.to_owned();
        }
        self
    }

    /// Sends a document and waits for the answer.
    pub(super) fn post(&self, access: &Access, body: &str) -> Result<(), Refusal> {
        let mut stream = Stream::open(&self.authority, self.tls.then_some(&access.trust))?;
        let token = access.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             User-Agent: apisec-top/{}\r\nConnection: close\r\n{}\r\n",
            self.path,
            self.host,
            body.len(),
            env!("CARGO_PKG_VERSION"),
            token.unwrap_or_default()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        stream.flush()?;
        judge(&read_head(&mut stream)?)
    }
}

fn read_head(stream: &mut Stream) -> Result<Vec<u8>, Refusal> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(part.get(..read).unwrap_or_default()),
            // A server that closes TLS without a farewell has still answered.
            Err(_) if !head.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(head)
}

/// Taken, to be tried again, or never wanted.
fn judge(head: &[u8]) -> Result<(), Refusal> {
    let head = String::from_utf8_lossy(head);
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let wanted = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let seconds = name.eq_ignore_ascii_case("retry-after").then(|| value.trim().parse().ok())??;
        Some(Duration::from_secs(seconds))
    });
    match status {
        200..=299 => Ok(()),
        0 => Err(Refusal::Later("it answered nothing that is HTTP".into(), None)),
        // What it asks for may be repaired by the operator: a token, a path.
        401 | 403 | 404 | 408 | 425 | 429 | 500.. => {
            Err(Refusal::Later(format!("it answered {status}"), wanted))
        }
        _ => Err(Refusal::Never(format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |url: &str| Place::parse(url).map(|place| (place.authority, place.path, place.tls));
        assert_eq!(place("http://a.example").unwrap(), ("a.example:80".into(), "/".into(), false));
        assert_eq!(place("https://[::1]:8443/x?y").unwrap(), ("[::1]:8443".into(), "/x?y".into(), true));
        assert_eq!(place("https://[::1]/").unwrap().0, "[::1]:443");
        for wrong in ["ftp://a/", "a.example", "http:///x", "http://a/ b", "http://a\r\nX: y/"] {
            assert!(place(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn answers() {
        assert!(judge(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok());
        let later = judge(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n");
        assert!(matches!(later, Err(Refusal::Later(_, Some(pause))) if pause.as_secs() == 7));
        assert!(matches!(judge(b"HTTP/1.1 413 Too Large\r\n\r\n"), Err(Refusal::Never(_))));
        assert!(matches!(judge(b"\x15\x03"), Err(Refusal::Later(..))));
    }
}
