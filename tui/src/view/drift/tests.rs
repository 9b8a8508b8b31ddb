//! What is listed, in which order, and how it reads.

use super::*;
use crate::fixture;
use crate::view::tests::{app, draw, press, text};
use apisec_engine::snapshot::{BindingView, SpecificationView};

fn drifting() -> Snapshot {
    let mut snapshot = fixture::shop();
    let service = snapshot.endpoints[0].service.clone();
    snapshot.specifications = vec![SpecificationView {
        file: "api.yaml".into(),
        title: "api".into(),
        version: "1".into(),
        format: "OpenAPI 3.1".into(),
        bases: Vec::new(),
        operations: 3,
        services: vec![BindingView { service, by: "name".into(), ..BindingView::default() }],
        problems: Vec::new(),
        more_problems: 0,
    }];
    for (own, drift) in
        snapshot.endpoints.iter_mut().zip([Drift::Orphan, Drift::Shadow, Drift::Active, Drift::Active])
    {
        own.drift = drift;
    }
    snapshot.endpoints[2].schema_drift = true;
    snapshot.endpoints[2].documentation.differences = vec!["status 500".into(), "\u{1b}[2J".into()];
    snapshot
}

#[test]
fn the_worst_is_first_and_what_is_as_documented_is_not_there() {
    let mut app = app(drifting(), (140, 30));
    press(&mut app, "5");
    let shown = text(&draw(&mut app));
    let line = |word: &str| {
        shown.lines().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {shown}"))
    };
    assert!(line("◆ shadow  ") < line("○ orphan  ") && line("○ orphan  ") < line("status 500"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
    let rows = shown
        .lines()
        .filter(|line| ["◆ shadow  ", "○ orphan  ", "✓ active  "].iter().any(|mark| line.contains(mark)));
    assert_eq!(rows.count(), 3, "{shown}");
}

#[test]
fn operations_below_a_path_are_told_apart_and_no_count_is_cut() {
    let mut snapshot = drifting();
    snapshot.endpoints[1].operation = "users".into();
    (snapshot.inventory.deprecated_in_use, snapshot.inventory.schema_drift) = (3, 7);
    let row = format!("{} users", snapshot.endpoints[1].path);
    let mut app = app(snapshot, (80, 24));
    press(&mut app, "5");
    let shown = text(&draw(&mut app));
    assert!(shown.contains(&row), "{row}: {shown}");
    assert!(shown.contains("deprecated in use 3") && shown.contains("not as documented 7"), "{shown}");
}

#[test]
fn a_row_opens_with_what_it_rests_on() {
    let mut app = app(drifting(), (140, 40));
    press(&mut app, "5 enter");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("called, not documented") && shown.contains("known since"), "{shown}");
}

#[test]
fn without_a_specification_it_says_how_to_give_one() {
    let mut app = app(fixture::shop(), (80, 24));
    press(&mut app, "5");
    assert!(text(&draw(&mut app)).contains("--spec FILE"));
}

#[test]
fn the_filter_asks_for_states_and_flags() {
    let mut app = app(drifting(), (140, 30));
    press(&mut app, "5 / d r i f t : s c h e m a enter");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("status 500") && !shown.contains("○ orphan  \u{20}"), "{shown}");
}

#[test]
fn a_binding_is_shown_and_changed_in_place() {
    let mut app = app(drifting(), (120, 30));
    press(&mut app, "5 B");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("─ Specifications ─") && shown.contains("3 operations → "), "{shown}");
    assert!(shown.contains("(name)"), "{shown}");
    press(&mut app, "enter");
    let shown = text(&draw(&mut app));
    assert!(
        shown.contains("─ Whose is api.yaml ─") && shown.contains("[x] ") && shown.contains("[ ] "),
        "{shown}"
    );
    let at = shown
        .lines()
        .filter(|line| line.contains("[ ] ") || line.contains("[x] "))
        .position(|line| line.contains("[x]"));
    for _ in 0..at.unwrap() {
        press(&mut app, "down");
    }
    let effects = app.update(Action::Open);
    let [Effect::Bind { file, describes: false, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(file, "api.yaml");
    assert!(!text(&draw(&mut app)).contains("[x] "));
    press(&mut app, "esc");
    assert!(text(&draw(&mut app)).contains("no service"));
}
