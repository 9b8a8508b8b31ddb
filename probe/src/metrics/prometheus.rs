//! Prometheus asks: a small HTTP server for `GET /metrics`, without TLS, for the addresses that it is given and no other.

use super::{Feed, Kind};
use crate::forward::Access;
use apisec_engine::export::metrics::Metrics;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The kind.
pub(super) const KIND: Kind =
    Kind { name: "prometheus", about: "ADDRESS:PORT to be asked at, such as 127.0.0.1:9464", check, start };

/// Longest head of a request that is read.
const MAX_HEAD: usize = 8 << 10;
/// What a client may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients at the same time; the others are let go at once.
const MAX_CLIENTS: usize = 8;
/// Between two looks for whoever knocks, when nobody does.
const PAUSE: Duration = Duration::from_millis(100);

fn parse(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| format!("`{address}` is not ADDRESS:PORT, such as 127.0.0.1:9464"))
}

fn check(address: &str) -> Result<(), String> {
    parse(address).map(drop)
}

fn start(address: &str, _: &Access, feed: Feed) -> io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(parse(address).map_err(io::Error::other)?)?;
    listener.set_nonblocking(true)?;
    std::thread::Builder::new().name("apisec-metrics".into()).spawn(move || serve(&listener, &feed))
}

fn serve(listener: &TcpListener, feed: &Feed) {
    let clients = Arc::new(());
    while !feed.is_over() {
        match listener.accept() {
            Ok((stream, _)) if Arc::strong_count(&clients) <= MAX_CLIENTS => {
                let (feed, present) = (feed.clone(), Arc::clone(&clients));
                let thread = std::thread::Builder::new().name("apisec-scrape".into());
                // Who cannot be served now asks again.
                let _busy = thread.spawn(move || {
                    let _gone = answer(stream, &feed);
                    drop(present);
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => std::thread::park_timeout(PAUSE),
        }
    }
}

fn answer(mut stream: TcpStream, feed: &Feed) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = head(&mut stream)?;
    let mut words = head.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, media, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => ("200 OK", Metrics::TEXT_TYPE, feed.metrics().prometheus()),
        (b"GET" | b"HEAD", _) => ("404 Not Found", "text/plain", "metrics are at /metrics\n".into()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET\n".into()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if method != b"HEAD" {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// The head of a request, within its bounds of bytes and of time.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > MAX_HEAD {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(part.get(..read).unwrap_or_default()),
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        // One that is let go is told nothing, or that the connection is over.
        let _reset = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn it_answers_what_it_has_and_bears_with_everybody() {
        let feed = Feed { name: String::new(), shared: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let served = feed.clone();
        let thread = std::thread::spawn(move || serve(&listener, &served));
        // Clients that say nothing keep nobody else waiting.
        let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let found = ask(address, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(
            found.starts_with("HTTP/1.1 200 OK\r\n") && found.contains("apisec_capture_calls_total 0\n"),
            "{found}"
        );
        assert!(ask(address, b"GET /etc/passwd HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask(address, b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert!(ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
        assert_eq!(ask(address, &vec![b'a'; 2 * MAX_HEAD]), "");
        drop(silent);
        feed.shared.over.store(true, Ordering::Release);
        thread.join().unwrap();
        assert!(TcpStream::connect(address).is_err());
    }
}
