//! Terminals that want no colour, and readers that want no drawing.

use apisec_tests::skip::have_programs;
use apisec_tests::tool;

use super::screen::{Screen, VIEWS};

fn session() -> String {
    tool::workspace().join("demo/sessions/shop.apisec").to_str().unwrap().to_owned()
}

/// Whether a picture with its escape sequences holds one that sets a colour.
fn is_coloured(picture: &str) -> bool {
    picture.split("\x1b[").skip(1).any(|sequence| {
        let Some((parameters, _)) = sequence.split_once('m') else { return false };
        parameters
            .split([';', ':'])
            .filter_map(|p| p.parse().ok())
            .any(|p: u16| matches!(p, 30..=38 | 40..=48 | 90..=97 | 100..=107))
    })
}

#[test]
fn no_color_means_no_colour_and_otherwise_there_is_some() {
    if !have_programs("frame::no_color_means_no_colour_and_otherwise_there_is_some", &["tmux"]) {
        return;
    }
    for wanted in [false, true] {
        let mut command = tool::command(&["replay", &session(), "--no-state"]).unwrap();
        if !wanted {
            command.env("NO_COLOR", "1");
        }
        let screen = Screen::start_command(80, 24, &command, "ended");
        for (place, (name, mark)) in VIEWS.iter().enumerate() {
            screen.press(&(place + 1).to_string());
            screen.until(name, |text| text.contains(mark));
            let picture = screen.terminal.coloured_screen().unwrap();
            assert_eq!(is_coloured(&picture), wanted, "{name}: {picture:?}");
        }
    }
}

#[test]
fn plain_draws_nothing() {
    if !have_programs("frame::plain_draws_nothing", &["tmux"]) {
        return;
    }
    let screen = Screen::start(80, 24, &["replay", &session(), "--no-state", "--plain"], "ended");
    for (key, mark) in [("1", "*1 Overview"), ("2", "*2 Graph"), ("3", "*3 Endpoints"), ("4", "*4 Calls")] {
        let text = screen.press_until(key, mark, |text| text.contains(mark));
        assert!(text.is_ascii(), "{mark}: {text}");
        let picture = screen.terminal.coloured_screen().unwrap();
        assert!(!is_coloured(&picture), "{mark}: {picture:?}");
    }
    // A dialog is all there is to read while it is open.
    screen.press("?");
    let text = screen.until("the keys", |text| text.contains("Keys in"));
    assert!(text.is_ascii(), "{text}");
}
