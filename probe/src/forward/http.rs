//! One POST over HTTP/1.1, and what came of it: all that a web hook or a collector needs. And one GET, for a document that
//! the operator named. Redirects are never followed: they would lead where nobody sent us.

use super::Refusal;
use super::address::Access;
use super::stream::{Stream, Trust};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Longest head of an answer that is read.
const MAX_HEAD: usize = 16 << 10;
/// How long a document may take as a whole.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where a head ends.
const END: &[u8] = b"\r\n\r\n";

/// A place that takes documents.
#[derive(Clone)]
pub(crate) struct Place {
    authority: String,
    host: String,
    path: String,
    tls: bool,
}

impl Place {
    /// Reads `http://HOST[:PORT]/PATH`, or `https://`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
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
    pub(crate) fn or_path(mut self, path: &str) -> Self {
        if self.path == "/" {
            self.path = path.to_owned();
        }
        self
    }

    /// Sends a document and waits for the answer.
    pub(crate) fn post(&self, access: &Access, body: &str) -> Result<(), Refusal> {
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

    /// Asks for a document of at most `most` bytes.
    pub(crate) fn get(&self, trust: &Trust, most: usize) -> Result<Vec<u8>, String> {
        let until = Instant::now() + PATIENCE;
        let failed = |error: std::io::Error| error.to_string();
        let mut stream = Stream::open(&self.authority, self.tls.then_some(trust)).map_err(failed)?;
        // Of version 1.0, so that the answer is in one piece and ends with the connection.
        let head = format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: */*\r\nUser-Agent: apisec-top/{}\r\nConnection: close\r\n\r\n",
            self.path,
            self.host,
            env!("CARGO_PKG_VERSION")
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).map_err(failed)?;
        let mut answer = Answer::default();
        let mut part = [0; 16 << 10];
        while !answer.is_whole() {
            if Instant::now() > until {
                return Err(format!("it took longer than {} s", PATIENCE.as_secs()));
            }
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(read) => answer.take(part.get(..read).unwrap_or_default(), most)?,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(failed(error)),
            }
        }
        answer.body()
    }
}

/// An answer as far as it has come.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    /// Where its body begins, and how long that is where it says so.
    body: Option<(usize, Option<usize>)>,
}

impl Answer {
    fn take(&mut self, part: &[u8], most: usize) -> Result<(), String> {
        self.bytes.extend_from_slice(part);
        if self.body.is_none() {
            let end = self.bytes.windows(END.len()).position(|end| end == END);
            if let Some(end) = end {
                let head = self.bytes.get(..end).unwrap_or_default();
                let length = content_length(&String::from_utf8_lossy(head))?;
                self.body = Some((end + END.len(), length));
            } else if self.bytes.len() > MAX_HEAD {
                return Err("it answered nothing that is HTTP".to_owned());
            }
        }
        match self.body {
            Some((start, length)) if self.bytes.len() - start > most || length > Some(most) => {
                Err(format!("it is larger than {} MiB", most >> 20))
            }
            _ => Ok(()),
        }
    }

    fn is_whole(&self) -> bool {
        self.body
            .is_some_and(|(start, length)| length.is_some_and(|length| self.bytes.len() >= start + length))
    }

    fn body(mut self) -> Result<Vec<u8>, String> {
        let Some((start, length)) = self.body else {
            return Err("it answered nothing that is HTTP".to_owned());
        };
        let mut body = self.bytes.split_off(start);
        match length {
            Some(length) if body.len() < length => return Err("its answer was cut off".to_owned()),
            Some(length) => body.truncate(length),
            None => {}
        }
        Ok(body)
    }
}

/// The length of the body that comes with this head, where it says so; what there is against reading it.
fn content_length(head: &str) -> Result<Option<usize>, String> {
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .next()
    };
    match head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) {
        Some(200) => {}
        Some(status @ 300..=399) => {
            let to = field("location").unwrap_or_default();
            return Err(format!("it answered {status}, and redirects are not followed: name {to} itself"));
        }
        Some(status) => return Err(format!("it answered {status}")),
        None => return Err("it answered nothing that is HTTP".to_owned()),
    }
    if let Some(coding) = field("transfer-encoding").or_else(|| field("content-encoding")) {
        return Err(format!("it answered in a coding that was not asked for: {coding}"));
    }
    Ok(field("content-length").and_then(|length| length.parse().ok()))
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

    #[test]
    fn documents() {
        let got = |parts: &[&str], most| {
            let mut answer = Answer::default();
            parts.iter().try_for_each(|part| answer.take(part.as_bytes(), most)).and_then(|()| answer.body())
        };
        let ok = "HTTP/1.1 200 OK\r\n";
        assert_eq!(got(&[ok, "\r\n", "a: ", "b"], 9).unwrap(), b"a: b");
        assert_eq!(got(&[ok, "content-length: 2\r\n\r\nabc"], 9).unwrap(), b"ab");
        for (answer, why) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "cut off"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab", "larger than"),
            ("HTTP/1.1 200 OK\r\n\r\nabcdefghijk", "larger than"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na", "coding"),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
                "name http://169.254.169.254/ itself",
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "it answered 404"),
            ("SSH-2.0-x\r\n\r\n", "nothing that is HTTP"),
            ("HTTP/1.1 200 OK\r\n", "nothing that is HTTP"),
        ] {
            let said = got(&[answer], 9).unwrap_err();
            assert!(said.contains(why), "{answer:?}: {said}");
        }
    }
}
