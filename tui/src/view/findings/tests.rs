//! What is listed, in which order, how it reads, and what its keys do.

use super::*;
use crate::fixture;
use crate::view::tests::{app, draw, press, text};
use apisec_engine::finding::{Confidence, Event, FindingCall};

fn wrong() -> Snapshot {
    let mut snapshot = fixture::shop();
    let (service, end) = (snapshot.endpoints[0].service.clone(), snapshot.window.end_ns);
    let finding = |id: &str, title: &str, severity, state| Finding {
        id: id.into(),
        detector: "bola-enumeration".into(),
        owasp: "API1:2023".into(),
        title: title.into(),
        severity,
        confidence: Confidence::High,
        service: service.clone(),
        path: "/orders/{id:int}".into(),
        evidence: "312 distinct objects".into(),
        last_seen: end,
        calls: vec![FindingCall {
            at: end,
            method: "GET".into(),
            path: "/orders/\u{1b}[2J".into(),
            status: 200,
        }],
        timeline: vec![Event { at: end, what: "found".into() }],
        state,
        ..Finding::default()
    };
    snapshot.findings = vec![
        finding("a", "reads everything", Severity::High, State::New),
        finding("b", "tries\u{1b}[31m things", Severity::Low, State::Acknowledged),
        finding("c", "was muted", Severity::High, State::Muted { reason: "a test".into(), until: 0 }),
    ];
    snapshot
}

#[test]
fn what_matters_most_is_first_and_nothing_reaches_the_terminal_unescaped() {
    let mut app = app(wrong(), (160, 30));
    press(&mut app, "9");
    let shown = text(&draw(&mut app));
    let line = |word: &str| {
        shown.lines().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {shown}"))
    };
    assert!(line("reads everything") < line("things") && line("things") < line("was muted"), "{shown}");
    assert!(shown.contains("2 open, 3 in all") && shown.contains("2 findings"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
    press(&mut app, "enter");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("312 distinct objects") && shown.contains("Timeline"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn keys_handle_a_finding() {
    let mut app = app(wrong(), (160, 30));
    let sent = |app: &mut crate::app::App, keys: &str| -> Vec<Command> {
        press(app, keys)
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Send(command) => Some(command),
                _ => None,
            })
            .collect()
    };
    let handled = |state| vec![Command::Handle { finding: "a".into(), state }];
    assert_eq!(sent(&mut app, "9 a"), handled(State::Acknowledged));
    let end = fixture::shop().window.end_ns;
    assert_eq!(sent(&mut app, "R enter"), handled(State::Resolved { at: end }));
    let until = end + 2 * 3_600 * SECOND;
    let muted = State::Muted { reason: "load test".into(), until };
    assert_eq!(sent(&mut app, "M l o a d space t e s t space 2 h enter"), handled(muted));
}

#[test]
fn without_findings_it_says_so() {
    let mut app = app(fixture::shop(), (80, 24));
    press(&mut app, "9");
    assert!(text(&draw(&mut app)).contains("No findings yet"));
}
