//! Connections that were open before us: their calls are seen, once, and named.

use apisec_tests::conversation::Conversation;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once, pairs};

/// A client that keeps one connection and fetches every path that it is told.
const PATIENT: Script = Script {
    interpreter: "python3",
    name: "patient_client.py",
    text: r#"
import http.client, sys

connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
for line in sys.stdin:
    connection.request("GET", line.strip())
    response = connection.getresponse()
    response.read()
    print(response.status, flush=True)
"#,
};

#[test]
fn a_connection_that_was_open_before_us() {
    if !can_run("standing::a_connection_that_was_open_before_us", &["python3", "nginx"]) {
        return;
    }
    let mark = mark("standing");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let port = nginx.address().port().to_string();
    let mut client = PATIENT.speak(&["127.0.0.1", &port]).unwrap();
    assert_eq!(client.say(&format!("{mark}/before")).unwrap(), "200");
    let watch = Watch::calls().unwrap();
    let paths: Vec<String> = (0..10).map(|n| format!("{mark}/after{n}")).collect();
    for path in &paths {
        assert_eq!(client.say(path).unwrap(), "200");
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    drop(client);
    each_once(&calls, paths);
    let log = nginx.finish().unwrap();
    assert!(log.iter().all(|line| line.remote_port == log[0].remote_port), "one connection");
    for line in log.iter().skip(1) {
        let call = calls.iter().find(|call| call.path == line.uri).unwrap();
        assert_eq!((call.request_bytes, call.response_bytes), (line.request_length, line.bytes_sent));
    }
    let server = format!("process:nginx:{port}");
    assert_eq!(pairs(&calls), [("process:patient_client.py", server.as_str())]);
}

#[test]
fn a_connection_in_the_middle_of_a_download() {
    if !can_run("standing::a_connection_in_the_middle_of_a_download", &["nginx"]) {
        return;
    }
    let mark = mark("middle");
    // Larger than what both sockets can buffer, so that most of it is sent while we watch.
    let size: u64 = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).unwrap();
    std::fs::File::create(folder.path().join("big")).unwrap().set_len(size).unwrap();
    let inside = format!(
        "location {mark}/files/ {{ alias {}/; }} location / {{ return 200 '{{}}'; }}",
        folder.path().display()
    );
    let nginx = Nginx::start(NginxSetup { server: &inside, ..NginxSetup::default() }).unwrap();
    let mut connection = Conversation::open(nginx.address()).unwrap();
    connection.send(format!("GET {mark}/files/big HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    let (_, _, length) = connection.head().unwrap();
    assert_eq!(length, Some(size));
    connection.skip(1 << 20).unwrap();
    let watch = Watch::calls().unwrap();
    connection.skip(size - (1 << 20)).unwrap();
    let paths: Vec<String> = (0..5).map(|n| format!("{mark}/after{n}")).collect();
    for path in &paths {
        assert_eq!(connection.get(path).unwrap().status, 200);
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, paths);
    assert!(calls.iter().all(|call| call.status == Some(200)), "{calls:?}");
}
