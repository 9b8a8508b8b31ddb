//! How fast policies are, and holds what a benchmark asks for: from an order to the first refused connection and the first 403,
//! and back; then it keeps so many policies in force until its input ends. `policy_speed SERVICE [POLICIES [ruled]]`, as root.
//!
//! The order goes the way of a key: through the ledger, its journal on disk, and the kernel. Pins are in a folder of its own.

use apisec_engine::policy::standing::State;
use apisec_engine::policy::{Policy, draft};
use apisec_engine::snapshot::Snapshot;
use apisec_probe::clock;
use apisec_probe::enforce::Lifetime;
use apisec_probe::enforce::ebpf::{Ebpf, Folder};
use apisec_probe::identity::roster::roster;
use apisec_probe::journal::{Ending, Journal};
use apisec_probe::policy::ledger::Ledger;
use apisec_probe::policy::{keeper, who};
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds of which the median counts.
const ROUNDS: usize = 7;

fn policy(name: &str, scope: &serde_json::Value) -> Outcome<Policy> {
    Ok(serde_json::from_value(serde_json::json!({
        "apiVersion": "apisec-top/1", "kind": "Policy", "metadata": {"name": name}, "spec": {"scope": scope, "ttl": "30m"}
    }))?)
}

struct Bench {
    ledger: Ledger,
    node: Snapshot,
}

impl Bench {
    /// As a key does: everything from the plan to the journal's last word.
    fn apply(&mut self, policy: &Policy) -> Outcome<u32> {
        let order = keeper::plan(policy, &self.node, &[], true)?;
        Ok(self.ledger.apply(order, clock::now(), || 0)?)
    }

    fn undo(&mut self, id: u32) -> Outcome<()> {
        Ok(self.ledger.undo(id, Ending::Undone, clock::now())?)
    }
}

/// Milliseconds from `from` until `done` says so.
fn until(from: Instant, mut done: impl FnMut() -> Outcome<bool>) -> Outcome<f64> {
    while !done()? {
        if from.elapsed() > Duration::from_secs(30) {
            return Err("it did not happen within 30 s".into());
        }
    }
    Ok(from.elapsed().as_secs_f64() * 1_000.0)
}

fn is_refused(service: SocketAddr) -> Outcome<bool> {
    match TcpStream::connect(service) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn status(connection: &mut TcpStream, path: &str) -> Outcome<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: how fast policies are\r\nAccept: */*\r\n\r\n"
    );
    connection.write_all(request.as_bytes())?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let got = connection.read(&mut buffer)?;
        if got == 0 {
            return Err("the connection was closed".into());
        }
        seen.extend_from_slice(buffer.get(..got).unwrap_or_default());
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length =
            text.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        if seen.len() >= end + 4 + length.unwrap_or(0) {
            return Ok(text.get(9..12).unwrap_or_default().to_owned());
        }
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let service: SocketAddr = arguments.next().ok_or("name the address of a service")?.parse()?;
    let many: usize = arguments.next().map_or(Ok(0), |word| word.parse())?;
    let ruled = arguments.next().is_some_and(|word| word == "ruled");
    let folder = std::env::temp_dir().join(format!("policy-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let journal = Journal::open(&folder.join("policies.journal"))?;
    let backend = Box::new(Ebpf::at(Folder::beside("bench-of-policies"), Lifetime::Process));
    let (ledger, _) = Ledger::open(journal, backend, who::operator("bench"), clock::now())?;
    let node = Snapshot { workloads: roster(), ..Snapshot::default() };
    let mut bench = Bench { ledger, node };
    let outcome = if many == 0 { speed(&mut bench, service) } else { hold(&mut bench, service, many, ruled) };
    std::fs::remove_dir_all(folder)?;
    outcome
}

/// Prints milliseconds by what was asked for.
fn speed(bench: &mut Bench, service: SocketAddr) -> Outcome<()> {
    let us = format!("{}", std::process::id());
    let own = bench.node.workloads.iter().find(|workload| workload.pid.to_string() == us);
    let own = own.map(|workload| workload.id.clone()).ok_or("we are not on the node")?;
    let edge = draft::edge(&own, &service.to_string()).ok_or("no such edge")?;
    let stop = policy(
        "stop",
        &serde_json::json!({"endpoint": {"service": service.to_string(), "path": "/bench/users/{any}"}}),
    )?;
    let mut times = [(); 4].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        let began = Instant::now();
        let id = bench.apply(&edge)?;
        let refused = until(began, || is_refused(service))?;
        let began = Instant::now();
        bench.undo(id)?;
        let admitted = until(began, || Ok(!is_refused(service)?))?;
        let mut connection = TcpStream::connect(service)?;
        status(&mut connection, "/bench/health")?;
        let began = Instant::now();
        let id = bench.apply(&stop)?;
        let answered = until(began, || Ok(status(&mut connection, "/bench/users/17")? == "403"))?;
        let began = Instant::now();
        bench.undo(id)?;
        let passed = until(began, || Ok(status(&mut connection, "/bench/users/17")? == "200"))?;
        // The first round loads pages from disk.
        if round > 0 {
            for (all, one) in times.iter_mut().zip([refused, admitted, answered, passed]) {
                all.push(one);
            }
        }
    }
    let [refused, admitted, answered, passed] = times.map(median);
    println!(
        "{}",
        serde_json::json!({"refused_ms": refused, "admitted_ms": admitted, "answered_ms": answered, "passed_ms": passed})
    );
    Ok(())
}

/// Keeps so many policies in force until standard input ends: the last one rules the service, or none does.
fn hold(bench: &mut Bench, service: SocketAddr, many: usize, ruled: bool) -> Outcome<()> {
    for nth in 1..=many {
        let here = ruled && nth == many;
        let scope = if here {
            serde_json::json!({"endpoint": {"service": service.to_string(), "path": "/bench/none/{any}"}})
        } else if nth % 2 == 0 {
            serde_json::json!({"endpoint": {"service": format!("127.0.0.{}:{}", 2 + nth % 200, 20_000 + nth), "path": "/none/{any}"}})
        } else {
            serde_json::json!({"edge": {"from": format!("198.51.100.{}", nth % 250), "to": format!("127.0.0.1:{}", 30_000 + nth)}})
        };
        bench.apply(&policy(&format!("bench-{nth}"), &scope)?)?;
    }
    let open = bench.ledger.views().iter().filter(|view| view.state == State::Active).count();
    println!("{}", serde_json::json!({ "held": open }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    bench.ledger.undo_own(clock::now());
    for id in bench.ledger.open_ids() {
        bench.undo(id)?;
    }
    Ok(())
}
