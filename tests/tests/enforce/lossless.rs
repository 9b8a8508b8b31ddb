//! Rules come and go while clients ask: no request, no byte and no connection is lost by that.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use apisec_probe::enforce::Backend;
use apisec_tests::client::connect;
use apisec_tests::eventually;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::skip::skip;

use rustix::process::{Pid, Signal, kill_process};

use super::request::block;
use super::{Tidy, can_run, nothing_is_left, step};

const TTL: Duration = Duration::from_secs(600);
/// Requests of one run, unless `APISEC_REQUESTS` says otherwise.
const REQUESTS: u64 = 12_000;
/// An answer that takes longer is none: on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_BODY: u64 = 9_000;

/// Answers with the length and the checksum of what it was sent.
const ECHO: Script = Script {
    interpreter: "node",
    name: "echo.js",
    text: "
const server = require('http').createServer((request, answer) => {
  let [sum, length] = [0x811c9dc5, 0];
  request.on('data', part => {
    length += part.length;
    for (const byte of part) sum = Math.imul(sum ^ byte, 0x01000193) >>> 0;
  });
  request.on('end', () => answer.end(`${request.url} ${length} ${sum}`));
});
server.keepAliveTimeout = 600000;
server.listen(Number(process.argv[3]), process.argv[2]);
",
};

/// Says which path it was asked for.
const MIRROR: &str = "
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    location / { return 200 '$request_uri'; }
";

/// What clients have seen.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    asked: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

/// Reproducible randomness: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The status and the body of the next answer.
fn answer(connection: &mut TcpStream) -> Result<(String, String), String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        if let Some(end) = head {
            let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() > end + length {
                return Err(format!("more than an answer: {:?}", String::from_utf8_lossy(&bytes)));
            }
            if bytes.len() == end + length {
                let body = String::from_utf8_lossy(&bytes[end..]).into_owned();
                return Ok((text[9..12].to_owned(), body));
            }
        }
        match connection.read(&mut buffer) {
            Ok(0) => return Err("closed".to_owned()),
            Ok(got) => bytes.extend_from_slice(&buffer[..got]),
            Err(error) => return Err(format!("{error} after {} bytes", bytes.len())),
        }
    }
}

/// Asks on one connection until it is over; the first thing that went wrong.
fn client(number: u64, to: SocketAddr, posts: bool, seen: &Seen) -> Result<(), String> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1) << 32);
    let mut connection = connect(to).map_err(|error| error.to_string())?;
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    for round in 0_u64.. {
        if seen.over.load(Relaxed) {
            break;
        }
        // Some ask for what the rules refuse: they get an answer of either kind, on a connection that stays.
        let forbidden = number % 4 == 3 && round % 3 == 0;
        let path = format!("/api/{}/{number}x{round}", if forbidden { "admin" } else { "items" });
        let body: Vec<u8> = match posts {
            true => (0..dice.below(LONGEST_BODY)).map(|_| dice.below(256) as u8).collect(),
            false => Vec::new(),
        };
        let head = match posts {
            true => format!(
                "POST {path} HTTP/1.1\r\nHost: a.example\r\nUser-Agent: checksums\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ),
            false => format!(
                "GET {path} HTTP/1.1\r\nHost: a.example\r\nUser-Agent: checksums of every body\r\nAccept: */*\r\n\r\n"
            ),
        };
        let bytes = [head.as_bytes(), &body].concat();
        // In one piece, or cut at the end of the head and anywhere.
        let cuts = match dice.below(3) {
            0 => vec![],
            1 => vec![head.len()],
            _ => vec![dice.below(bytes.len() as u64) as usize, dice.below(bytes.len() as u64) as usize],
        };
        let told = |why: String| format!("client {number}, request {round}, {} bytes: {why}", bytes.len());
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            if cut > from {
                connection.write_all(&bytes[from..cut]).map_err(|error| told(error.to_string()))?;
                from = cut;
            }
        }
        let (status, said) = answer(&mut connection).map_err(told)?;
        let wanted = if posts { format!("{path} {} {}", body.len(), sum(&body)) } else { path };
        let right = if status == "403" { forbidden } else { status == "200" && said == wanted };
        if !right {
            return Err(told(format!("wanted {wanted:?}, got {status} {said:?}")));
        }
        seen.refused.fetch_add(u64::from(status == "403"), Relaxed);
        seen.bytes.fetch_add(bytes.len() as u64, Relaxed);
        seen.asked.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Waits until so many more requests were answered, or a client has ended.
fn more(seen: &Seen, many: u64) {
    let (from, began) = (seen.asked.load(Relaxed), Instant::now());
    while seen.asked.load(Relaxed) < from + many && began.elapsed() < PATIENCE && !seen.over.load(Relaxed) {
        thread::yield_now();
    }
}

#[test]
fn rules_come_and_go_without_a_loss() {
    let name = "lossless::rules_come_and_go_without_a_loss";
    let Some(wished) = std::env::var("APISEC_ROUNDS").ok().and_then(|rounds| rounds.parse::<u64>().ok())
    else {
        skip(&format!("enforce::{name}"), "a known defect: APISEC_ROUNDS=40 looks for it");
        return;
    };
    let Some(_alone) = can_run(name, &["nginx", "node"]) else { return };
    let wanted = std::env::var("APISEC_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(REQUESTS);
    let nginx = Nginx::start(NginxSetup { server: MIRROR, ..NginxSetup::default() }).unwrap();
    let echo = ECHO.serve(&[]).unwrap();
    let mut tidy = Tidy::new();
    // So that the programs need not be loaded in every round.
    let elsewhere = "203.0.113.7:80".parse().unwrap();
    tidy.0.apply(&step(8, TTL, block(elsewhere, "/none"))).unwrap();
    let seen = Seen::default();
    let (rounds, destroyed, lost) = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let (to, posts) =
                    if number % 2 == 0 { (nginx.address(), false) } else { (echo.address(), true) };
                let seen = &seen;
                scope.spawn(move || {
                    let outcome = client(number, to, posts, seen);
                    // One loss is enough: the others stop.
                    seen.over.fetch_or(outcome.is_err(), Relaxed);
                    outcome
                })
            })
            .collect();
        let mut dice = Dice(88_172_645_463_325_252);
        let (mut rounds, mut destroyed) = (0_u64, 0);
        while (seen.asked.load(Relaxed) < wanted || rounds < wished) && !seen.over.load(Relaxed) {
            let mut rules = block(nginx.address(), "/api/admin/{x}");
            rules.extend(block(echo.address(), "/api/admin/{x}"));
            destroyed += tidy.0.apply(&step(7, TTL, rules)).unwrap().destroyed;
            more(&seen, dice.below(60));
            destroyed += tidy.0.undo(7).unwrap().destroyed;
            more(&seen, dice.below(30));
            rounds += 1;
        }
        seen.over.store(true, Relaxed);
        let lost: Vec<String> =
            clients.into_iter().filter_map(|client| client.join().unwrap().err()).collect();
        (rounds, destroyed, lost)
    });
    let count = |of: &AtomicU64| of.load(Relaxed);
    println!(
        "{} requests of {} bytes on 8 connections, {} of them refused, in {rounds} rounds; {destroyed} destroyed, lost: {lost:?}",
        count(&seen.asked),
        count(&seen.bytes),
        count(&seen.refused)
    );
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(destroyed, 0);
    assert!(count(&seen.refused) > 0, "nothing was refused");
    tidy.0.undo(8).unwrap();
    // What had bytes on its way at the last moment goes when it is over.
    eventually("nothing pinned", PATIENCE, || {
        tidy.0.tend(Duration::ZERO).unwrap();
        tidy.0.inspect().unwrap().pins.is_empty().then_some(())
    })
    .unwrap();
    nothing_is_left();
}

