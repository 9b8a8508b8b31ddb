//! Names of real programs. Needs root for some; says so when it skips.

use super::*;
use crate::identity::socket::{self, Socket};
use apisec_abi::{KIND_OPEN, ROLE_SERVER};
use apisec_proto::call::Vantage;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// A process that ends with the test. It is asked to, so that it can end its own workers.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _gone = self.0.wait();
    }
}

/// A Python web server on a free port of `127.0.0.1`, perhaps in a namespace.
fn http_server(netns: Option<&str>, port: u16) -> (Running, SocketAddr) {
    let mut command = match netns {
        Some(netns) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", netns, "python3"]);
            command
        }
        None => Command::new("python3"),
    };
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    (Running(child), SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Asks until nothing is looked for any more. A young process stays unsettled: it may yet listen.
fn settle(identity: &mut LocalIdentity, conn: ConnId, flow: &Flow) -> Parties {
    for _ in 0..200 {
        let (src, dst) = identity.name(conn, flow);
        if src.certainty != Certainty::Asked && dst.certainty != Certainty::Asked {
            return identity.parties(conn, flow);
        }
        let answer = identity.resolver.as_ref().unwrap().wait(Duration::from_secs(10));
        identity.take(answer.expect("an answer within ten seconds"));
    }
    panic!("not settled: {:?}", identity.parties(conn, flow));
}

fn open(cookie: u64, client_tgid: u32) -> Open {
    Open {
        kind: KIND_OPEN,
        flags: 0,
        role: ROLE_SERVER,
        verdict: 0,
        client_tgid,
        at: crate::clock::now(),
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

/// Both ends of a connection as `sock_diag` shows them here: the server's, then the client's.
fn ends_of(client: SocketAddr, server: SocketAddr) -> (Socket, Socket) {
    let mut found = (None, None);
    socket::established(|socket| match (socket.local, socket.remote) {
        (local, remote) if (local, remote) == (server, client) => found.0 = Some(socket),
        (local, remote) if (local, remote) == (client, server) => found.1 = Some(socket),
        _ => {}
    })
    .unwrap();
    (found.0.unwrap(), found.1.unwrap())
}

fn flow(client: SocketAddr, server: SocketAddr) -> Flow {
    Flow { client, server, vantage: Vantage::Server }
}

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: not root");
    }
    root
}

#[test]
fn a_python_server_is_named_by_its_module_whether_it_was_there_or_starts_later() {
    let (_early, early) = http_server(None, 0);
    let mut identity = LocalIdentity::start().unwrap();
    let (_late, late) = http_server(None, 0);
    for server in [early, late] {
        let client = TcpStream::connect(server).unwrap();
        let address = client.local_addr().unwrap();
        let (accepted, _) = ends_of(address, server);
        identity.opened(&open(accepted.cookie, std::process::id()));
        let parties = settle(&mut identity, ConnId(accepted.cookie), &flow(address, server));
        assert_eq!(parties.dst.workload.id, format!("process:http.server:{}", server.port()));
        assert!(parties.dst.workload.command.contains("-m http.server"));
        assert_eq!(parties.src.workload.pid, std::process::id());
    }
}

#[test]
fn the_holder_of_a_client_socket_is_found_without_the_kernel_naming_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let mut identity = LocalIdentity::start().unwrap();
    let curl = Command::new("curl").args(["-s", &format!("http://{server}/")]).stdout(Stdio::null()).spawn();
    let mut curl = Running(curl.unwrap());
    let (mut accepted, client) = listener.accept().unwrap();
    let conn = ConnId(rustix::net::sockopt::socket_cookie(&accepted).unwrap());
    identity.opened(&open(conn.0, 0));
    let parties = settle(&mut identity, conn, &flow(client, server));
    assert_eq!(parties.src.workload.id, "process:curl");
    assert_eq!(parties.src.workload.pid, curl.0.id());
    accepted.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap();
    drop(accepted);
    curl.0.wait().unwrap();
}

