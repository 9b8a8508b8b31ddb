//! What is added up, in which order, and how it reads.

use crate::action::{Action, Effect};
use crate::fixture;
use crate::view::tests::{app, draw, press, text};
use apisec_engine::command::Command;
use apisec_engine::coverage::{CoverageView, Shares};

#[test]
fn protocols_of_a_workload_are_one_row_and_the_least_read_is_first() {
    let mut app = app(fixture::shop(), (200, 30));
    press(&mut app, "6");
    let shown = text(&draw(&mut app));
    let lines: Vec<&str> = shown.lines().collect();
    let line = |word: &str| {
        lines.iter().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {shown}"))
    };
    assert!(line("node: quic") < line("envoy") && line("envoy") < line("nginx"), "{shown}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("nginx ")).count(), 1, "{shown}");
    assert!(lines[line("nginx ")].contains("OpenSSL 3"), "{shown}");
}

#[test]
fn a_row_opens_with_its_protocols() {
    let mut app = app(fixture::shop(), (140, 30));
    press(&mut app, "6 / n g i n x enter enter");
    let shown = text(&draw(&mut app));
    for word in ["http1", "http2", "1 us a hit", "inside TLS"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn what_is_not_counted_is_no_zero() {
    let mut snapshot = fixture::shop();
    snapshot.capture.coverage = vec![CoverageView {
        name: "node".into(),
        protocol: "unix".into(),
        connections: Shares { opaque: 3, ..Shares::default() },
        reason: "unix sockets are not read; their bytes are not counted".into(),
        ..CoverageView::default()
    }];
    let mut app = app(snapshot, (140, 30));
    press(&mut app, "6 enter");
    assert!(text(&draw(&mut app)).contains("not counted"));
}

#[test]
fn the_filter_asks_for_workload_protocol_and_reason() {
    for (filter, there, gone) in [
        ("/ p r o t o : q u i c enter", "node: quic", "nginx"),
        ("/ s e r v i c e : * n g i n x * enter", "nginx", "node: quic"),
        ("/ J a v a enter", "envoy", "node: quic"),
    ] {
        let mut app = app(fixture::shop(), (140, 30));
        press(&mut app, &format!("6 {filter}"));
        let shown = text(&draw(&mut app));
        let body: String = shown.lines().skip(2).collect();
        assert!(body.contains(there) && !body.contains(gone), "{filter}: {shown}");
    }
}

#[test]
fn a_half_read_connection_is_closed_only_when_confirmed() {
    let mut app = app(fixture::shop(), (140, 30));
    press(&mut app, "6 / p a y m e n t s enter r");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("10.0.3.4:51820") && shown.contains("cannot be taken back"), "{shown}");
    assert!(press(&mut app, "esc").is_empty());
    let effects = press(&mut app, "r enter");
    assert!(matches!(effects[..], [Effect::Send(Command::Resync(4_711))]), "{effects:?}");
}

#[test]
fn read_only_closes_nothing() {
    let mut app = app(fixture::shop(), (140, 30));
    app.setup.read_only = true;
    press(&mut app, "6 / p a y m e n t s enter");
    assert!(!app.possible().contains(&Action::Resync));
    press(&mut app, "r");
    assert!(text(&draw(&mut app)).contains("read-only: nothing is changed"));
}

#[test]
fn where_all_is_read_there_is_nothing_to_close() {
    let mut app = app(fixture::shop(), (140, 30));
    press(&mut app, "6 / c a t a l o g enter r");
    assert!(text(&draw(&mut app)).contains("no connection of this workload"));
}
