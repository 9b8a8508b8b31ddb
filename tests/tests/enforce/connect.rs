//! Connections that are refused, and those that are not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use apisec_probe::enforce::rule::{Caller, Connect, Rule, Target};
use apisec_probe::enforce::{Backend, EnforceError};
use apisec_tests::eventually;

use super::{Tidy, backend, can_run, in_the_kernel, nothing_is_left, step};

const TTL: Duration = Duration::from_secs(60);

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn deny(from: Vec<Caller>, to: SocketAddr) -> Vec<Rule> {
    vec![Rule::Connect(Connect { from, to: vec![Target::new(to.ip(), to.port())] })]
}

fn refused(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn a_connection_is_refused_at_once_and_after_undo_is_not() {
    let Some(_alone) = can_run("connect::a_connection_is_refused_at_once_and_after_undo_is_not", &["curl"])
    else {
        return;
    };
    let mut tidy = Tidy::new();
    let (_kept, target) = listener();
    let (_other, bystander) = listener();
    TcpStream::connect(target).unwrap();

    let start = Instant::now();
    tidy.0.apply(&step(1, TTL, deny(vec![], target))).unwrap();
    assert!(refused(target));
    let first = start.elapsed();
    TcpStream::connect(bystander).unwrap();
    // Another program too, and by its mapped address.
    let curl =
        Command::new("curl").args(["--silent", "--max-time", "5"]).arg(format!("http://{target}/")).status();
    assert_eq!(curl.unwrap().code(), Some(7));
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), target.port()));
        assert!(refused(mapped), "by its mapped address");
    }
    let effects = tidy.0.effects().unwrap();
    let blocked: u64 = effects.iter().map(|effect| effect.blocked).sum();
    assert!((2..=3).contains(&blocked), "{effects:?}");
    assert!(effects.iter().any(|effect| effect.caller.comm == "curl"), "{effects:?}");

    let start = Instant::now();
    let undone = tidy.0.undo(1).unwrap();
    TcpStream::connect(target).unwrap();
    let back = start.elapsed();
    assert!(undone.held);
    assert_eq!(undone.effects.iter().map(|effect| effect.blocked).sum::<u64>(), blocked);
    nothing_is_left();
    println!("first refusal {first:?} after apply, with loading; first connection {back:?} after undo");

    // A second policy while one is in force: what the operator waits for.
    tidy.0.apply(&step(1, TTL, deny(vec![], bystander))).unwrap();
    let start = Instant::now();
    tidy.0.apply(&step(2, TTL, deny(vec![], target))).unwrap();
    assert!(refused(target));
    println!("first refusal {:?} after apply, already loaded", start.elapsed());
}

#[test]
fn a_rule_outlives_who_applied_it_and_ends_by_itself() {
    let Some(_alone) = can_run("connect::a_rule_outlives_who_applied_it_and_ends_by_itself", &[]) else {
        return;
    };
    let tidy = Tidy::new();
    let (_kept, target) = listener();
    let mut first = backend();
    first.apply(&step(7, Duration::from_secs(8), deny(vec![], target))).unwrap();
    drop(first);
    assert!(refused(target));
    let held = tidy.0.inspect().unwrap();
    assert_eq!(held.policies.len(), 1);
    assert_eq!(held.policies[0].policy, 7);
    assert!(!held.policies[0].deadline.passed());
    assert_eq!(held.programs.len(), 2, "{held:?}");
    // Nobody does anything but look.
    let over = eventually("the deadline", Duration::from_secs(60), || (!refused(target)).then_some(()));
    over.unwrap();
    assert!(tidy.0.inspect().unwrap().policies[0].deadline.passed());
    let mut other = backend();
    assert_eq!(other.remove_all().unwrap().policies, 1);
    nothing_is_left();
}

#[test]
fn only_the_callers_of_the_rule_are_refused() {
    let Some(_alone) = can_run("connect::only_the_callers_of_the_rule_are_refused", &["curl"]) else {
        return;
    };
    let mut tidy = Tidy::new();
    let (_kept, target) = listener();
    let us = Caller::Process(std::process::id());
    tidy.0.apply(&step(3, TTL, deny(vec![us], target))).unwrap();
    assert!(refused(target));
    // Curl connects, and then waits for an answer that nobody gives.
    let curl =
        Command::new("curl").args(["--silent", "--max-time", "1"]).arg(format!("http://{target}/")).status();
    assert_eq!(curl.unwrap().code(), Some(28));
    // Applied again, it replaces what it was.
    tidy.0.apply(&step(3, TTL, deny(vec![Caller::Process(1)], target))).unwrap();
    TcpStream::connect(target).unwrap();
    assert!(matches!(
        tidy.0.renew(99, apisec_probe::enforce::rule::Deadline::NEVER),
        Err(EnforceError::NotHeld(99))
    ));
}

#[test]
fn a_thousand_policies_at_once() {
    let Some(_alone) = can_run("connect::a_thousand_policies_at_once", &[]) else { return };
    let mut tidy = Tidy::new();
    let (_kept, target) = listener();
    let start = Instant::now();
    for policy in 1..1_000 {
        let other = SocketAddr::from(([203, 0, 113, (policy % 250) as u8], 1_000 + policy as u16));
        tidy.0.apply(&step(policy, TTL, deny(vec![], other))).unwrap();
    }
    println!("999 policies applied one by one in {:?}", start.elapsed());
    let start = Instant::now();
    tidy.0.apply(&step(1_000, TTL, deny(vec![], target))).unwrap();
    assert!(refused(target));
    let first = start.elapsed();
    let start = Instant::now();
    tidy.0.undo(1_000).unwrap();
    TcpStream::connect(target).unwrap();
    let back = start.elapsed();
    println!("with 1,000: first refusal {first:?} after apply, first connection {back:?} after undo");
    assert_eq!(tidy.0.inspect().unwrap().policies.len(), 999);
    assert!(!in_the_kernel().is_empty());
    tidy.0.remove_all().unwrap();
    nothing_is_left();
}

#[test]
fn a_connection_that_is_open_is_cut_with_its_edge() {
    let name = "connect::a_connection_that_is_open_is_cut_with_its_edge";
    let Some(_alone) = can_run(name, &[]) else { return };
    let mut tidy = Tidy::new();
    let (listener, other) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (to, elsewhere) = (listener.local_addr().unwrap(), other.local_addr().unwrap());
    let mut client = TcpStream::connect(to).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let mut bystander = TcpStream::connect(elsewhere).unwrap();
    let (mut beside, _) = other.accept().unwrap();
    let rule = |pid| {
        let to = vec![Target::new(to.ip(), to.port())];
        vec![Rule::Connect(Connect { from: vec![Caller::Process(pid)], to })]
    };
    // Of another process: it stays.
    assert_eq!(tidy.0.apply(&step(1, TTL, rule(1))).unwrap().destroyed, 0);
    client.write_all(b"x").unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    assert_eq!(tidy.0.apply(&step(1, TTL, rule(std::process::id()))).unwrap().destroyed, 1);
    assert!(accepted.read(&mut [0]).is_err(), "the peer is told by a reset");
    assert!(client.write_all(b"x").is_err());
    bystander.write_all(b"x").unwrap();
    beside.read_exact(&mut [0]).unwrap();
}
