//! Every key of every view and dialog that the program itself says it has, on the smallest and on a large terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use apisec_tests::tool;

use super::screen::{Screen, VIEWS, can_run_live, footer, header, shop};

/// Actions by key, in tmux's names.
type Keys = Vec<(String, String)>;

/// What `print keys` says: the keys of each context.
fn keymap() -> BTreeMap<String, Keys> {
    let run = tool::run(&["print", "keys"], Duration::from_secs(60)).unwrap();
    let table: toml::Table = run.stdout.parse().unwrap();
    let contexts = table["keys"].as_table().unwrap();
    let keys = |actions: &toml::Value| {
        let actions = actions.as_table().unwrap().iter();
        let pairs = actions.flat_map(|(action, keys)| {
            keys.as_array().unwrap().iter().map(|key| (tmux_name(key.as_str().unwrap()), action.clone()))
        });
        pairs.collect()
    };
    contexts.iter().map(|(context, actions)| (context.clone(), keys(actions))).collect()
}

fn tmux_name(key: &str) -> String {
    let name = match key {
        "up" => "Up",
        "down" => "Down",
        "left" => "Left",
        "right" => "Right",
        "page-up" => "PageUp",
        "page-down" => "PageDown",
        "home" => "Home",
        "end" => "End",
        "enter" => "Enter",
        "esc" => "Escape",
        "tab" => "Tab",
        "shift-tab" => "BTab",
        "space" => "Space",
        "backspace" => "BSpace",
        "delete" => "DC",
        "f1" => "F1",
        other => match other.strip_prefix("ctrl-") {
            Some(letter) => return format!("C-{letter}"),
            None => {
                assert_eq!(other.chars().count(), 1, "a key that this test cannot press: {other}");
                other
            }
        },
    };
    name.to_owned()
}

fn walk(columns: u16, rows: u16, quit: &str) {
    let _shop = shop();
    let keymap = keymap();
    let specifications = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/openapi");
    let screen = Screen::start(columns, rows, &["live", "--no-state", "--spec", specifications], "LIVE");
    screen.until("calls of the shop", |text| text.contains("gateway"));
    for (view, (name, _)) in VIEWS.iter().enumerate() {
        screen.show(view);
        for context in [*name, "list", "global"] {
            for (key, action) in keymap.get(context).into_iter().flatten() {
                press(&screen, view, key, action);
            }
        }
    }
    mouse(&screen);
    palette(&screen);
    sizes(&screen, columns, rows);
    dialogs(&screen, &keymap["dialog"]);
    inputs(&screen, &keymap["input"]);
    assert!(keymap["global"].iter().any(|(key, action)| key == quit && action == "quit"));
    screen.press(quit);
    screen.until_restored();
}

