//! What comes from the keyboard in the same moment as another key or another size is heard too.

use apisec_tests::pty::Pty;
use apisec_tests::tool;
use rustix::process::Signal;

use super::screen::PATIENCE;

/// The endpoints on 200x60 are more bytes than this (11,400), on 80x24 they are fewer.
const LARGE: usize = 8_000;

#[test]
fn a_key_and_a_size_of_one_moment_are_both_heard() {
    let session = tool::workspace().join("demo/sessions/shop.apisec");
    let command = tool::command(&["replay", session.to_str().unwrap(), "--no-state"]).unwrap();
    let pty = Pty::start(command, 80, 24).unwrap();
    pty.until_drawn(1000, PATIENCE).unwrap();
    let signal = |signal| pty.process().signal(signal).unwrap();

    signal(Signal::STOP);
    let before = pty.drawn();
    pty.resize(200, 60).unwrap();
    signal(Signal::WINCH);
    pty.type_text("3").unwrap();
    signal(Signal::CONT);
    pty.until_drawn(before + LARGE, PATIENCE).unwrap();

    signal(Signal::STOP);
    signal(Signal::WINCH);
    pty.type_text("4q").unwrap();
    signal(Signal::CONT);
    let status = pty.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}");
}
