//! Names from tables: processes, surveys and records as they could be, without any of them being real.

use super::*;
use crate::identity::survey::{Listener, Server};
use apisec_abi::{EXEC_ARGS, KIND_EXEC, KIND_EXIT, KIND_OPEN, ROLE_SERVER};
use apisec_proto::call::Vantage;
use smallvec::smallvec;
use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    static PROCESSES: RefCell<HashMap<u32, Process>> = RefCell::default();
}

const SERVER: &str = "10.0.0.1:8080";
const CLIENT: &str = "10.0.0.1:40000";
const OWN: u64 = 100;

fn process(pid: u32, parent: u32, start: u64, exe: &str, args: &[u8]) -> Process {
    let comm = exe.rsplit('/').next().unwrap().into();
    Process {
        pid,
        parent,
        start,
        comm,
        exe: exe.into(),
        args: args.into(),
        uid: 0,
        netns: OWN,
        ..Process::default()
    }
}

fn exists(process: Process) {
    PROCESSES.with_borrow_mut(|all| all.insert(process.pid, process));
}

fn vanishes(pid: u32) {
    PROCESSES.with_borrow_mut(|all| all.remove(&pid));
}

/// An identity without a thread, on a node where `orders` (pid 10, workers 11 and 12) listens on 8080.
fn node() -> LocalIdentity {
    let mut identity = LocalIdentity::blank(|pid| PROCESSES.with_borrow(|all| all.get(&pid).cloned()));
    identity.pids_are_ours = true;
    identity.take_survey(Arc::new(survey(10)), u64::MAX, Blind::default());
    identity
}

fn survey(master: u32) -> Survey {
    let server = Server {
        master: Arc::new(process(master, 1, 50, "/srv/orders", b"")),
        port: 8080,
        members: vec![(master, 50), (master + 1, 51), (master + 2, 51)],
    };
    let listener = Listener { address: "0.0.0.0".parse().unwrap(), v6only: false, server: Some(0) };
    let mut survey = Survey { own: OWN, servers: vec![server], ..Survey::default() };
    survey.listeners.insert((OWN, 8080), smallvec![listener]);
    survey.addresses.insert("10.0.0.1".parse().unwrap(), smallvec![OWN]);
    survey.members.extend([(master, (50, 0)), (master + 1, (51, 0)), (master + 2, (51, 0))]);
    survey
}

fn flow(client: &str, server: &str) -> Flow {
    Flow { client: client.parse().unwrap(), server: server.parse().unwrap(), vantage: Vantage::Server }
}

fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn open(cookie: u64, at: u64, client_tgid: u32) -> Open {
    Open {
        kind: KIND_OPEN,
        flags: 0,
        role: ROLE_SERVER,
        verdict: 0,
        client_tgid,
        at,
        cookie,
        client_cookie: 0,
        cgroup: 0,
        netns_cookie: 0,
        client_netns_cookie: 0,
        client_cgroup: 0,
        client_uid: 0,
        client_isn: 0,
        server_isn: 0,
        pad2: 0,
        client_comm: [0; 16],
        local_addr: [0; 16],
        remote_addr: [0; 16],
        local_port: 0,
        remote_port: 0,
        pad3: 0,
    }
}

fn exec(tgid: u32, at: u64, name: &str, args: &[u8]) -> Exec {
    let mut bytes = [0; EXEC_ARGS];
    bytes[..args.len()].copy_from_slice(args);
    let args_len = args.len() as u32;
    Exec {
        kind: KIND_EXEC,
        pad: [0; 3],
        tgid,
        at,
        cgroup: 0,
        uid: 0,
        args_len,
        comm: comm(name),
        args: bytes,
    }
}

fn exit(tgid: u32, at: u64) -> Exit {
    Exit { kind: KIND_EXIT, pad: [0; 3], tgid, at }
}