/// Presses one key in a view, looks at what it does, and leaves the view as it was.
fn press(screen: &Screen, view: usize, key: &str, action: &str) {
    match action {
        "quit" => {}
        "suspend" => suspend(screen, key),
        "help" => {
            screen.press_until(key, "the keys", |text| text.contains("─ Keys in "));
            screen.close("─ Keys in ");
        }
        "palette" => {
            screen.press_until(key, "the commands", |text| text.contains("─ Commands ─"));
            screen.close("─ Commands ─");
        }
        "export" => {
            screen.press_until(key, "what can be exported", |text| text.contains("─ Write what is shown"));
            screen.close("─ Write what is shown");
        }
        "filter" => {
            screen.press_until(key, "a line for the filter", |text| footer(text).trim() == "/");
            screen.press_until("Escape", "the footer", |text| footer(text).contains(" quit"));
        }
        "freeze" => {
            screen.press_until(key, "a held picture", |text| header(text).contains("FROZEN"));
            screen.press_until(key, "the present", |text| header(text).contains("LIVE"));
        }
        "back" | "back-far" => {
            screen.press_until(key, "the past", |text| header(text).contains(" AT "));
            screen.press_until("n", "the present", |text| header(text).contains("LIVE"));
        }
        "forward" | "forward-far" => {
            screen.press_until(key, "a refusal", |text| footer(text).contains("this is the newest moment"));
        }
        "next-theme" => {
            screen.press_until(key, "a theme", |text| footer(text).starts_with(" theme "));
        }
        "compare" => {
            screen.press_until("g", "a picture", |_| true);
            screen.press_until(key, "both sides", |text| text.contains("─ Documented and observed ─"));
            screen.close("─ Documented and observed ─");
        }
        "bind" => {
            screen.press_until(key, "the specifications", |text| text.contains("─ Specifications ─"));
            screen.close("─ Specifications ─");
        }
        "approve" => {
            // The first row is the worst: a shadow.
            screen.press_until("g", "a picture", |_| true);
            screen.press_until(key, "a question", |text| text.contains("─ Approve ─"));
            screen.close("─ Approve ─");
        }
        "undo-approval" => {
            screen.press_until(key, "a refusal", |text| footer(text).contains("without a state folder"));
        }
        "copy" => {
            screen.press_until("g", "a picture", |_| true);
            screen.press_until(key, "a copy", |text| {
                footer(text).contains("copied ") || footer(text).contains(" quit")
            });
        }
        "block" => {
            screen.press(key);
            screen.assert_sound(key);
            // Where something is selected, it is asked what shall be stopped.
            let asks = |text: &str| text.contains("─ What shall be stopped ─") || text.contains("─ Block ─");
            screen.press_until("Escape", "no question", |text| !asks(text));
        }
        // Nothing is in force here.
        "edit" | "undo-policy" | "undo-all" | "extend" | "shorten" | "permanent" => {
            screen.press(key);
            screen.assert_sound(key);
        }
        "table" if VIEWS[view].0 == "policies" => {
            screen.press_until(key, "the history", |text| text.contains("─ Policies: history ─"));
            screen.press_until(key, "the policies", |text| text.contains("─ Policies ─"));
        }
        "table" => {
            screen.press_until(key, "the table", |text| text.contains("─ Edges ─"));
            screen.press_until(key, "the drawing", |text| text.contains("─ Graph ─"));
        }
        "mute" | "trace" | "locate" => {
            screen.press(key);
            screen.assert_sound(key);
            screen.press("Escape");
            screen.press("\\");
            screen.show(view);
        }
        "reveal" if !matches!(VIEWS[view].0, "calls" | "findings") => {
            screen.press(key);
            screen.assert_sound(key);
        }
        "reveal" => {
            // The row that is selected by now may name somebody or nobody.
            let asked = |text: &str| {
                text.contains("─ Who is this ─")
                    || footer(text).contains("nobody is named")
                    || text.contains("o findings")
            };
            screen.press_until(key, "a question", asked);
            screen.close("─ Who is this ─");
        }
        "resync" => {
            // Nothing of the shop was open before us.
            screen.press_until(key, "a refusal", |text| {
                footer(text).contains("no connection of this workload")
            });
        }
        "merge" | "split" => {
            // The first row is a service, which can be neither.
            screen.press("g");
            screen.press_until(key, "a refusal", |text| footer(text).contains("can be"));
        }
        "open" => open(screen, view, key),
        "close" => {
            let before = screen.until("a picture", |_| true);
            // Nothing is open, so nothing must change but the figures, and they do.
            screen.press_until(key, "another picture", |text| header(text) != header(&before));
        }
        show => match shown_by(show, view) {
            Some(next) => {
                screen.press_until(key, VIEWS[next].0, |text| text.contains(VIEWS[next].1));
                screen.show(view);
            }
            None => {
                screen.press(key);
                screen.assert_sound(key);
            }
        },
    }
}

/// Which view an action leads to.
fn shown_by(action: &str, view: usize) -> Option<usize> {
    match action {
        "next-view" => Some((view + 1) % VIEWS.len()),
        "previous-view" => Some((view + VIEWS.len() - 1) % VIEWS.len()),
        _ => VIEWS.iter().position(|(name, _)| action.strip_prefix("show-") == Some(*name)),
    }
}

fn open(screen: &Screen, view: usize, key: &str) {
    match VIEWS[view].0 {
        "overview" => {
            screen.press_until(key, "its endpoints", |text| text.contains("endpoints in 1 services"));
            screen.press_until("\\", "all endpoints", |text| !text.contains("endpoints in 1 services"));
            screen.show(view);
        }
        "graph" => {
            screen.press_until(key, "the workload", |text| text.contains("─ Workload ─"));
            screen.close("─ Workload ─");
        }
        "calls" => {
            screen.press_until(key, "the call", |text| text.contains("─ Call ─"));
            screen.close("─ Call ─");
        }
        "coverage" => {
            screen.press_until(key, "its protocols", |text| text.contains("─ Read and not read ─"));
            screen.close("─ Read and not read ─");
        }
        "drift" | "sensitive" | "findings" => {
            // The dialog may have the name of its view, but only it has corners. It is waited for: Escape and the next
            // key, read together, would be one key.
            screen.press_until("g", "a picture", |_| true);
            screen.press_until(key, "its dialog", |text| text.contains("╭─ "));
            screen.press_until("Escape", "no dialog", |text| !text.contains("╭─ "));
        }
        "endpoints" => {
            screen.press("g");
            screen.press(key);
            screen.assert_sound(key);
        }
        _ => {
            screen.press("g");
            screen.press(key);
            screen.assert_sound(key);
            screen.press("Escape");
            screen.show(view);
        }
    }
}

