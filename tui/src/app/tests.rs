//! The reducer, driven by keys as a person would.

use super::*;
use crate::fixture;
use crate::view::tests::{app, draw, press, text};
use apisec_engine::call_log::CallLog;

fn shop() -> App {
    let mut app = app(fixture::shop(), (120, 40));
    draw(&mut app);
    app
}

fn shown(app: &mut App) -> String {
    text(&draw(app))
}

/// The shop some time later: other numbers, a longer log.
fn later(calls: u64) -> Event {
    let mut snapshot = fixture::shop();
    snapshot.capture.calls += calls;
    snapshot.revision += 1;
    Event::Snapshot(Arc::new(snapshot))
}

#[test]
fn q_and_ctrl_c_leave() {
    for key in ["q", "ctrl-c"] {
        assert_eq!(press(&mut shop(), key), [Effect::Quit]);
    }
}

#[test]
fn a_frozen_picture_stays_and_counts_what_it_misses() {
    let mut app = shop();
    press(&mut app, "space");
    app.handle(later(500));
    assert!(shown(&mut app).contains("FROZEN +500"));
    assert_eq!(app.hold().shown().revision, 7);
    press(&mut app, "space");
    assert_eq!(app.hold().shown().revision, 8);
}

#[test]
fn time_travel_shows_the_past_and_returns() {
    let mut app = shop();
    let all = app.hold().shown().log.len;
    press(&mut app, "[ [ [");
    let until = app.hold().until().expect("a past moment");
    assert!(app.hold().shown().log.len < all);
    assert!(shown(&mut app).contains(" AT 09:29:50 -3s "), "{}", shown(&mut app));
    press(&mut app, "]");
    assert_eq!(app.hold().until(), Some(until + crate::format::SECOND));
    press(&mut app, "n");
    assert_eq!((app.hold().until(), app.hold().shown().log.len), (None, all));
    press(&mut app, "[ }");
    assert!(!app.hold().is_held());
}

#[test]
fn time_travel_stops_where_the_log_begins() {
    let mut app = shop();
    press(&mut app, "{ { { { { { { { {");
    let first = crate::past::span(&fixture::shop().log).expect("calls").0;
    assert_eq!(app.hold().until(), Some(first));
    press(&mut app, "[");
    assert!(app.message().expect("why").contains("does not reach"));
}

#[test]
fn without_calls_there_is_no_past() {
    let mut snapshot = fixture::shop();
    snapshot.log = CallLog::default();
    let mut app = app(snapshot, (120, 40));
    press(&mut app, "[");
    assert!(!app.hold().is_held() && app.message().is_some());
}

#[test]
fn the_filter_narrows_while_it_is_typed_and_escape_restores_it() {
    let mut app = shop();
    press(&mut app, "4 / c a r t");
    assert_eq!(app.filter().text(), "cart");
    press(&mut app, "esc");
    assert!(app.filter().is_empty());
    press(&mut app, "/ c a r t enter");
    assert_eq!(app.filter().text(), "cart");
    assert!(shown(&mut app).contains("/cart"));
    press(&mut app, "\\");
    assert!(app.filter().is_empty());
}

#[test]
fn a_filter_that_is_wrong_says_where_and_leaves_the_old_one() {
    let mut app = shop();
    press(&mut app, "/ c a r t space s t a t u s : x");
    let line = shown(&mut app).lines().last().expect("the input").to_owned();
    assert!(line.starts_with("/cart status:x") && line.contains("column 13:"), "{line}");
    press(&mut app, "enter");
    assert_eq!((app.layers().len(), app.filter().text()), (1, "cart status"));
}

#[test]
fn the_filter_knows_the_names_on_the_screen() {
    let mut app = shop();
    press(&mut app, "4 / t o : c a t a l o g enter");
    let shown = shown(&mut app);
    assert!(shown.lines().skip(4).take(20).all(|line| line.contains("catalog")), "{shown}");
}

#[test]
fn letters_are_text_while_typing_and_keys_otherwise() {
    let mut app = shop();
    assert_eq!(press(&mut app, "/ q"), []);
    assert_eq!(app.filter().text(), "q");
    app.handle(Event::Paste("uote\u{1b}\n".to_owned()));
    assert_eq!(app.filter().text(), "quote");
}