/// Ids of caller and callee, and whether they are settled.
fn names(identity: &mut LocalIdentity, conn: u64) -> (String, String, bool) {
    let parties = identity.parties(ConnId(conn), &flow(CLIENT, SERVER));
    (
        parties.src.workload.id.to_string(),
        parties.dst.workload.id.to_string(),
        parties.certainty == Certainty::Settled,
    )
}

fn expect(identity: &mut LocalIdentity, conn: u64, src: &str) {
    assert_eq!(names(identity, conn), (src.to_owned(), "process:orders:8080".to_owned(), true));
}

/// A time at which processes started long ago exist.
const LATER: u64 = u64::MAX / 2;

#[test]
fn a_client_is_its_process_and_a_server_its_listener() {
    let mut identity = node();
    exists(process(20, 1, 60, "/usr/bin/curl", b"curl\0http://h/\0"));
    identity.opened(&open(1, LATER, 20));
    expect(&mut identity, 1, "process:curl");
    let parties = identity.parties(ConnId(1), &flow(CLIENT, SERVER));
    assert_eq!((parties.src.workload.command.as_str(), parties.src.workload.pid), ("curl http://h/", 20));
    assert_eq!((parties.dst.workload.address.as_str(), parties.dst.workload.pid), (SERVER, 10));
}

#[test]
fn a_server_or_its_worker_that_calls_is_the_same_workload() {
    let mut identity = node();
    for pid in [10, 11, 12] {
        exists(process(pid, if pid == 10 { 1 } else { 10 }, 50 + u64::from(pid > 10), "/srv/orders", b""));
        identity.opened(&open(u64::from(pid), LATER, pid));
        expect(&mut identity, u64::from(pid), "process:orders:8080");
    }
}

#[test]
fn a_fork_without_the_socket_belongs_to_the_server_and_a_child_program_does_not() {
    let mut identity = node();
    exists(process(10, 1, 50, "/srv/orders", b""));
    exists(process(30, 10, 70, "/srv/orders", b""));
    exists(process(31, 30, 71, "/srv/orders", b""));
    exists(process(32, 10, 72, "/usr/bin/curl", b""));
    for (pid, id) in [(30, "process:orders:8080"), (31, "process:orders:8080"), (32, "process:curl")] {
        identity.opened(&open(u64::from(pid), LATER, pid));
        expect(&mut identity, u64::from(pid), id);
    }
}

#[test]
fn a_client_that_is_gone_is_the_program_that_was_started() {
    let mut identity = node();
    identity.started(&exec(40, LATER - 10, "python3", b"python3\0/srv/job.py\0--token=abc\0"));
    identity.opened(&open(1, LATER, 40));
    identity.ended(&exit(40, LATER + 5));
    expect(&mut identity, 1, "process:job.py");
    let parties = identity.parties(ConnId(1), &flow(CLIENT, SERVER));
    assert_eq!(parties.src.workload.command, "python3 /srv/job.py --token=***");
}

#[test]
fn a_client_that_was_forked_and_is_gone_is_its_thread() {
    let mut identity = node();
    identity.opened(&Open { client_comm: comm("worker"), ..open(1, LATER, 41) });
    expect(&mut identity, 1, "process:worker");
    assert!(identity.degradations().iter().any(|gap| gap.code == "identity-thread-name"));
}

#[test]
fn a_pid_that_is_used_again_names_the_right_process() {
    let mut identity = node();
    exists(process(50, 1, 60, "/usr/bin/curl", b""));
    let born = |ticks: u64| identity.clock.born(ticks);
    let (first, second) = (born(60) + 1_000_000_000_000, born(1_000_000_000) + 1_000_000_000);
    identity.opened(&open(1, first, 50));
    expect(&mut identity, 1, "process:curl");

    identity.ended(&exit(50, first + 10));
    vanishes(50);
    exists(process(50, 1, 1_000_000_000, "/usr/bin/wget", b""));
    identity.opened(&open(2, second, 50));
    expect(&mut identity, 2, "process:wget");

    // A call of the first process that is only named now.
    identity.opened(&Open { client_comm: comm("curl"), ..open(3, first, 50) });
    expect(&mut identity, 3, "process:curl");
    identity.opened(&open(4, second, 50));
    expect(&mut identity, 4, "process:wget");
}

