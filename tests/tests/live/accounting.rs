//! nginx's own access log against ours, request by request: status, bytes, duration, and nothing twice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::client::{curl, say};
use apisec_tests::conversation::Conversation;
use apisec_tests::server::{Logged, Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};
use tempfile::TempDir;

use super::{can_run, each_once};

const BIG: usize = 6 << 20;
/// nginx limits this file to 100 KB/s after the first second's worth: it takes some 0.3 s.
const SLOW: usize = 130 << 10;
/// Sequential keep-alive requests.
const KEPT: usize = 3000;
/// Milliseconds by which nginx, which reads its clock once per round of events, and the kernel may differ where nginx
/// did not have to wait for its turn: a quarter of its answers at least.
const CLOCK: f64 = 8.0;
/// The same on a machine that is so busy that it has to.
const BUSY: f64 = 30_000.0;
/// What is posted to a server that does not want it: nginx does not count the bodies that it discards.
const UPLOAD: u64 = 200_000;
const JSON: &str = r#"{"a":1}"#;

/// A folder that nginx's workers, who are nobody, may read.
fn files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("big"), vec![b'x'; BIG]).unwrap();
    fs::write(folder.path().join("slow"), vec![b'y'; SLOW]).unwrap();
    fs::write(folder.path().join("small.json"), format!("[{}1]", "1,".repeat(800))).unwrap();
    folder
}

fn server(mark: &str, files: &TempDir, backend: &Nginx) -> String {
    let (files, backend) = (files.path().display(), backend.url());
    format!(
        r#"
    default_type application/json;
    location {mark}/ok {{ return 200 '{{"path":"$uri","items":[1,2,3]}}'; }}
    location {mark}/missing {{ return 404 '{{}}'; }}
    location {mark}/broken {{ return 500 '{{}}'; }}
    location {mark}/moved {{ return 302 /; }}
    location {mark}/empty {{ return 204; }}
    location {mark}/files/ {{ alias {files}/; if_modified_since before; }}
    location {mark}/packed/ {{ alias {files}/; gzip on; gzip_types application/json; gzip_min_length 1; }}
    location {mark}/slow/ {{ alias {files}/; limit_rate 100k; }}
    location {mark}/passed/ {{ proxy_pass {backend}{mark}/behind/; client_body_buffer_size 256k; client_max_body_size 1m; }}
"#
    )
}