#[test]
fn connections_older_than_us_have_both_names() {
    let (_python, server) = http_server(None, 0);
    let client = TcpStream::connect(server).unwrap();
    let address = client.local_addr().unwrap();
    let (accepted, ours) = ends_of(address, server);
    let mut identity = LocalIdentity::start().unwrap();
    assert_eq!(identity.standing[&ours.cookie].holder.0, std::process::id());
    let parties = settle(&mut identity, ConnId(accepted.cookie), &flow(address, server));
    assert_eq!(parties.src.workload.pid, std::process::id());
    assert_eq!(parties.dst.workload.id, format!("process:http.server:{}", server.port()));
}

#[test]
fn an_nginx_and_its_workers_are_one_workload() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "worker_processes 3; daemon off; pid {0}/pid; error_log {0}/error.log;\n\
         events {{}} http {{ access_log off; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n\
         uwsgi_temp_path {0}; scgi_temp_path {0};\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }} }}",
        folder.path().display()
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let nginx = Command::new("nginx")
        .arg("-c")
        .arg(folder.path().join("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(nginx) = nginx else {
        println!("SKIPPED: no nginx here");
        return;
    };
    let mut nginx = Running(nginx);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let workers = workers_of(&mut nginx.0, server);

    let mut identity = LocalIdentity::start().unwrap();
    let client = TcpStream::connect(server).unwrap();
    let address = client.local_addr().unwrap();
    let id = format!("process:nginx:{port}");
    for (conn, caller) in workers.into_iter().chain([nginx.0.id()]).enumerate() {
        identity.opened(&open(conn as u64, caller));
        let parties = settle(&mut identity, ConnId(conn as u64), &flow(address, server));
        assert_eq!(
            (parties.src.workload.id.as_str(), parties.dst.workload.id.as_str()),
            (id.as_str(), id.as_str())
        );
        assert_eq!(parties.dst.workload.pid, nginx.0.id());
    }
}

/// The children of an nginx, once it answers.
fn workers_of(nginx: &mut Child, server: SocketAddr) -> Vec<u32> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(nginx.try_wait().unwrap().is_none() && Instant::now() < until, "nginx does not start");
        let children: Vec<u32> = process::all_pids()
            .into_iter()
            .filter(|pid| process::Stat::read(*pid).is_some_and(|stat| stat.parent == nginx.id()))
            .collect();
        if children.len() == 3 && TcpStream::connect(server).is_ok() {
            return children;
        }
        std::thread::yield_now();
    }
}

/// A named network namespace with its loopback up, deleted with the test.
struct NetworkNamespace(String);