#[test]
fn a_process_that_started_after_the_call_did_not_make_it() {
    let mut identity = node();
    exists(process(51, 1, 1_000_000_000, "/usr/bin/wget", b""));
    identity.opened(&Open { client_comm: comm("curl"), ..open(1, 1, 51) });
    expect(&mut identity, 1, "process:curl");
}

#[test]
fn a_program_that_replaced_another_in_the_same_process_is_read_again() {
    let mut identity = node();
    exists(process(52, 1, 60, "/usr/bin/bash", b"bash\0"));
    identity.opened(&open(1, LATER, 52));
    expect(&mut identity, 1, "process:bash");
    exists(process(52, 1, 60, "/usr/bin/curl", b"curl\0"));
    identity.started(&exec(52, LATER + 1, "curl", b"curl\0"));
    identity.opened(&open(2, LATER + 2, 52));
    expect(&mut identity, 2, "process:curl");
}

#[test]
fn a_server_that_has_ended_keeps_its_earlier_calls_and_no_later_ones() {
    let mut identity = node();
    exists(process(20, 1, 60, "/usr/bin/curl", b""));
    for pid in [10, 11, 12] {
        identity.ended(&exit(pid, LATER));
    }
    identity.opened(&open(1, LATER - 1, 20));
    expect(&mut identity, 1, "process:orders:8080".replace("orders:8080", "curl").as_str());
    identity.opened(&open(2, LATER + 1, 20));
    assert!(!names(&mut identity, 2).2);

    identity.take_survey(
        Arc::new(Survey { listeners: Map::default(), ..survey(10) }),
        u64::MAX,
        Blind::default(),
    );
    identity.take_survey(Arc::new(Survey { own: OWN, ..Survey::default() }), u64::MAX, Blind::default());
    identity.opened(&open(3, LATER - 1, 20));
    expect(&mut identity, 3, "process:curl");
}

#[test]
fn a_restarted_server_keeps_its_name_and_number() {
    let mut identity = node();
    exists(process(20, 1, 60, "/usr/bin/curl", b""));
    identity.opened(&open(1, LATER, 20));
    let before = identity.parties(ConnId(1), &flow(CLIENT, SERVER)).dst;
    identity.take_survey(Arc::new(survey(900)), u64::MAX, Blind::default());
    let after = identity.parties(ConnId(1), &flow(CLIENT, SERVER)).dst;
    assert_eq!((before.number, &before.workload.id), (after.number, &after.workload.id));
    assert_eq!(after.workload.pid, 900);
}

#[test]
fn peers_elsewhere_are_addresses() {
    let mut identity = node();
    identity.opened(&open(1, LATER, 0));
    let inbound = identity.parties(ConnId(1), &flow("192.0.2.9:40000", SERVER));
    assert_eq!(
        (inbound.src.workload.id.as_str(), inbound.certainty),
        ("external:192.0.2.9", Certainty::Settled)
    );

    exists(process(20, 1, 60, "/usr/bin/curl", b""));
    identity.opened(&open(2, LATER, 20));
    let flow = Flow { vantage: Vantage::Client, ..flow(CLIENT, "192.0.2.1:80") };
    let outbound = identity.parties(ConnId(2), &flow);
    assert_eq!(outbound.dst.workload.id, "external:192.0.2.1:80");
    assert_eq!((outbound.src.workload.id.as_str(), outbound.certainty), ("process:curl", Certainty::Settled));
}

#[test]
fn an_address_of_ours_whose_socket_is_gone_is_unknown_and_not_external() {
    let mut identity = node();
    identity.opened(&open(1, LATER, 0));
    expect(&mut identity, 1, "process:unknown");
    let again = identity.degradations();
    names(&mut identity, 1);
    assert_eq!(identity.degradations(), again);
    assert!(again.iter().any(|gap| gap.code == "identity-unknown" && gap.what.starts_with("1 ")));
}

