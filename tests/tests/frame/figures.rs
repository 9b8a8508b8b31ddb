//! The figures on screen are those of the headless JSON, and those of the server's own log.

use std::collections::HashMap;
use std::path::Path;

use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::skip::have_programs;
use apisec_tests::{client, tool};
use serde_json::Value;

use super::screen::{PATIENCE, Screen, can_run_live, header};

/// What a row says: calls, median and 99th percentile.
#[derive(Debug, PartialEq)]
struct Figures {
    calls: u64,
    p50: String,
    p99: String,
}

fn headless(file: &Path) -> Value {
    let file = file.to_str().unwrap();
    let arguments = ["replay", file, "--headless", "--output", "json", "--no-state"];
    tool::run(&arguments, PATIENCE).unwrap().json().unwrap()
}

/// Microseconds with three digits and a unit, as the terminal writes them.
fn time(us: &Value) -> String {
    let us = us.as_u64().unwrap() as f64;
    let three = |value: f64| match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    };
    match us {
        us if us < 1e3 => format!("{us}us"),
        us if us < 999_500.0 => format!("{}ms", three(us / 1e3)),
        us => format!("{}s", three(us / 1e6)),
    }
}

fn names(document: &Value) -> HashMap<&str, &str> {
    let workloads = document["workloads"].as_array().unwrap().iter();
    workloads.map(|w| (w["id"].as_str().unwrap(), w["name"].as_str().unwrap())).collect()
}

fn of(row: &Value) -> Figures {
    Figures { calls: row["calls"].as_u64().unwrap(), p50: time(&row["p50_us"]), p99: time(&row["p99_us"]) }
}

/// What follows the words `first` on the line that holds them, tables side by side included.
fn words<'a>(text: &'a str, first: &[&str]) -> Option<Vec<&'a str>> {
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let start = words.windows(first.len()).position(|window| window == first)?;
        Some(words[start + first.len()..].to_vec())
    })
}

#[test]
fn a_replay_shows_what_its_json_says() {
    if !have_programs("frame::a_replay_shows_what_its_json_says", &["tmux"]) {
        return;
    }
    let file = tool::workspace().join("demo/sessions/shop.apisec");
    let document = headless(&file);
    let screen = Screen::start(200, 60, &["replay", file.to_str().unwrap(), "--no-state"], "ended");
    let text = screen.until("the endpoints", |text| text.contains("─ Endpoints ─"));
    let edges = document["edges"].as_array().unwrap();
    let errors: u64 = edges.iter().map(|edge| edge["errors"].as_u64().unwrap()).sum();
    assert!(header(&text).contains(&format!(" {} calls", document["capture"]["calls"])), "{text}");
    assert!(header(&text).contains(&format!(" {errors} errors")), "{text}");

    let names = names(&document);
    let name = |id: &Value| names[id.as_str().unwrap()];
    let shown = document["endpoints"].as_array().unwrap().iter().filter_map(|endpoint| {
        let first = [
            endpoint["method"].as_str().unwrap(),
            endpoint["path"].as_str().unwrap(),
            name(&endpoint["service"]),
        ];
        let words = words(&text, &first)?;
        let [.., p50, p99] = words[..] else { panic!("{words:?}") };
        let drawn = Figures { calls: words[0].parse().unwrap(), p50: p50.into(), p99: p99.into() };
        assert_eq!(drawn, of(endpoint), "{first:?}");
        Some(())
    });
    assert!(shown.count() >= 30, "too few endpoints were found on:\n{text}");

    screen.press("2");
    screen.until("the graph", |text| text.contains("─ Graph ─"));
    let text = screen.press_until("t", "the edges", |text| text.contains("─ Edges ─"));
    for edge in edges {
        let words = words(&text, &[name(&edge["src"]), name(&edge["dst"]), "http1"]).unwrap();
        // CALLS RATE ERRORS [ERR] [NO ANSWER] P50 P99 SENT RECEIVED
        let [.., p50, p99, _, _] = words[..] else { panic!("{words:?}") };
        let drawn = Figures { calls: words[0].parse().unwrap(), p50: p50.into(), p99: p99.into() };
        assert_eq!(drawn, of(edge), "{edge}");
        assert_eq!(words[2], edge["errors"].to_string(), "{edge}");
    }
}

#[test]
fn a_live_endpoint_is_counted_as_its_server_and_its_recording_count_it() {
    if !can_run_live("frame::a_live_endpoint_is_counted_as_its_server_and_its_recording_count_it") {
        return;
    }
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("live.apisec");
    let arguments = ["live", "--no-state", "--record", session.to_str().unwrap()];
    let screen = Screen::start(200, 60, &arguments, "LIVE");
    // Other tests have traffic too: only ours is to be seen.
    screen.press_until("/", "the filter", |text| text.ends_with("/\n") || text.contains("\n/"));
    screen.terminal.type_text("frame-counted").unwrap();
    screen.press_until("Enter", "the filter in force", |text| text.contains("/frame-counted"));

    let ask = |times: usize| {
        let urls = vec![format!("{}/frame-counted", nginx.url()); times];
        client::curl(&urls.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    };
    // The service comes first: another nginx beside it gives both their ports.
    let row = |text: &str| words(text, &["GET", "/frame-counted"]).map(|w| w[1..].join(" "));
    let counts = |text: &str, calls: usize| row(text).is_some_and(|r| r.starts_with(&format!("{calls} ")));
    ask(30);
    let log = nginx.log_of(30).unwrap().len();
    screen.until("as many calls as in the log", |text| counts(text, log));
    screen.press_until("Space", "a held picture", |text| header(text).contains("FROZEN"));
    ask(7);
    let log = nginx.log_of(37).unwrap().len();
    let held = screen.until("calls since", |text| !header(text).contains("FROZEN +0"));
    assert!(counts(&held, 30), "the held picture moved:\n{held}");
    screen.press("Space");
    let text = screen.until("all calls", |text| header(text).contains("LIVE") && counts(text, log));
    screen.press("q");
    screen.until_restored();

    let document = headless(&session);
    let endpoints = document["endpoints"].as_array().unwrap();
    let ours: Vec<_> = endpoints.iter().filter(|e| e["path"] == "/frame-counted").collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    let words = &words(&text, &["GET", "/frame-counted"]).unwrap()[1..];
    let [.., p50, p99] = *words else { panic!("{words:?}") };
    let drawn = Figures { calls: words[0].parse().unwrap(), p50: p50.into(), p99: p99.into() };
    assert_eq!(drawn, of(ours[0]), "{words:?}");
    assert_eq!(nginx.finish().unwrap().len(), log);
}
