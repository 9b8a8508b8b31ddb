//! Both forms hold everything, and nothing hostile gets out of its place.

use super::*;
use crate::finding::{Event, Finding};
use crate::snapshot::{Capture, WorkloadView};

fn snapshot() -> Snapshot {
    let hostile = "x</td><script>alert(1)</script>|`";
    Snapshot {
        workloads: vec![WorkloadView { id: hostile.into(), name: hostile.into(), ..WorkloadView::default() }],
        endpoints: (0..ROWS + 5)
            .map(|n| EndpointView {
                service: hostile.into(),
                method: "GET".into(),
                path: format!("/a/{n}"),
                calls: 1,
                ..EndpointView::default()
            })
            .collect(),
        capture: Capture { calls: 205, ..Capture::default() },
        ..Snapshot::default()
    }
}

#[test]
fn html_is_one_file_and_hostile_names_are_text() {
    let text = html(&snapshot(), &Meanings::default());
    assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("href="));
    assert!(text.contains("x&lt;/td&gt;") && text.contains("<svg "));
    assert!(text.contains("<p>5 more rows are left out.</p>"));
    assert_eq!(text.matches("<tr>").count(), text.matches("</tr>").count());
}

#[test]
fn markdown_tables_keep_their_columns() {
    let text = markdown(&snapshot(), &Meanings::default());
    assert!(text.contains("x&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\|\\`"));
    assert!(text.contains("```mermaid\nflowchart LR"));
    assert!(text.contains("5 more rows are left out."));
}

#[test]
fn nothing_reorders_or_hides_the_text_around_it() {
    let hostile = "a\u{202e}b\u{2066}c\u{200b}d\u{7}e\u{e0041}f\u{ad}g";
    let mut snapshot = snapshot();
    (snapshot.workloads[0].name, snapshot.endpoints[0].path) = (hostile.into(), hostile.into());
    snapshot.endpoints[0].calls = 1_000;
    for text in [markdown(&snapshot, &Meanings::default()), html(&snapshot, &Meanings::default())] {
        assert!(text.contains("a\u{fffd}b\u{fffd}c\u{fffd}d"), "{text}");
        let hidden =
            |c: char| matches!(c, '\u{ad}' | '\u{200b}' | '\u{202e}' | '\u{2066}' | '\u{e0041}' | '\u{7}');
        assert!(!text.contains(hidden), "{text}");
    }
}

#[test]
fn what_was_done_about_it_is_told() {
    let mut snapshot = snapshot();
    snapshot.policy_history.push(crate::policy::standing::HistoryView {
        seq: 1,
        at: 5_000_000_000,
        id: 3,
        name: "stop".into(),
        event: "applied".into(),
        what: "2 kernel entries".into(),
        by: "ada@pts/3".into(),
    });
    let text = markdown(&snapshot, &Meanings::default());
    assert!(text.contains("stop \\#3") || text.contains("stop #3"), "{text}");
    assert!(text.contains("ada@pts/3"), "{text}");
}

#[test]
fn a_finding_stands_at_its_time_and_so_does_what_became_of_it() {
    let finding = Finding {
        detector: "bola".into(),
        title: "reads what belongs to others".into(),
        first_seen: 5,
        timeline: vec![Event { at: 9, what: "seen by ops".into() }],
        ..Finding::default()
    };
    let text = markdown(&Snapshot { findings: vec![finding], ..snapshot() }, &Meanings::default());
    let (found, changed) = (text.find("reads what belongs").unwrap(), text.find("seen by ops").unwrap());
    assert!(found < changed, "{text}");
}

#[test]
fn no_finding_policy_or_change_is_left_out_and_all_stand_in_order() {
    let findings = (0..300).map(|n| Finding {
        detector: "bola".into(),
        title: format!("found-{n:03}"),
        first_seen: 10 * n,
        timeline: vec![Event { at: 10 * n + 1, what: format!("seen-{n:03}") }],
        ..Finding::default()
    });
    let changes = (0..300).map(|n| crate::snapshot::ChangeView {
        at: 10 * n + 2,
        what: "approved".into(),
        name: format!("changed-{n:03}"),
        ..Default::default()
    });
    let policy_history = (0..300).map(|n| crate::policy::standing::HistoryView {
        seq: n,
        at: 10 * n + 3,
        id: 1,
        name: format!("policy-{n:03}"),
        event: "applied".into(),
        what: "2 kernel entries".into(),
        by: "ada@pts/3".into(),
    });
    let snapshot = Snapshot {
        findings: findings.collect(),
        changes: changes.collect(),
        policy_history: policy_history.collect(),
        ..snapshot()
    };
    for text in [markdown(&snapshot, &Meanings::default()), html(&snapshot, &Meanings::default())] {
        let text = text.replace('\\', "");
        let mut last = 0;
        for n in 0..300 {
            for word in ["found", "seen", "changed", "policy"] {
                let at = text.find(&format!("{word}-{n:03}"));
                assert!(at > Some(last), "{word} {n}: {at:?} after {last}");
                last = at.unwrap();
            }
        }
    }
}

#[test]
fn what_an_attacker_writes_steers_no_reader() {
    let hostile = "\u{202e}txt\u{1b}[2J\u{9b}31m\r\n\u{2028}| x |\n# forged\n";
    let finding = Finding {
        detector: "ssrf".into(),
        title: hostile.into(),
        evidence: hostile.into(),
        service: hostile.into(),
        path: hostile.into(),
        actor: hostile.into(),
        timeline: vec![Event { at: 9, what: hostile.into() }],
        ..Finding::default()
    };
    let mut json = Vec::new();
    crate::json::write(&finding, &mut json).unwrap();
    let syslog = crate::export::syslog::message(&finding, "node");
    let mut hostile = snapshot();
    hostile.findings.push(finding);
    let texts = [
        markdown(&hostile, &Meanings::default()),
        html(&hostile, &Meanings::default()),
        String::from_utf8(json).unwrap(),
        syslog,
    ];
    for text in texts {
        let found = text.chars().find(|c| *c != '\n' && crate::json::steers(*c));
        assert_eq!(found, None, "{text}");
        assert!(!text.contains("\n# forged"), "{text}");
    }
}