#[test]
fn a_gone_client_in_a_container_is_the_container() {
    let mut identity = node();
    let id = "3f2a9c1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";
    let placement = Placement::of_path(&format!("/system.slice/docker-{id}.scope"));
    identity.take(Answer::Cgroup(77, placement));
    identity.opened(&Open { client_cgroup: 77, client_comm: comm("curl"), ..open(1, LATER, 60) });
    expect(&mut identity, 1, "container:3f2a9c1b2d4e");
    identity.started(&Exec { cgroup: 77, ..exec(61, LATER - 1, "curl", b"curl\0") });
    identity.opened(&open(2, LATER, 61));
    expect(&mut identity, 2, "container:3f2a9c1b2d4e");
}

#[test]
fn standing_connections_are_named_by_their_holders() {
    let mut identity = node();
    exists(process(20, 1, 60, "/usr/bin/curl", b""));
    let standing = |start| Standing { netns: OWN, holder: (10, 50), peer: (20, start) };
    identity.standing.extend([(1, standing(60)), (2, standing(59))]);
    expect(&mut identity, 1, "process:curl");
    // The holder's pid belongs to another process by now.
    expect(&mut identity, 2, "process:unknown");
}

#[test]
fn the_cookie_tells_namespaces_apart() {
    let mut identity = node();
    let mut survey = survey(10);
    let other = Server {
        master: Arc::new(Process { netns: 200, ..process(70, 1, 50, "/srv/cart", b"") }),
        port: 8080,
        members: vec![(70, 50)],
    };
    survey.servers.push(other);
    let listener = Listener { address: "0.0.0.0".parse().unwrap(), v6only: false, server: Some(1) };
    survey.listeners.insert((200, 8080), smallvec![listener]);
    survey.cookies.extend([(7, OWN), (8, 200)]);
    identity.take_survey(Arc::new(survey), u64::MAX, Blind::default());
    for (cookie, id, settled) in [(7, "process:orders:8080", true), (8, "process:cart:8080@200", true)] {
        identity.opened(&Open { netns_cookie: cookie, ..open(cookie, LATER, 0) });
        let parties = identity.parties(ConnId(cookie), &flow("127.0.0.1:40000", "127.0.0.1:8080"));
        assert_eq!(
            (parties.dst.workload.id.as_str(), parties.certainty == Certainty::Settled),
            (id, settled)
        );
    }
    // Without a cookie it is a guess, and said so.
    identity.opened(&open(9, LATER, 0));
    let parties = identity.parties(ConnId(9), &flow("127.0.0.1:40000", "127.0.0.1:8080"));
    assert_eq!(parties.dst.workload.id, "process:orders:8080");
    assert!(identity.degradations().iter().any(|gap| gap.code == "identity-namespace"));
}

#[test]
fn a_process_read_budget_is_kept() {
    let mut identity = node();
    identity.reads_left = 1;
    exists(process(80, 1, 60, "/usr/bin/curl", b""));
    exists(process(81, 1, 60, "/usr/bin/wget", b""));
    identity.opened(&open(1, LATER, 80));
    identity.opened(&open(2, LATER, 81));
    expect(&mut identity, 1, "process:curl");
    assert!(!names(&mut identity, 2).2);
    identity.tick(1);
    expect(&mut identity, 2, "process:wget");
}

#[test]
fn tables_are_bounded() {
    let mut identity = node();
    for conn in 0..MAX_CONNECTIONS as u64 + 100 {
        identity.opened(&open(conn, LATER, 0));
    }
    assert!(identity.ends.len() <= MAX_CONNECTIONS);
    for conn in 0..MAX_CONNECTIONS as u64 + 100 {
        identity.closed(ConnId(conn));
    }
    assert!(identity.ends.is_empty());
}