#[test]
fn the_palette_runs_the_best_match() {
    let mut app = shop();
    press(&mut app, ": c a l l s enter");
    assert_eq!(app.view_title(), "Calls");
    assert_eq!(press(&mut app, ": q u i t enter"), [Effect::Quit]);
}

#[test]
fn the_tail_is_followed_until_scrolled() {
    let mut app = shop();
    press(&mut app, "4");
    assert!(shown(&mut app).contains("following"));
    press(&mut app, "up up");
    assert!(shown(&mut app).contains("scrolled"));
    press(&mut app, "end");
    assert!(shown(&mut app).contains("following"));
}

#[test]
fn a_selected_call_stays_selected_when_others_arrive() {
    let mut app = shop();
    press(&mut app, "4 up up up enter");
    let before = shown(&mut app);
    press(&mut app, "esc");
    let mut next = Snapshot::clone(app.hold().shown());
    let mut chunk = apisec_engine::call_log::CallChunk::clone(next.log.chunks.last().expect("a chunk"));
    for row in &mut chunk.rows {
        row.at += 20 * crate::format::SECOND;
    }
    next.log.len += chunk.rows.len();
    next.log.chunks.push(Arc::new(chunk));
    next.log.chunks.remove(0);
    app.handle(Event::Snapshot(Arc::new(next)));
    press(&mut app, "enter");
    let inside = |screen: &str| {
        screen.lines().filter_map(|line| line.split('│').nth(1).map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(inside(&before).len() > 10);
    assert_eq!(inside(&shown(&mut app)), inside(&before));
}

#[test]
fn the_mouse_selects_sorts_and_scrolls() {
    let mut app = shop();
    let find = |app: &mut App, what: &str| {
        let screen = shown(app);
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(what)).expect(what);
        let column = line.split(what).next().expect("before").chars().count();
        (column as u16, row as u16)
    };
    let (column, row) = find(&mut app, "4 Calls");
    app.handle(Event::Mouse { gesture: Gesture::Click, column, row });
    assert_eq!(app.view_title(), "Calls");
    app.handle(Event::Mouse { gesture: Gesture::WheelUp, column: 10, row: 10 });
    assert!(shown(&mut app).contains("scrolled"));
    press(&mut app, "1");
    let (column, row) = find(&mut app, "RATE/S");
    app.handle(Event::Mouse { gesture: Gesture::Click, column, row });
    assert!(shown(&mut app).contains("▾RATE/S"));
}

#[test]
fn a_click_beside_a_dialog_closes_it_and_touches_nothing_else() {
    let mut app = shop();
    press(&mut app, "?");
    draw(&mut app);
    app.handle(Event::Mouse { gesture: Gesture::Click, column: 1, row: 10 });
    assert!(app.layers().is_empty());
    assert_eq!(app.view_title(), "Overview");
}

#[test]
fn overview_opens_what_is_selected() {
    let mut app = shop();
    press(&mut app, "right enter");
    assert_eq!(app.view_title(), "Calls");
    assert!(!app.filter().is_empty());
}

#[test]
fn copying_offers_the_name_and_never_the_screen() {
    let mut app = shop();
    let effects = press(&mut app, "4 up y");
    assert!(matches!(effects.as_slice(), [Effect::Copy(path)] if path.starts_with('/')), "{effects:?}");
}

#[test]
fn messages_leave_after_some_seconds() {
    let mut app = shop();
    app.say("hello".to_owned());
    for _ in 0..MESSAGE_SECONDS {
        app.handle(Event::Second);
    }
    assert_eq!(app.message(), None);
}

#[test]
fn the_end_of_a_replay_is_said_once() {
    let mut app = shop();
    assert!(app.handle(Event::Ended).0);
    assert!(!app.handle(Event::Ended).0);
    assert!(shown(&mut app).contains("ended"));
}

#[test]
fn a_terminal_of_few_colours_keeps_its_theme() {
    let setup = shop().setup;
    let mut app = App::new(setup, Theme::named("mono").expect("mono"), true, (80, 24));
    press(&mut app, "T");
    assert_eq!(app.theme.name, "mono");
    assert!(!app.possible().contains(&Action::NextTheme));
}

#[test]
fn nothing_changes_without_a_change() {
    let mut app = shop();
    assert!(!app.handle(Event::Second).0);
    assert!(!app.handle(Event::Key(Chord::parse("f9").expect("a key"))).0);
}