/// What kernels from 6.14 on lose: a request that comes in pieces while the server is busy, and a shorter one behind it.
#[test]
fn a_shorter_request_behind_one_in_pieces_is_read() {
    let name = "lossless::a_shorter_request_behind_one_in_pieces_is_read";
    let Some(_alone) = can_run(name, &["node"]) else { return };
    let echo = ECHO.serve(&[]).unwrap();
    let mut tidy = Tidy::new();
    let mut connection = connect(echo.address()).unwrap();
    tidy.0.apply(&step(7, TTL, block(echo.address(), "/api/admin/{x}"))).unwrap();
    let signal = |signal| {
        let server = Pid::from_raw(echo.id() as i32).unwrap();
        kill_process(server, signal).unwrap();
    };
    for lifted in [false, true] {
        signal(Signal::STOP);
        let head = format!(
            "POST /api/items/1 HTTP/1.1\r\nHost: a.example\r\nX-Pad: {:300}\r\nContent-Length: 3000\r\n\r\n",
            'x'
        );
        for piece in [head.as_bytes(), &[b'a'; 1_500], &[b'b'; 1_500]] {
            connection.write_all(piece).unwrap();
            // It has arrived when the kernel has acknowledged it: each piece comes alone.
            let sent = eventually("sent", PATIENCE, || (unsent(&connection) == 0).then_some(()));
            sent.unwrap();
        }
        signal(Signal::CONT);
        assert_eq!(answer(&mut connection).unwrap().0, "200");
        if lifted {
            tidy.0.undo(7).unwrap();
        }
        for _ in 0..2 {
            connection.write_all(b"GET /api/items/2 HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            let (status, body) = answer(&mut connection).unwrap();
            assert_eq!((status.as_str(), body.as_str()), ("200", "/api/items/2 0 2166136261"));
        }
    }
}

/// Bytes that the peer has not acknowledged.
#[expect(unsafe_code, reason = "the kernel writes a number")]
fn unsent(connection: &TcpStream) -> i32 {
    use std::os::fd::AsRawFd as _;
    let mut left = 0;
    // SAFETY: the kernel writes one number.
    let asked = unsafe { libc::ioctl(connection.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
    assert_eq!(asked, 0);
    left
}
