//! However the terminal ends, the shell finds its own again.

use rustix::process::Signal;

use super::screen::{Screen, can_run_live, header};

#[test]
fn a_signal_gives_the_terminal_back() {
    if !can_run_live("frame::a_signal_gives_the_terminal_back") {
        return;
    }
    for signal in [Signal::TERM, Signal::HUP] {
        let screen = Screen::start(80, 24, &["live", "--no-state"], "LIVE");
        screen.assert_sound("the start");
        screen.signal(signal);
        screen.until_restored();
    }
}

#[test]
fn a_terminal_that_is_too_small_says_so_and_recovers() {
    if !can_run_live("frame::a_terminal_that_is_too_small_says_so_and_recovers") {
        return;
    }
    let screen = Screen::start(80, 24, &["live", "--no-state"], "LIVE");
    screen.terminal.resize(40, 10).unwrap();
    let text = screen.until("a complaint", |text| text.contains("This terminal is 40x10."));
    assert!(text.contains("apisec-top needs") && text.contains("q to leave"), "{text}");
    screen.terminal.resize(80, 24).unwrap();
    screen.until("the picture", |text| header(text).contains("LIVE") && text.contains("4 Cal"));
    screen.assert_sound("growing");
    screen.terminal.resize(10, 3).unwrap();
    screen.press("q");
    screen.terminal.resize(80, 24).unwrap();
    screen.until_restored();
}
