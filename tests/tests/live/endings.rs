//! The tool is started and ended many times, in every way and at every moment of its start: each time it ends soon, and
//! nothing of it is left. `APISEC_STARTS` says how often; some dozens unless it does.

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use apisec_tests::eventually;
use apisec_tests::held::Held;
use apisec_tests::process::Process;
use apisec_tests::pty::Pty;
use apisec_tests::tool::{self, Running};
use apisec_tests::watch::is_attached;
use rustix::process::Signal;

use super::can_run;

/// How often when nobody says.
const STARTS: usize = 27;
/// At the same time: two for each processor of a small machine, so that they get into each other's way.
const LANES: usize = 4;
/// Attaching takes a second, and four do it at once, beside other tests.
const ATTACH: Duration = Duration::from_secs(180);
/// From the word to the end: a hang is not late, it is for ever.
const END: Duration = Duration::from_secs(180);
/// The kernel frees programs and maps after a grace period.
const FREED: Duration = Duration::from_secs(180);
/// What the first picture needs at least.
const PICTURE: usize = 1_000;
/// Programs that are held shortly before all are attached.
const ALL: usize = 17;

/// A way to end.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Without a terminal, when its time is over.
    Duration,
    /// Without a terminal, by a signal.
    Signal(Signal),
    /// In a terminal, by a signal.
    SignalInTerminal(Signal),
    /// In a terminal, by its key.
    Key,
    /// Its terminal goes away, and nobody says so.
    TornAway,
}

const WAYS: [Way; 9] = [
    Way::Duration,
    Way::Signal(Signal::INT),
    Way::Signal(Signal::TERM),
    Way::Signal(Signal::HUP),
    Way::Signal(Signal::KILL),
    Way::SignalInTerminal(Signal::TERM),
    Way::SignalInTerminal(Signal::HUP),
    Way::Key,
    Way::TornAway,
];

#[test]
fn every_start_comes_to_its_end() {
    if !can_run("endings::every_start_comes_to_its_end", &[]) {
        return;
    }
    let starts = env::var("APISEC_STARTS").map_or(STARTS, |text| text.parse().unwrap());
    tool::apisec_top().unwrap();
    thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || {
                for number in (lane..starts).step_by(LANES) {
                    // The moment goes on at another pace than the way: all pairs come by.
                    let programs = 1 + (number / WAYS.len() * 7 + number) % (ALL + 4);
                    start_and_end(WAYS[number % WAYS.len()], programs);
                }
            });
        }
    });
}

/// Ends it when it holds `programs` programs; more than there are means that it is at work.
fn start_and_end(way: Way, programs: usize) {
    let what = format!("{way:?} at {programs} programs");
    let began = Instant::now();
    let (held, code) = match way {
        Way::Duration | Way::Signal(_) => headless(way, programs, &what),
        _ => in_terminal(way, programs, &what),
    };
    let late = programs > ALL;
    let allowed: &[i32] = match way {
        Way::Duration | Way::Signal(Signal::INT | Signal::TERM) => &[0],
        Way::Signal(Signal::HUP) => &[129],
        Way::Signal(_) => &[137],
        // Before it listens a signal does what it always does, and a terminal is no terminal.
        Way::SignalInTerminal(Signal::TERM) if !late => &[0, 143],
        Way::SignalInTerminal(Signal::HUP) if !late => &[0, 129],
        Way::TornAway if !late => &[0, 1],
        Way::SignalInTerminal(_) | Way::Key | Way::TornAway => &[0],
    };
    assert!(allowed.contains(&code), "{what}: exit {code}");
    let gone = eventually("nothing left", FREED, || held.left().unwrap().is_empty().then_some(()));
    assert!(gone.is_ok(), "left after {what}: {:?}", held.left().unwrap());
    println!("{what}: exit {code} after {:.1} s", began.elapsed().as_secs_f64());
}

fn headless(way: Way, programs: usize, what: &str) -> (Held, i32) {
    let mut arguments = vec!["live", "--headless", "--no-state", "--output", "json"];
    let duration = format!("{}ms", 1 + programs * 50);
    if matches!(way, Way::Duration) {
        arguments.extend(["--duration", &duration]);
    }
    let running = Running::start(&arguments).unwrap();
    let held = at_the_moment(running.process(), programs);
    if let Way::Signal(signal) = way {
        running.process().signal(signal).unwrap();
    }
    let run = running.wait(ATTACH + END).expect(what);
    if run.code() == 0 {
        run.json().expect(what);
    }
    (held, run.code())
}

fn in_terminal(way: Way, programs: usize, what: &str) -> (Held, i32) {
    let pty = Pty::start(tool::command(&["live", "--no-state"]).unwrap(), 80, 24).unwrap();
    let held = at_the_moment(pty.process(), programs);
    if programs > ALL {
        pty.until_drawn(PICTURE, ATTACH).expect(what);
    }
    let status = match way {
        Way::TornAway => pty.tear_away(ATTACH + END),
        Way::SignalInTerminal(signal) => {
            pty.process().signal(signal).unwrap();
            pty.wait(ATTACH + END)
        }
        _ => {
            pty.type_text("q").unwrap();
            pty.wait(ATTACH + END)
        }
    };
    let status = status.expect(what);
    use std::os::unix::process::ExitStatusExt;
    (held, status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(-1))
}

/// Waits until it holds so many programs, or all are attached, or it has ended.
fn at_the_moment(process: &Process, programs: usize) -> Held {
    let mut held = Held::default();
    eventually("its programs", ATTACH, || {
        if let Ok(now) = Held::by(process.id())
            && now.programs.len() >= held.programs.len()
        {
            held = now;
        }
        let over =
            fs::read_to_string(format!("/proc/{}/stat", process.id())).is_ok_and(|s| s.contains(") Z"));
        let there = if programs > ALL {
            is_attached(process.id()).unwrap_or(false)
        } else {
            held.programs.len() >= programs
        };
        (over || there).then_some(())
    })
    .unwrap();
    held
}

/// A picture that nothing changes is the harder case: nobody draws, so nobody learns of it by drawing.
#[test]
fn a_terminal_that_goes_away_ends_a_still_picture() {
    let session = tool::workspace().join("demo/sessions/shop.apisec");
    for _ in 0..5 {
        let command = tool::command(&["replay", session.to_str().unwrap(), "--no-state"]).unwrap();
        let pty = Pty::start(command, 80, 24).unwrap();
        pty.until_drawn(PICTURE, END).unwrap();
        assert_eq!(pty.tear_away(END).unwrap().code(), Some(0));
    }
}

/// Who says it twice gets no result, and no wait either.
#[test]
fn a_second_word_ends_at_once_and_leaves_nothing() {
    if !can_run("endings::a_second_word_ends_at_once_and_leaves_nothing", &[]) {
        return;
    }
    let running = Running::start(&["live", "--headless", "--no-state", "--output", "json"]).unwrap();
    let held = at_the_moment(running.process(), 2);
    running.process().signal(Signal::INT).unwrap();
    let told = Instant::now();
    eventually("a moment", END, || (told.elapsed() > Duration::from_millis(600)).then_some(())).unwrap();
    let _ended = running.process().signal(Signal::INT);
    let run = running.wait(END).unwrap();
    // It attaches for longer than that where there is much to look into; elsewhere the first word ended it already.
    assert!([0, 130].contains(&run.code()), "{}: {}", run.code(), run.stderr);
    let gone = eventually("nothing left", FREED, || held.left().unwrap().is_empty().then_some(()));
    assert!(gone.is_ok(), "{:?}", held.left().unwrap());
}
