//! The whole screen: header, tabs, the focused view, the line of keys, the dialogs.

use crate::action::Action;
use crate::app::App;
use crate::canvas::{Canvas, Report, row, split_top};
use crate::format::{SECOND, clock, count, rate, share, span};
use crate::theme::Role;
use crate::view::VIEWS;
use crate::widget::escape::escape;
use crate::widget::fit::clip;
use crate::widget::footer::footer;
use apisec_engine::snapshot::Snapshot;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

/// Narrowest terminal on which the views make sense.
pub const MIN_COLUMNS: u16 = 60;
/// Lowest terminal on which the views make sense.
pub const MIN_ROWS: u16 = 16;

/// From this width on the header says how many errors there are, not only their share.
const WIDE: u16 = 100;
/// Widest name of the source: a long path must not push the figures out.
const MAX_TITLE: usize = 24;

/// Draws everything into `buffer`.
#[must_use]
pub fn draw(app: &App, buffer: &mut Buffer) -> Report {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, app.look());
    canvas.clear(area, Role::Text);
    if area.width < MIN_COLUMNS || area.height < MIN_ROWS {
        too_small(&mut canvas, area);
        return canvas.report;
    }
    let (top, rest) = split_top(area, 2);
    let (body, bottom) = split_top(rest, rest.height - 1);
    header(app, &mut canvas, row(top, 0));
    tabs(app, &mut canvas, row(top, 1));
    if let Some(view) = app.view() {
        view.draw(&app.world(), &mut canvas, body);
    }
    below(app, &mut canvas, bottom);
    for layer in app.layers() {
        canvas.report.viewport = None;
        layer.draw(&mut canvas, area);
    }
    if !app.layers().is_empty() {
        below_dialog(app, &mut canvas, bottom);
    }
    canvas.report
}

fn too_small(canvas: &mut Canvas<'_>, area: Rect) {
    let now = format!("This terminal is {}x{}.", area.width, area.height);
    let need = format!("apisec-top needs {MIN_COLUMNS}x{MIN_ROWS}.");
    canvas.put(area, 0, 0, &now, Role::Strong);
    canvas.put(area, 0, 1, &need, Role::Text);
    canvas.put(area, 0, 2, "Make it larger, or press q to leave.", Role::Dim);
}

/// A run of text of the header, and how soon it leaves when there is no room.
type Word = (String, Role, u8);

fn header(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let snapshot = app.world().snapshot;
    let mut x = canvas.put(area, 1, 0, "apisec-top", Role::Brand) + 1;
    let (state, role) = state(app);
    x = canvas.put(area, x, 0, &format!(" {state} "), role) + 1;
    let time = app.hold().until().unwrap_or(snapshot.window.end_ns);
    let time = if time == 0 { String::new() } else { format!("{} UTC", clock(time)) };
    let words = fitting(figures(snapshot, area.width), &time, area.width.saturating_sub(x));
    for (text, role, _) in words.iter().filter(|word| word.1 != Role::Dim || word.0 != time) {
        x = canvas.put(area, x + 1, 0, text, *role) + 1;
    }
    if words.iter().any(|(text, ..)| !time.is_empty() && *text == time) {
        canvas.put(area, area.width.saturating_sub(time.width() as u16 + 1), 0, &time, Role::Dim);
    }
}

/// The words that fit into `room`: those of the highest rank leave first, what was lost never.
fn fitting(mut words: Vec<Word>, time: &str, room: u16) -> Vec<Word> {
    words.push((time.to_owned(), Role::Dim, 9));
    loop {
        let need: usize = words.iter().map(|(text, ..)| text.width() + 2).sum();
        let Some(rank) = words.iter().map(|word| word.2).max().filter(|rank| *rank > 0) else { return words };
        if need <= usize::from(room) {
            return words;
        }
        words.retain(|word| word.2 != rank);
    }
}

/// What is on screen: the source, or why it is not the present.
fn state(app: &App) -> (String, Role) {
    let hold = app.hold();
    if let Some(until) = hold.until() {
        let behind = hold.newest().window.end_ns.saturating_sub(until) / SECOND;
        return (format!("AT {} -{}", clock(until), span(behind)), Role::Past);
    }
    if hold.is_held() {
        let since = hold.newest().capture.calls.saturating_sub(hold.shown().capture.calls);
        return (format!("FROZEN +{}", count(since)), Role::Frozen);
    }
    let title = escape(&app.setup.title);
    let title = clip(&title, MAX_TITLE, app.look().glyphs.cut);
    let role = if title.starts_with("LIVE") { Role::Live } else { Role::Replay };
    (if app.ended() { format!("{title} ended") } else { title.into_owned() }, role)
}