impl NetworkNamespace {
    fn new(name: &str) -> Option<Self> {
        let name = format!("apisec-{}-{name}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("SKIPPED: no network namespaces here");
            return None;
        }
        let namespace = Self(name);
        Command::new("ip").args(["-n", &namespace.0, "link", "set", "lo", "up"]).status().unwrap();
        Some(namespace)
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A Python client that holds a connection open until its input closes, and says from which port.
fn holding_client(netns: &str, server: SocketAddr) -> (Running, SocketAddr) {
    let code = format!(
        "import socket,sys\ns=socket.create_connection(('127.0.0.1',{}))\nprint(s.getsockname()[1],flush=True)\nsys.stdin.read()",
        server.port()
    );
    let mut child = Command::new("ip")
        .args(["netns", "exec", netns, "python3", "-c", &code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Running(child), SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap())))
}

#[test]
fn the_same_loopback_port_in_two_namespaces_is_two_servers() {
    if !we_are_root() {
        return;
    }
    let (Some(one), Some(two)) = (NetworkNamespace::new("one"), NetworkNamespace::new("two")) else { return };
    let (_here, here) = http_server(None, 0);
    let servers: Vec<_> =
        [&one, &two].map(|netns| http_server(Some(&netns.0), here.port())).into_iter().collect();
    let mut identity = LocalIdentity::start().unwrap();
    let mut ids = Vec::new();
    for (conn, (netns, (server, address))) in [&one, &two].into_iter().zip(&servers).enumerate() {
        assert_eq!(address.port(), here.port());
        let (client, from) = holding_client(&netns.0, *address);
        let inode = process::netns(server.0.id()).unwrap();
        // What the kernel says on a recent kernel: the namespace's cookie.
        let cookie =
            identity.survey.cookies.iter().find(|(_, known)| **known == inode).map(|(cookie, _)| *cookie);
        let conn = conn as u64 + 1_000_000_000;
        identity.opened(&Open { netns_cookie: cookie.unwrap_or_default(), ..open(conn, client.0.id()) });
        let parties = settle(&mut identity, ConnId(conn), &flow(from, *address));
        assert_eq!(parties.dst.workload.id, format!("process:http.server:{}@{inode}", here.port()));
        assert_eq!(parties.src.workload.id, format!("process:python3@{inode}"));
        ids.push(parties.dst.workload.id.clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 2);
}

#[test]
fn without_cookies_the_socket_itself_tells_its_namespace() {
    if !we_are_root() {
        return;
    }
    let Some(netns) = NetworkNamespace::new("three") else { return };
    let (_here, here) = http_server(None, 0);
    let (there, address) = http_server(Some(&netns.0), here.port());
    let (_client, from) = holding_client(&netns.0, address);
    let mut identity = LocalIdentity::start().unwrap();
    // As on a kernel that has no namespace cookies.
    identity.survey = Arc::new(Survey { cookies: Map::default(), ..(*identity.survey).clone() });
    let inode = process::netns(there.0.id()).unwrap();
    let cookie = identity
        .standing
        .iter()
        .find(|(_, standing)| standing.netns == inode && standing.holder.0 == there.0.id());
    let cookie = *cookie.expect("the accepted socket was there at the start").0;
    identity.standing.clear();
    identity.opened(&open(cookie, 0));
    let parties = settle(&mut identity, ConnId(cookie), &flow(from, address));
    assert_eq!(parties.dst.workload.id, format!("process:http.server:{}@{inode}", here.port()));
    assert_eq!(parties.src.workload.id, format!("process:python3@{inode}"));
}

#[test]
fn dropping_it_leaves_no_thread_behind() {
    const ALONE: &str = "APISEC_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // Other tests start threads of the same name: this one needs a process of its own.
        let name = "identity::live::real_tests::dropping_it_leaves_no_thread_behind";
        let alone = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "yes")
            .output()
            .unwrap();
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        assert!(String::from_utf8_lossy(&alone.stdout).contains("1 passed"));
        return;
    }
    let identity = LocalIdentity::start().unwrap();
    assert_eq!(threads(), 1);
    drop(identity);
    assert_eq!(threads(), 0);
}

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = |task: &std::fs::DirEntry| {
        let mut comm = String::new();
        let read =
            std::fs::File::open(task.path().join("comm")).and_then(|mut file| file.read_to_string(&mut comm));
        read.is_ok() && comm.trim() == "apisec-identity"
    };
    tasks.filter(named).count()
}

/// A folder in a cgroup hierarchy, removed with the test.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    /// Below the first hierarchy of this kind that is mounted and writable.
    fn new(kind: &str, path: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields[2] == kind)?;
        let folder = std::path::Path::new(mount[1]).join(path);
        std::fs::create_dir_all(&folder).ok()?;
        Some(Self(folder))
    }

    fn take(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _busy = std::fs::remove_dir(&self.0);
        let parent = self.0.parent().filter(|parent| parent.ends_with("docker"));
        let _shared = parent.map(std::fs::remove_dir);
    }
}

/// 64 hex digits that no other test uses.
fn container_id(test: u32) -> String {
    format!("{:032x}{:032x}", std::process::id(), test)
}

