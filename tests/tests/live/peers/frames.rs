//! Frames that few peers send: padding, CONTINUATION, priorities, trailers, pushed answers, GOAWAY; by the nghttp2 tools and nginx.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use apisec_tests::server::{Nginx, NginxSetup, Server, free_port};
use apisec_tests::watch::{Watch, mark};

use crate::live::{can_run, run, tally};

#[test]
fn padding_continuations_trailers_and_pushes() {
    let name = "peers::frames::padding_continuations_trailers_and_pushes";
    if !can_run(name, &["nghttp", "nghttpd", "h2load"]) {
        return;
    }
    let mark = mark("frames");
    let server = Server::start(|address, folder| {
        let below = folder.join(mark.trim_start_matches('/'));
        fs::create_dir(&below)?;
        for (name, size) in [("page", 50_000), ("style", 9000), ("script", 100)] {
            fs::write(below.join(name), "x".repeat(size))?;
        }
        let mut command = Command::new("nghttpd");
        command
            .args(["--no-tls", "-b", "200", "--trailer=x-checksum: 7", "-a", "127.0.0.1", "-d"])
            .arg(folder);
        command.arg(format!("--push={mark}/page={mark}/style,{mark}/script")).arg(address.port().to_string());
        Ok(command)
    })
    .unwrap();
    let body = server.folder().join("body");
    fs::write(&body, "y".repeat(3000)).unwrap();
    let body = body.display().to_string();
    let url = |name: &str| format!("{}{mark}/{name}", server.url());
    let watch = Watch::calls().unwrap();
    for _ in 0..3 {
        // Its clients accept what is pushed, say on which streams others depend, and split blocks.
        run("nghttp", &["-n", "-b", "255", "--continuation", "-p", "200", &url("page"), &url("style")]);
        run("nghttp", &["-n", "-b", "50", "--continuation", "--trailer=x-end: 1", "-d", &body, &url("none")]);
    }
    run("h2load", &["-n", "200", "-c", "2", "-m", "50", &url("script")]);
    let calls = watch.end_with_calls(&mark).unwrap();
    let seen = tally(calls.iter().map(|call| {
        let short = call.path.trim_start_matches(&mark);
        format!("{} {short} {} {}", call.method, call.status.unwrap_or_default(), call.notes.join(" "))
    }));
    let asked = [
        ("GET /page 200 banner", 3),
        ("GET /style 200 banner", 3),
        ("POST /none 404 banner", 3),
        ("GET /script 200 banner", 200),
    ];
    let asked = asked.into_iter().map(|(call, times)| (call.to_owned(), times)).collect();
    assert_eq!(seen, asked, "pushed answers are no calls");
    let of = |name: &str| calls.iter().find(|call| call.path.ends_with(name)).unwrap();
    assert!(of("/page").response_bytes > 50_000 && of("/none").request_bytes > 3000);
}

/// nginx ends connections after ten requests, while more are on their way.
#[test]
fn connections_that_the_server_ends() {
    let name = "peers::frames::connections_that_the_server_ends";
    if !can_run(name, &["nginx", "h2load"]) {
        return;
    }
    let mark = mark("goaway");
    let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let http = format!(
        "server {{ listen 127.0.0.1:{port} http2; keepalive_requests 10; location / {{ return 200 'ok'; }} }}"
    );
    let nginx = Nginx::start(NginxSetup { http: &http, ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    for _ in 0..3 {
        // What was not answered any more is a failure for it: what it says of that does not matter here.
        let url = format!("http://127.0.0.1:{port}{mark}/asked");
        let _ended = Command::new("h2load").args(["-n", "40", "-c", "2", "-m", "4", &url]).output().unwrap();
    }
    let log = nginx.finish().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    let answered = calls.iter().filter(|call| call.status == Some(200)).count();
    assert!(log.len() >= 3 * 2 * 10, "{}", log.len());
    assert_eq!(answered, log.len());
}
