//! Every view at two sizes, in every theme, empty, under hostile names, and with ten thousand endpoints.

use super::*;
use crate::app::{App, Setup};
use crate::event::{Chord, Event};
use crate::fixture;
use crate::frame;
use crate::keymap::Keymap;
use crate::theme::{THEMES, Theme};
use ratatui::buffer::Buffer;
use std::sync::Arc;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

pub(crate) fn app(snapshot: Snapshot, size: (u16, u16)) -> App {
    app_with(snapshot, size, "dark", |_| {})
}

fn app_with(snapshot: Snapshot, size: (u16, u16), theme: &str, change: impl Fn(&mut Setup)) -> App {
    let keymap = Keymap::load(&std::collections::BTreeMap::new()).0;
    let mut setup = Setup {
        title: "LIVE".into(),
        keymap,
        read_only: false,
        plain: false,
        ascii: false,
        wards: Vec::new(),
        enforces: true,
    };
    change(&mut setup);
    let mut app = App::new(setup, Theme::named(theme).expect("a theme"), false, size);
    app.handle(Event::Snapshot(Arc::new(snapshot)));
    app
}

/// Draws as the run loop does: the report goes back to the reducer.
pub(crate) fn draw(app: &mut App) -> Buffer {
    let (width, height) = app.size();
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let report = frame::draw(app, &mut buffer);
    app.drawn(report);
    buffer
}

pub(crate) fn text(buffer: &Buffer) -> String {
    let line = |y| {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        line.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect::<Vec<_>>().join("\n")
}

/// The runs of equal style of every line.
fn styles(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        out.push_str(&format!("{y:2}"));
        while x < buffer.area.width {
            let cell = &buffer[(x, y)];
            let look = (cell.fg, cell.bg, cell.modifier);
            let end = (x..buffer.area.width)
                .find(|at| (buffer[(*at, y)].fg, buffer[(*at, y)].bg, buffer[(*at, y)].modifier) != look);
            let end = end.unwrap_or(buffer.area.width);
            out.push_str(&format!(" {}:{}/{}{}", end - x, cell.fg, cell.bg, modifiers(cell.modifier)));
            x = end;
        }
        out.push('\n');
    }
    out
}

fn modifiers(modifier: ratatui::style::Modifier) -> String {
    if modifier.is_empty() { String::new() } else { format!("/{modifier:?}") }
}

pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        effects.extend(app.handle(Event::Key(Chord::parse(key).expect(key))).1);
        draw(app);
    }
    effects
}

fn each_view(mut check: impl FnMut(usize, &str)) {
    for (index, view) in VIEWS.iter().enumerate() {
        check(index, view.name);
    }
}

#[test]
fn every_file_in_the_folder_is_registered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/view");
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            assert!(VIEWS.iter().any(|view| view.name == name), "{name} is not in VIEWS");
        }
    }
}

#[test]
fn views_at_both_sizes() {
    each_view(|index, name| {
        for size in [SMALL, LARGE] {
            let mut app = app(fixture::shop(), size);
            app.update(Action::Show(index));
            draw(&mut app);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text(&draw(&mut app)));
        }
    });
}

#[test]
fn views_without_any_traffic() {
    each_view(|index, name| {
        let mut app = app(Snapshot::default(), SMALL);
        app.update(Action::Show(index));
        insta::assert_snapshot!(format!("{name}_empty"), text(&draw(&mut app)));
    });
}

#[test]
fn views_for_screen_readers() {
    each_view(|index, name| {
        let mut app = app_with(fixture::shop(), SMALL, "mono", |setup| setup.plain = true);
        app.update(Action::Show(index));
        draw(&mut app);
        let buffer = draw(&mut app);
        let shown = text(&buffer);
        assert!(shown.is_ascii(), "{name} in plain mode is not ASCII");
        insta::assert_snapshot!(format!("{name}_plain"), shown);
    });
}