#[test]
fn nginx_agrees_request_by_request() {
    if !can_run("accounting::nginx_agrees_request_by_request", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("agrees");
    let files = files();
    let backend = Nginx::start(NginxSetup::default()).unwrap();
    let inside = server(&mark, &files, &backend);
    let nginx = Nginx::start(NginxSetup { server: &inside, ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    mixed_by_curl(&nginx, &mark, &files);
    mixed_on_one_connection(&nginx, &mark);
    pipelined(&nginx, &mark);
    let bodies: u64 = ["big", "slow"].map(|file| download(&nginx, &mark, file)).iter().sum();
    assert_eq!(bodies, (BIG + SLOW) as u64);
    let mut log = nginx.finish().unwrap();
    log.extend(backend.finish().unwrap());
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, log.iter().map(|line| line.uri.clone()));
    agree(&log, &calls);
    slow_answers_are_slow(&log, &calls, &mark);
}

fn mixed_by_curl(nginx: &Nginx, mark: &str, files: &TempDir) {
    let url = |rest: &str| format!("{}{mark}/{rest}", nginx.url());
    let sink = ["-o", "/dev/null"];
    let urls = ["ok/c1", "missing/c2", "broken/c3", "moved/c4", "empty/c5", "ok/c6"].map(url);
    let mut kept: Vec<&str> = Vec::new();
    urls.iter().for_each(|url| kept.extend(sink.iter().chain([&url.as_str()])));
    curl(&kept).unwrap();
    curl(&["-I", &url("ok/c7")]).unwrap();
    curl(&["--compressed", &url("packed/small.json")]).unwrap();
    curl(&["-0", &url("ok/c8")]).unwrap();
    let upload = files.path().join("upload");
    fs::write(&upload, vec![b'z'; UPLOAD as usize]).unwrap();
    let upload = format!("@{}", upload.display());
    curl(&["-H", "Expect:", "--data-binary", &upload, &url("passed/c9")]).unwrap();
    curl(&["-X", "DELETE", &url("passed/c10")]).unwrap();
    curl(&["--json", JSON, &url("passed/c11")]).unwrap();
}

fn mixed_on_one_connection(nginx: &Nginx, mark: &str) {
    let mut connection = Conversation::open(nginx.address()).unwrap();
    let future = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    for (method, path, fields, status) in [
        ("GET", "ok/1", "", 200),
        ("HEAD", "ok/2", "", 200),
        ("GET", "empty/3", "", 204),
        ("GET", "files/small.json", future, 304),
        ("HEAD", "missing/4", "", 404),
        ("GET", "broken/5", "", 500),
        ("OPTIONS", "ok/6", "", 200),
        ("PUT", "passed/7", "", 200),
        ("GET", "ok/8", "", 200),
    ] {
        let answer = connection.ask(method, &format!("{mark}/{path}"), fields).unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

fn pipelined(nginx: &Nginx, mark: &str) {
    let request = |n: usize| format!("GET {mark}/ok/p{n} HTTP/1.1\r\nHost: test\r\n");
    let mut all: String = (0..19).map(|n| request(n) + "\r\n").collect();
    all += &(request(19) + "Connection: close\r\n\r\n");
    let answer = String::from_utf8(say(nginx.address(), all.as_bytes()).unwrap()).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 20);
}

#[test]
fn a_burst_of_pipelined_requests_is_answered_to_the_last() {
    if !can_run("accounting::a_burst_of_pipelined_requests_is_answered_to_the_last", &["nginx"]) {
        return;
    }
    const BURST: usize = 400;
    let mark = mark("burst");
    let files = files();
    let inside = format!("location {mark}/files/ {{ alias {}/; }}", files.path().display());
    let nginx = Nginx::start(NginxSetup { server: &inside, ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    let all: String =
        (0..BURST).map(|n| format!("GET {mark}/files/small.json?{n} HTTP/1.1\r\nHost: t\r\n\r\n")).collect();
    let answer = say(nginx.address(), all.as_bytes()).unwrap();
    let bodies = answer.windows(15).filter(|bytes| bytes == b"HTTP/1.1 200 OK").count();
    assert_eq!(bodies, BURST);
    let calls = watch.end_with_calls(&mark).unwrap();
    let (mut statuses, mut sizes) = (BTreeMap::new(), BTreeMap::new());
    for call in &calls {
        *statuses.entry(call.status).or_insert(0) += 1;
        *sizes.entry(call.response_bytes).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(Some(200), BURST)]));
    assert_eq!(sizes, BTreeMap::from([(answer.len() as u64 / BURST as u64, BURST)]));
}

/// Downloads a file on a connection of its own, and asks for something small on it afterwards.
fn download(nginx: &Nginx, mark: &str, file: &str) -> u64 {
    let place = if file == "slow" { "slow" } else { "files" };
    let mut connection = Conversation::open(nginx.address()).unwrap();
    let answer = connection.get(&format!("{mark}/{place}/{file}")).unwrap();
    assert_eq!(connection.get(&format!("{mark}/ok/after-{file}")).unwrap().status, 200);
    answer.body
}

#[track_caller]
fn agree(log: &[Logged], calls: &[NdjsonCall]) {
    let ours: BTreeMap<&str, &NdjsonCall> = calls.iter().map(|call| (call.path.as_str(), call)).collect();
    let (mut wrong, mut later) = (Vec::new(), Vec::new());
    for line in log {
        let call = ours[line.uri.as_str()];
        let discarded = match line.uri.rsplit_once("/behind/") {
            Some((_, "c9")) => UPLOAD,
            Some((_, "c11")) => JSON.len() as u64,
            _ => 0,
        };
        let received = line.request_length + discarded;
        let said = (line.method.as_str(), Some(line.status), received, line.bytes_sent);
        let seen = (call.method.as_str(), call.status, call.request_bytes, call.response_bytes);
        if said != seen {
            wrong.push(format!("{}: nginx {said:?}, we {seen:?} {:?}", line.uri, call.notes));
        }
        let (said, seen) = (line.request_time * 1e3, call.duration_us as f64 / 1e3);
        // A worker that has to wait for its processor is seen by one of the two only.
        later.push((seen - said).abs());
        if (seen - said).abs() > BUSY {
            wrong.push(format!("{}: nginx {said} ms, we {seen} ms", line.uri));
        }
    }
    later.sort_by(f64::total_cmp);
    assert!(later[later.len() / 4] < CLOCK, "{later:?}");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), log.len(), wrong.join("\n"));
}

/// The duration is that of the whole answer, the time to first byte is not.
fn slow_answers_are_slow(log: &[Logged], calls: &[NdjsonCall], mark: &str) {
    let slow = format!("{mark}/slow/slow");
    let said = log.iter().find(|line| line.uri == slow).unwrap();
    let seen = calls.iter().find(|call| call.path == slow).unwrap();
    assert!(said.request_time > 0.2, "{said:?}");
    assert!(seen.duration_us > 200_000, "{seen:?}");
    assert!(seen.ttfb_us.is_some_and(|ttfb| ttfb + 100_000 < seen.duration_us), "{seen:?}");
}

#[test]
fn thousands_of_requests_are_counted_once_each() {
    if !can_run("accounting::thousands_of_requests_are_counted_once_each", &["nginx", "ab"]) {
        return;
    }
    let mark = mark("counted");
    let nginx = Nginx::start(NginxSetup { workers: 2, ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    let mut connections: Vec<_> = (0..4).map(|_| Conversation::open(nginx.address()).unwrap()).collect();
    let expected: Vec<String> = (0..KEPT).map(|n| format!("{mark}/unique/n{n}x")).collect();
    for (n, path) in expected.iter().enumerate() {
        assert_eq!(connections[n % 4].get(path).unwrap().status, 200);
    }
    let (short, kept) = (format!("{mark}/short"), format!("{mark}/kept"));
    ab(&["-n", "400", "-c", "4"], &format!("{}{short}", nginx.url()));
    ab(&["-k", "-n", "2000", "-c", "8"], &format!("{}{kept}", nginx.url()));
    let log = nginx.finish().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(log.len(), KEPT + 2400);
    let unique = format!("{mark}/unique/");
    let (unique, others): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.path.starts_with(&unique));
    each_once(&unique, expected);
    for (path, requests) in [(&short, 400), (&kept, 2000)] {
        let ours = || others.iter().filter(|call| call.path == **path && call.status == Some(200));
        let theirs = || log.iter().filter(|line| line.uri == **path);
        assert_eq!((ours().count(), theirs().count()), (requests, requests), "{path}");
        let (received, sent) =
            (ours().map(|call| call.request_bytes), ours().map(|call| call.response_bytes));
        assert_eq!(received.sum::<u64>(), theirs().map(|line| line.request_length).sum::<u64>());
        assert_eq!(sent.sum::<u64>(), theirs().map(|line| line.bytes_sent).sum::<u64>());
    }
    assert_eq!(others.len(), 2400);
}

fn ab(arguments: &[&str], url: &str) {
    let output = Command::new("ab").arg("-q").args(arguments).arg(url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