fn in_container(kind: &str, path: &str) {
    let Some(cgroup) = Cgroup::new(kind, path) else {
        println!("SKIPPED: no writable {kind} hierarchy here");
        return;
    };
    let (python, server) = http_server(None, 0);
    cgroup.take(python.0.id());
    let mut identity = LocalIdentity::start().unwrap();
    let client = TcpStream::connect(server).unwrap();
    let address = client.local_addr().unwrap();
    identity.opened(&open(1, std::process::id()));
    let parties = settle(&mut identity, ConnId(1), &flow(address, server));
    assert_eq!(parties.dst.workload.kind, apisec_proto::call::WorkloadKind::Container);
    assert!(path.contains(parties.dst.workload.container.as_str()));
    assert_eq!(parties.dst.workload.runtime, "docker");
    drop(python);
}

#[test]
fn a_process_in_a_container_of_cgroup_v2_is_the_container() {
    in_container("cgroup2", &format!("docker-{}.scope", container_id(2)));
}

#[test]
fn a_process_in_a_container_of_cgroup_v1_is_the_container() {
    in_container("cgroup", &format!("docker/{}", container_id(1)));
}

#[test]
fn a_client_that_left_only_its_cgroup_is_the_container() {
    let id = container_id(3);
    let Some(cgroup) = Cgroup::new("cgroup2", &format!("docker-{id}.scope")) else {
        println!("SKIPPED: no writable cgroup2 hierarchy here");
        return;
    };
    let (_python, server) = http_server(None, 0);
    let mut identity = LocalIdentity::start().unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&cgroup.0).unwrap());
    // A process that is gone: no pid is this high.
    identity.opened(&Open { client_cgroup: inode, ..open(1, u32::MAX) });
    let from = SocketAddr::from(([127, 0, 0, 1], 1));
    let parties = settle(&mut identity, ConnId(1), &flow(from, server));
    assert_eq!(parties.src.workload.id, format!("container:{}", &id[..12]));
}

#[test]
fn a_new_server_is_asked_for_and_nobody_waits() {
    let mut identity = LocalIdentity::start().unwrap();
    let (_python, server) = http_server(None, 0);
    let client = TcpStream::connect(server).unwrap();
    let address = client.local_addr().unwrap();
    identity.opened(&open(1, std::process::id()));
    let flow = flow(address, server);
    let id = format!("process:http.server:{}", server.port());
    let mut parties = identity.parties(ConnId(1), &flow);
    while parties.dst.workload.id != id {
        assert_eq!(parties.certainty, Certainty::Asked);
        assert!(identity.wait(Duration::from_secs(10)));
        parties = identity.parties(ConnId(1), &flow);
    }
}

#[test]
fn a_client_that_becomes_a_server_is_renamed() {
    let code = "import socket,sys\ns=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\nprint('connected',flush=True)\n\
                sys.stdin.readline()\nl=socket.create_server(('127.0.0.1',0))\nprint(l.getsockname()[1],flush=True)\nsys.stdin.read()";
    let (_python, server) = http_server(None, 0);
    let mut identity = LocalIdentity::start().unwrap();
    let mut child = Command::new("python3")
        .args(["-c", code, &server.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(child.stdout.take().unwrap());
    let mut tell = child.stdin.take().unwrap();
    let client = Running(child);
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    identity.opened(&open(1, client.0.id()));
    let flow = flow(SocketAddr::from(([127, 0, 0, 1], 1)), server);
    let before = settle(&mut identity, ConnId(1), &flow);
    assert_eq!((before.src.workload.id.as_str(), before.certainty), ("process:python3", Certainty::Young));

    tell.write_all(b"\n").unwrap();
    line.clear();
    says.read_line(&mut line).unwrap();
    let id = format!("process:python3:{}", line.trim());
    identity.ask(Question::Started);
    let mut renames = identity.renames();
    while renames.is_empty() {
        let answer = identity.resolver.as_ref().unwrap().wait(Duration::from_secs(10));
        identity.take(answer.expect("an answer within ten seconds"));
        renames = identity.renames();
    }
    assert_eq!((&*renames[0].from, &*renames[0].to), ("process:python3", id.as_str()));
    assert_eq!(identity.parties(ConnId(1), &flow).src.workload.id, id);
}