#[test]
fn views_in_ascii() {
    each_view(|index, name| {
        let mut app = app_with(fixture::shop(), LARGE, "mono", |setup| setup.ascii = true);
        app.update(Action::Show(index));
        press(&mut app, "down");
        assert!(text(&draw(&mut app)).is_ascii(), "{name} with --ascii is not ASCII");
        press(&mut app, "?");
        assert!(text(&draw(&mut app)).is_ascii(), "the help of {name} is not ASCII");
    });
}

#[test]
fn views_under_hostile_names() {
    each_view(|index, name| {
        for size in [SMALL, LARGE, (60, 16)] {
            let mut app = app(fixture::hostile(), size);
            app.update(Action::Show(index));
            for keys in ["down", "enter", "down"] {
                press(&mut app, keys);
                for cell in draw(&mut app).content() {
                    let hidden = |c: char| {
                        c.is_control()
                            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
                            || c == '\u{feff}'
                            || c == '\u{301}'
                    };
                    assert!(!cell.symbol().chars().any(hidden), "{name}: {:?}", cell.symbol());
                }
            }
        }
        let mut app = app(fixture::hostile(), (100, 30));
        app.update(Action::Show(index));
        insta::assert_snapshot!(format!("{name}_hostile"), text(&draw(&mut app)));
    });
}

#[test]
fn themes() {
    for (theme, _) in THEMES {
        let mut app = app_with(fixture::shop(), SMALL, theme, |_| {});
        insta::assert_snapshot!(format!("overview_styles_{theme}"), styles(&draw(&mut app)));
    }
}

#[test]
fn no_size_breaks_a_view() {
    for snapshot in [fixture::shop(), fixture::hostile(), Snapshot::default()] {
        each_view(|index, _| {
            for plain in [false, true] {
                let mut app = app_with(snapshot.clone(), (80, 24), "dark", |setup| setup.plain = plain);
                app.update(Action::Show(index));
                for size in [
                    (0, 0),
                    (1, 1),
                    (59, 16),
                    (60, 15),
                    (60, 16),
                    (61, 17),
                    (79, 23),
                    (121, 18),
                    (400, 16),
                    (60, 200),
                ] {
                    app.handle(Event::Resize(size.0, size.1));
                    draw(&mut app);
                    press(&mut app, "down");
                }
                for key in ["?", "esc", ":", "esc", "/", "esc", "enter"] {
                    app.handle(Event::Resize(60, 16));
                    press(&mut app, key);
                }
            }
        });
    }
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    insta::assert_snapshot!(text(&draw(&mut app(fixture::shop(), (40, 10)))));
}

#[test]
fn dialogs() {
    for (name, keys) in
        [("help", "?"), ("palette", ": s o"), ("filter", "/ c a r t"), ("inspector", "4 up enter")]
    {
        let mut app = app(fixture::shop(), SMALL);
        draw(&mut app);
        press(&mut app, keys);
        insta::assert_snapshot!(format!("dialog_{name}"), text(&draw(&mut app)));
    }
}

/// Advertised keys must not lie: each changes the picture or the outside world.
#[test]
fn every_advertised_key_does_something() {
    each_view(|index, name| {
        let prepare = || {
            let mut app = app(fixture::shop(), (120, 30));
            app.update(Action::Show(index));
            draw(&mut app);
            press(&mut app, "/ e enter g down down");
            app
        };
        let actions = prepare().possible();
        assert!(actions.len() > 12, "{name}");
        for action in actions {
            let mut app = prepare();
            let chord = app
                .hints(std::slice::from_ref(&action))
                .first()
                .unwrap_or_else(|| panic!("{name}: no key for {action:?}"))
                .chord;
            let before = draw(&mut app);
            let (_, effects) = app.handle(Event::Key(chord));
            let changed = draw(&mut app) != before;
            assert!(changed || !effects.is_empty(), "{name}: {chord} ({action:?}) does nothing");
        }
    });
}

#[test]
fn ten_thousand_endpoints_stay_quick() {
    let snapshot = Arc::new(fixture::crowded(10_000));
    each_view(|index, name| {
        let mut app = app(Snapshot::clone(&snapshot), LARGE);
        app.update(Action::Show(index));
        press(&mut app, "end");
        let buffer = draw(&mut app);
        assert!(text(&buffer).lines().count() == 60, "{name}");
    });
}