fn figures(snapshot: &Snapshot, width: u16) -> Vec<Word> {
    let capture = &snapshot.capture;
    // Of the last whole second, as everywhere else: an unfinished one would jump.
    let per_second: f64 = snapshot.edges.iter().map(|edge| edge.rate).sum();
    let calls: u64 = snapshot.edges.iter().map(|edge| edge.calls).sum();
    let errors: u64 = snapshot.edges.iter().map(|edge| edge.errors).sum();
    let error_role = if errors > 0 { Role::ServerError } else { Role::Dim };
    let part = share(errors, calls);
    let error_text = match (width < WIDE, part.is_empty()) {
        (true, false) => format!("{part} errors"),
        (false, false) => format!("{} errors {part}", count(errors)),
        _ => "0 errors".to_owned(),
    };
    let mut words = vec![
        (format!("{} calls", count(capture.calls)), Role::Strong, 1),
        (format!("{}/s", rate(per_second)), Role::Text, 3),
        (error_text, error_role, 2),
        (lost(capture.lost), if capture.lost > 0 { Role::Lost } else { Role::Dim }, 0),
    ];
    if let Some(worst) = capture.degradations.iter().map(|degradation| degradation.severity).max() {
        let text = format!("{} degraded", capture.degradations.len());
        words.push((text, crate::view::severity_role(worst), 1));
    }
    let open = || snapshot.findings.iter().filter(|finding| finding.state.is_open());
    if let Some(worst) = open().map(|finding| finding.severity).max() {
        let word = if open().count() == 1 { "finding" } else { "findings" };
        words.push((format!("{} {word}", open().count()), crate::view::finding_role(worst), 1));
    }
    words
}

fn lost(lost: u64) -> String {
    if lost > 0 { format!("{} lost", count(lost)) } else { "0 lost".to_owned() }
}

/// Letters of a view's title that are shown where the titles do not all fit.
const SHORT_TITLE: usize = 3;

fn tabs(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let mut x = 1;
    // A space, its key, a space, the title, two spaces.
    let fits = VIEWS.iter().map(|view| view.title.width() + 5).sum::<usize>() < usize::from(area.width);
    for (index, view) in VIEWS.iter().enumerate() {
        let title = if fits || index == app.focus() {
            view.title
        } else {
            view.title.get(..SHORT_TITLE).unwrap_or(view.title)
        };
        let action = Action::Show(index);
        let key =
            app.setup.keymap.chord(&["global"], &action).map(|chord| chord.to_string()).unwrap_or_default();
        let role = if index == app.focus() { Role::TabActive } else { Role::Tab };
        let mark = if canvas.look.plain && index == app.focus() { "*" } else { " " };
        let end = canvas.put(area, x, 0, &format!("{mark}{key} {title} "), role);
        canvas.report.hit(Rect { x: area.x + x, width: end - x, ..area }, action);
        x = end + u16::from(fits);
    }
    let note = note(app);
    let width = note.width() as u16 + 1;
    if let Some(at) = area.width.checked_sub(width).filter(|at| *at > x) {
        canvas.put(area, at, 0, &note, Role::Match);
    } else {
        canvas.put(area, x, 0, &note, Role::Match);
    }
}

/// What restricts the picture: the filter, and the reach of the log for an earlier moment.
fn note(app: &App) -> String {
    let mut parts = Vec::new();
    if app.hold().until().is_some() {
        parts.push(format!("calls since {}", clock(app.hold().shown().window.start_ns)));
    }
    if app.setup.read_only {
        parts.push("read-only".to_owned());
    }
    if !app.filter().is_empty() {
        parts.push(format!("/{}", escape(app.filter().text())));
    }
    parts.join("  ")
}

fn below(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    if let Some(message) = app.message() {
        canvas.put(area, 1, 0, message, Role::Notice);
        return;
    }
    let possible = app.possible();
    let always = [Action::Help, Action::Quit];
    let dull = |action: &Action| always.contains(action) || is_dull(action);
    let useful: Vec<Action> = possible.iter().filter(|action| !dull(action)).cloned().collect();
    footer(canvas, area, &app.hints(&useful), &app.hints(&always));
}

/// Known to everybody, or shown elsewhere on the screen.
fn is_dull(action: &Action) -> bool {
    use Action::{Left, NextTheme, NextView, PreviousView, Right, Show, Suspend};
    let elsewhere = matches!(action, Left | Right | Show(_) | NextView | PreviousView | NextTheme | Suspend);
    elsewhere || crate::view::MOTIONS.contains(action)
}

/// The keys of the topmost dialog; an input at the bottom of the screen needs that line itself.
fn below_dialog(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let at_bottom = canvas.report.cursor.is_some_and(|cursor| cursor.y == area.y);
    if at_bottom {
        return;
    }
    canvas.clear(area, Role::Text);
    if let Some(message) = app.message() {
        canvas.put(area, 1, 0, message, Role::Notice);
        return;
    }
    let useful: Vec<Action> = app.possible().into_iter().filter(|action| !is_dull(action)).collect();
    footer(canvas, area, &app.hints(&useful), &[]);
}