fn suspend(screen: &Screen, key: &str) {
    screen.press(key);
    screen.until("the shell", |text| text.contains("Stopped"));
    assert_eq!(screen.terminal.figure("alternate_on").unwrap(), "0");
    assert_eq!(screen.terminal.figure("cursor_flag").unwrap(), "1");
    screen.terminal.type_text("clear; fg").unwrap();
    screen.press_until("Enter", "the picture", |text| header(text).contains("LIVE"));
}

/// A click on the name of a view shows it, one on a row selects it, one beside a dialog closes it.
fn mouse(screen: &Screen) {
    for (view, word) in [(1, "2 Gra"), (3, "4 Cal"), (2, "3 End")] {
        let text = screen.assert_sound("the walk");
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains(word)).unwrap();
        let column = line.split(word).next().unwrap().chars().count() + 2;
        screen.terminal.click(column as u16 + 1, row as u16 + 1).unwrap();
        screen.until(VIEWS[view].0, |text| text.contains(VIEWS[view].1));
        screen.assert_sound("a click");
    }
    screen.press_until("?", "the keys", |text| text.contains("─ Keys in "));
    screen.terminal.click(1, 12).unwrap();
    screen.until("no dialog", |text| !text.contains("─ Keys in "));
}

/// What is typed finds a command, what is mistyped is told the nearest, and Enter runs what was found.
fn palette(screen: &Screen) {
    screen.press_until(":", "the commands", |text| text.contains("─ Commands ─"));
    screen.terminal.type_text("nxet-theme").unwrap();
    screen.until("a suggestion", |text| text.contains("Did you mean next-theme?"));
    screen.press("C-u");
    screen.terminal.type_text("next-theme").unwrap();
    screen.until("one command", |text| text.contains(":next-theme") && !text.contains("Did you mean"));
    screen.press_until("Enter", "a theme", |text| footer(text).starts_with(" theme "));
}

/// Other sizes are drawn as well as this one.
fn sizes(screen: &Screen, columns: u16, rows: u16) {
    for (wide, high) in [(120, 30), (60, 20), (250, 70), (columns, rows)] {
        screen.terminal.resize(wide, high).unwrap();
        screen.until("the new size", |text| {
            let lines: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
            lines.len() == usize::from(high)
                && header(text).contains("LIVE")
                && footer(text).contains(" quit")
                && lines.iter().all(|line| *line <= usize::from(wide))
        });
    }
    screen.assert_sound("the old size");
}

/// Every key of a dialog, in the list of keys and in the inspector of a call.
fn dialogs(screen: &Screen, keys: &Keys) {
    for (open, mark) in [("?", "─ Keys in "), ("Enter", "─ Call ─")] {
        for (key, action) in keys {
            screen.show(3);
            screen.press_until(open, mark, |text| text.contains(mark));
            screen.press(key);
            match action.as_str() {
                "close" => {
                    screen.until("no dialog", |text| !text.contains(mark));
                }
                // It may mean that the dialog has done its duty.
                "open" => {
                    screen.press_until("Escape", "no dialog", |text| !text.contains(mark));
                }
                "block" => {
                    let marks = [mark, "─ What shall be stopped ─"];
                    screen.press_until("Escape", "no dialog", |text| {
                        !marks.iter().any(|mark| text.contains(mark))
                    });
                }
                _ => {
                    let text = screen.assert_sound(key);
                    assert!(text.contains(mark), "{key} closed {mark}:\n{text}");
                    screen.close(mark);
                }
            }
        }
    }
}

/// Every key of the line where the filter is typed.
fn inputs(screen: &Screen, keys: &Keys) {
    for (key, action) in keys {
        screen.show(3);
        screen.press_until("/", "a line for the filter", |text| footer(text).trim() == "/");
        screen.terminal.type_text("ab cd").unwrap();
        screen.until("what is typed", |text| footer(text).trim() == "/ab cd");
        let rest = match action.as_str() {
            "accept" => {
                screen.press_until(key, "the filter in force", |text| {
                    footer(text).contains(" quit") && text.contains("/ab cd")
                });
                screen.press_until("\\", "no filter", |text| !text.contains("/ab cd"));
                continue;
            }
            "close" => {
                screen.press_until(key, "no filter", |text| {
                    footer(text).contains(" quit") && !text.contains("/ab cd")
                });
                continue;
            }
            "erase" => "/ab c",
            "erase-word" => "/ab",
            "erase-line" => "/",
            _ => "/ab cd",
        };
        screen.press_until(key, rest, |text| footer(text).trim() == rest);
        screen.press_until("Escape", "the footer", |text| footer(text).contains(" quit"));
    }
}

#[test]
fn every_key_of_every_view_on_80x24() {
    if can_run_live("frame::every_key_of_every_view_on_80x24") {
        walk(80, 24, "q");
    }
}

#[test]
fn every_key_of_every_view_on_200x60() {
    if can_run_live("frame::every_key_of_every_view_on_200x60") {
        walk(200, 60, "C-c");
    }
}
