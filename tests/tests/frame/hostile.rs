//! Bytes that a caller chose can neither steer the terminal nor hide on it.

use apisec_tests::{client, server};

use super::screen::{Screen, VIEWS, can_run_live};

/// Bidirectional override, a title, a cleared screen, an 8-bit control: each in a path or a host.
const HOSTILE: [&str; 4] = [
    "GET /hostile-\u{202e}txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /hostile-\x1b]0;taken\x07 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /hostile-host HTTP/1.1\r\nHost: \u{202e}a\x1b[2J\x1b]0;taken\x07\r\nConnection: close\r\n\r\n",
    "GET /hostile-\u{9b}2J HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
];

#[test]
fn hostile_bytes_are_shown_and_not_obeyed() {
    if !can_run_live("frame::hostile_bytes_are_shown_and_not_obeyed") {
        return;
    }
    let python = server::python(&[("index.html", "")]).unwrap();
    let screen = Screen::start(200, 60, &["live", "--no-state"], "LIVE");
    screen.press_until("/", "the filter", |text| text.contains("\n/"));
    screen.terminal.type_text("hostile-").unwrap();
    screen.press_until("Enter", "the filter in force", |text| text.contains("/hostile-"));
    for request in HOSTILE {
        client::say(python.address(), request.as_bytes()).unwrap();
    }
    client::curl(&[&format!("{}/hostile-last", python.url())]).unwrap();
    screen.press("4");
    let text = screen.until("the calls", |text| text.contains("/hostile-last"));
    assert!(text.contains("%E2%80%AE"), "the override is not written out:\n{text}");
    for (place, (name, mark)) in VIEWS.iter().enumerate().rev() {
        screen.press(&(place + 1).to_string());
        screen.until(name, |text| text.contains(mark));
        screen.assert_sound(name);
        assert_unharmed(&screen);
    }
    screen.press("4");
    screen.until("the calls", |text| text.contains("─ Calls ─"));
    for _ in HOSTILE {
        screen.press_until("Up", "a picture", |_| true);
        screen.press_until("Enter", "the call", |text| text.contains("─ Call ─"));
        assert_unharmed(&screen);
        screen.close("─ Call ─");
    }
}

fn assert_unharmed(screen: &Screen) {
    let picture = screen.terminal.coloured_screen().unwrap();
    assert!(!picture.contains(['\u{202e}', '\u{9b}']) && !picture.contains("\x1b]"), "{picture:?}");
    assert!(!screen.terminal.figure("pane_title").unwrap().contains("taken"));
}
